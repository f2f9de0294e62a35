//! `plan`: what a build would do.

use std::fmt::Write;

use clap::Args;

use super::build_args::BuildArgs;
use super::exit::{Exit, Failure};
use super::{GlobalArgs, diagnostics, print};
use crate::build::ResolveError;
use crate::build::preview::{self, FilesPreview, PhasePreview, Preview, VariablePreview};
use crate::model::BuildspecChoice;

/// Files shown of one pattern; JSON has all of them.
const FILES_SHOWN: usize = 10;

/// Shows what a build would do, without running anything
///
/// Phases in order with what follows each failure, every variable with the layer it comes from,
/// the files that each pattern would take from the source as it is now, the builds of a batch.
#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    build: BuildArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &PlanArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    let config = global.config()?;
    let request = args.build.request(&config, None);
    let request = request.map_err(Failure::usage)?;
    if request.source.directory().is_none() && matches!(request.buildspec, BuildspecChoice::Path(_))
    {
        return Err(Failure::usage(anyhow::anyhow!(
            "plan reads the buildspec from a directory of this machine: clone the repository and name the clone as SOURCE"
        )));
    }
    match preview::of(&request) {
        Ok(preview) if args.json => {
            let mut json = serde_json::to_vec(&preview).map_err(Failure::fault)?;
            json.push(b'\n');
            print(&json)
        }
        Ok(preview) => print(text(&preview).as_bytes()),
        Err(ResolveError::Rejected(rejected)) => {
            diagnostics::tell_rejected(&rejected);
            Ok(Exit::Invalid)
        }
        Err(error) => Err(Failure::usage(error)),
    }
}

fn text(preview: &Preview) -> String {
    let mut text = format!(
        "image {}, shell {}\n\nPhases\n",
        preview.image, preview.shell
    );
    for phase in &preview.phases {
        write_phase(&mut text, phase);
    }
    text.push_str("\nVariables\n");
    for variable in &preview.variables {
        write_variable(&mut text, variable);
    }
    if !preview.exported_variables.is_empty() {
        let _ = writeln!(
            text,
            "  exported after the build: {}",
            preview.exported_variables.join(", ")
        );
    }
    if !preview.files.is_empty() {
        text.push_str("\nFiles, as the source is now\n");
    }
    for files in &preview.files {
        write_files(&mut text, files);
    }
    if let Some(batch) = &preview.batch {
        text.push_str("\nBatch\n");
        for build in batch {
            let after = if build.depend_on.is_empty() {
                String::new()
            } else {
                format!(" after {}", build.depend_on.join(", "))
            };
            let buildspec = build
                .buildspec
                .as_deref()
                .map(|path| format!(" ({path})"))
                .unwrap_or_default();
            let _ = writeln!(text, "  {}{buildspec}{after}", build.identifier);
        }
    }
    text
}

fn write_phase(text: &mut String, phase: &PhasePreview) {
    let failure = &phase.on_failure;
    let retries = match (&failure.retry_pattern, failure.retries) {
        (Some(pattern), times) => {
            format!("up to {times} times again if the message matches /{pattern}/, then ")
        }
        (None, _) => String::new(),
    };
    let skipped = if failure.skipped.is_empty() {
        String::new()
    } else {
        format!(", without {}", failure.skipped.join(", "))
    };
    let _ = writeln!(text, "  {} as {}", phase.phase, phase.run_as);
    for command in &phase.commands {
        let _ = writeln!(
            text,
            "    - {}",
            command.trim_end().replace('\n', "\n      ")
        );
    }
    for command in &phase.finally {
        let _ = writeln!(
            text,
            "    finally {}",
            command.trim_end().replace('\n', "\n      ")
        );
    }
    let _ = writeln!(
        text,
        "    then {}; if a command fails: {retries}{}{skipped}",
        phase.on_success, failure.next
    );
}

fn write_variable(text: &mut String, variable: &VariablePreview) {
    let value = variable.value.as_ref().map(|value| format!("{value:?}"));
    let value = value
        .or_else(|| variable.reference.clone())
        .unwrap_or_default();
    let origin = serde_json::to_value(variable.origin).unwrap_or_default();
    let _ = writeln!(
        text,
        "  {} = {value} ({})",
        variable.name,
        origin.as_str().unwrap_or_default()
    );
}

fn write_files(text: &mut String, files: &FilesPreview) {
    let _ = writeln!(text, "  {} in {}", files.taker, files.base_directory);
    for pattern in &files.patterns {
        let found = match &pattern.unknown {
            Some(reason) => format!("not known: {reason}"),
            None => format!("{} file(s)", pattern.files.len()),
        };
        let _ = writeln!(text, "    {}: {found}", pattern.pattern);
        for file in pattern.files.iter().take(FILES_SHOWN) {
            let _ = writeln!(text, "      {file}");
        }
        if pattern.files.len() > FILES_SHOWN {
            let _ = writeln!(text, "      … {} more", pattern.files.len() - FILES_SHOWN);
        }
    }
}
