//! What a build would do, told without running it: request in, preview out.

mod files;

use std::path::Path;

use buildspec_parser::Buildspec;
use buildspec_parser::expand::{BatchBuild, expand};
use buildspec_parser::plan::{self, Next, PhaseOutcome};
use serde::Serialize;

use super::environment::{self, Origin, Setting};
use super::resolve::{self, ResolveError};
use crate::model::BuildRequest;
pub use files::FilesPreview;

/// Built-in variables whose values are different in every build.
const OF_ONE_BUILD: [&str; 7] = [
    "CODEBUILD_BUILD_ARN",
    "CODEBUILD_BUILD_ID",
    "CODEBUILD_GOPATH",
    "CODEBUILD_LOG_PATH",
    "CODEBUILD_SRC_DIR",
    "CODEBUILD_START_TIME",
    "GOPATH",
];

/// What a build would do.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    /// Image of the container.
    pub image: String,
    /// Shell of the commands.
    pub shell: String,
    /// The command phases, in order.
    pub phases: Vec<PhasePreview>,
    /// All variables that are known before the build, by name.
    pub variables: Vec<VariablePreview>,
    /// Variables whose values are reported after the build.
    pub exported_variables: Vec<String>,
    /// What each set of patterns would take from the source as it is now.
    pub files: Vec<FilesPreview>,
    /// The builds of the batch, if the buildspec has one.
    pub batch: Option<Vec<BatchBuildPreview>>,
}

/// A phase and what follows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PhasePreview {
    /// Its name in the buildspec.
    pub phase: &'static str,
    /// The user of its commands.
    pub run_as: String,
    /// Its commands.
    pub commands: Vec<String>,
    /// Its `finally` commands, which run whether the others succeeded or not.
    pub finally: Vec<String>,
    /// What follows when all went well.
    pub on_success: &'static str,
    /// What follows when a command failed.
    pub on_failure: FailurePreview,
}

/// What follows a failure.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FailurePreview {
    /// How often the phase is run again.
    pub retries: u8,
    /// Regular expression that the failure's message must match for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_pattern: Option<String>,
    /// What follows then.
    pub next: &'static str,
    /// Phases that are left out.
    pub skipped: Vec<&'static str>,
}

/// A variable before the build.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VariablePreview {
    /// Its name.
    pub name: String,
    /// Its value, where it is plain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Where its value would be looked up, where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The layer it comes from.
    pub origin: Origin,
}

/// One build of a batch.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchBuildPreview {
    /// Its identifier.
    pub identifier: String,
    /// Its buildspec, if it has one of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buildspec: Option<String>,
    /// Its image, if it has one of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Its compute type, if it has one of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compute_type: Option<String>,
    /// Variables of its own.
    pub variables: Vec<(String, String)>,
    /// Builds that must have ended before it starts.
    pub depend_on: Vec<String>,
    /// Whether the batch may succeed although it fails.
    pub ignore_failure: bool,
}

/// The buildspec of a request, as far as it can be known before its source is fetched.
pub fn buildspec(request: &BuildRequest) -> Result<Buildspec, ResolveError> {
    let source = request.source.directory().unwrap_or(Path::new(""));
    resolve::parse(request, source, None)
}

/// Looks at the request, its buildspec and its source.
pub fn of(request: &BuildRequest) -> Result<Preview, ResolveError> {
    let nowhere = Path::new("");
    let source = request.source.directory().unwrap_or(nowhere);
    let buildspec = resolve::parse(request, source, None)?;
    let variables = variables(request, &buildspec);
    let in_source = source.to_string_lossy();
    let value = |name: &str| match name {
        "CODEBUILD_SRC_DIR" => Some(&*in_source),
        _ => variables
            .iter()
            .find(|variable| variable.name == name)?
            .value
            .as_deref(),
    };
    Ok(Preview {
        image: request.image.clone(),
        shell: buildspec
            .env
            .shell
            .as_ref()
            .map_or("sh", |shell| shell.value.as_str())
            .to_owned(),
        phases: plan::phases(&buildspec)
            .into_iter()
            .map(|outcome| phase(&buildspec, outcome))
            .collect(),
        exported_variables: buildspec
            .env
            .exported_variables
            .iter()
            .map(|name| name.value.clone())
            .collect(),
        files: plan::globs(&buildspec)
            .iter()
            .map(|globs| files::preview(globs, source, &value))
            .collect(),
        batch: buildspec
            .batch
            .as_ref()
            .and_then(|batch| expand(batch).ok())
            .map(|expansion| expansion.builds.into_iter().map(batch_build).collect()),
        variables,
    })
}

fn phase(buildspec: &Buildspec, outcome: PhaseOutcome) -> PhasePreview {
    let phase = buildspec.phases.get(outcome.phase);
    let texts = |list: &[buildspec_parser::Spanned<String>]| {
        list.iter().map(|text| text.value.clone()).collect()
    };
    let retry = outcome.on_failure.retry;
    PhasePreview {
        phase: outcome.phase.as_str(),
        run_as: outcome.run_as.unwrap_or_else(|| "root".to_owned()),
        commands: phase
            .map(|phase| texts(&phase.commands))
            .unwrap_or_default(),
        finally: phase.map(|phase| texts(&phase.finally)).unwrap_or_default(),
        on_success: next(outcome.on_success),
        on_failure: FailurePreview {
            retries: retry.as_ref().map_or(0, |retry| retry.count),
            retry_pattern: retry.map(|retry| retry.pattern),
            next: next(outcome.on_failure.next),
            skipped: outcome
                .on_failure
                .skipped
                .iter()
                .map(|phase| phase.as_str())
                .collect(),
        },
    }
}

fn next(next: Next) -> &'static str {
    match next {
        Next::Phase(phase) => phase.as_str(),
        Next::Upload => "upload-artifacts",
        Next::End => "end",
    }
}

/// All variables, by name. References stand for values that only a build looks up.
fn variables(request: &BuildRequest, buildspec: &Buildspec) -> Vec<VariablePreview> {
    let layers = environment::layers(request, buildspec, "");
    let preview = |(name, (origin, setting)): (String, _)| {
        let (value, reference) = match setting {
            Setting::Plain(_) if OF_ONE_BUILD.contains(&name.as_str()) => {
                (None, Some("set when the build starts".to_owned()))
            }
            Setting::Plain(value) => (Some(value), None),
            Setting::ParameterStore(name) => (None, Some(format!("parameter-store: {name}"))),
            Setting::SecretsManager(secret) => {
                (None, Some(format!("secrets-manager: {}", secret.id)))
            }
        };
        VariablePreview {
            name,
            value,
            reference,
            origin,
        }
    };
    environment::strongest(layers)
        .into_iter()
        .map(preview)
        .collect()
}

fn batch_build(build: BatchBuild) -> BatchBuildPreview {
    BatchBuildPreview {
        identifier: build.identifier,
        buildspec: build.buildspec,
        image: build.environment.image,
        compute_type: build.environment.compute_type,
        variables: build.environment.variables,
        depend_on: build.depend_on,
        ignore_failure: build.ignore_failure,
    }
}
