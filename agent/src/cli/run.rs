//! `run`: one build on this machine.

use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use buildspec_parser::output::{self, Color};
use clap::Args;
use nix::unistd::{Uid, User};
use tokio::task::JoinSet;

use super::exit::{Exit, Failure, tell};
use super::{GlobalArgs, signals};
use crate::build::{self, Outcome};
use crate::config::Config;
use crate::logs::{JsonSink, LogSink, TextSink};
use crate::model::{
    ArtifactDestination, BuildId, BuildRequest, BuildspecChoice, EnvironmentVariable, Overrides,
    PhaseType, Placement, ProjectName, SourceLocation, Status,
};

/// Default build timeout, in minutes (API, `BuildTimeOut`).
const TIMEOUT_MINUTES: u64 = 60;

/// Runs one build of a source directory in a container
///
/// The build works on a copy of SOURCE. Its log goes to standard output. Ends with 0 if the build
/// succeeded, 1 if it failed, 2 for wrong usage or an invalid buildspec, 3 if the environment
/// failed (Docker, image, disk), 4 if the build timed out, 5 if it was stopped.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Source directory
    #[arg(default_value = ".")]
    source: PathBuf,
    /// Buildspec: path relative to SOURCE, or the text itself [default: buildspec.yml]
    #[arg(short, long, value_name = "PATH")]
    buildspec: Option<String>,
    /// Image of the build container [default: the configured one]
    #[arg(short, long)]
    image: Option<String>,
    /// Environment variable; NAME alone takes its value from here (repeatable)
    #[arg(short, long = "env", value_name = "NAME=VALUE")]
    environment: Vec<String>,
    /// File of NAME=VALUE lines; blank lines and lines starting with # are skipped (repeatable)
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Directory for the artifacts; without it none are collected
    #[arg(short, long, value_name = "DIR")]
    artifacts: Option<PathBuf>,
    /// Overrides as for `aws codebuild start-build --cli-input-json`, JSON or YAML; - reads standard input
    #[arg(long, value_name = "FILE")]
    overrides: Option<PathBuf>,
    /// Build timeout in minutes [default: 60]
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u64).range(1..=2160))]
    timeout: Option<u64>,
    /// Name of the project [default: the name of the source directory]
    #[arg(long, value_name = "NAME")]
    project: Option<ProjectName>,
    /// Work in SOURCE itself instead of on a copy
    #[arg(long)]
    mount: bool,
    /// Print one JSON object a line: log lines, events, and at last the build
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: RunArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    let config = global.config()?;
    let json = args.json;
    let request = request(args, &config).map_err(Failure::usage)?;
    let mut tasks = JoinSet::new();
    let stop = signals::stop_token(&mut tasks)?;
    let tools = global.tools(config).await?;
    let mut sink: Box<dyn LogSink> = if json {
        Box::new(JsonSink::new(io::stdout()))
    } else {
        Box::new(TextSink::new(io::stdout()))
    };
    let outcome = build::run(&request, &tools, sink.as_mut(), &stop).await;
    Ok(report(outcome, json))
}

/// Merges the arguments and the overrides into a request. Arguments win: they are nearer.
fn request(args: RunArgs, config: &Config) -> anyhow::Result<BuildRequest> {
    let overrides = match &args.overrides {
        Some(file) => {
            Overrides::parse(&read_text(file)?).with_context(|| format!("{}", file.display()))?
        }
        None => Overrides::default(),
    };
    let path = fs::canonicalize(&args.source)
        .with_context(|| format!("cannot open source directory {}", args.source.display()))?;
    anyhow::ensure!(
        path.is_dir(),
        "source {} is not a directory",
        path.display()
    );
    let project = match (args.project, &overrides.project_name) {
        (Some(project), _) => project,
        (None, Some(name)) => name.parse()?,
        (None, None) => {
            ProjectName::from_lossy(&path.file_name().unwrap_or_default().to_string_lossy())
        }
    };
    let minutes = args
        .timeout
        .map(|minutes| Duration::from_secs(minutes * 60));
    let mut variables = overrides.environment_variables;
    variables.extend(environment(&args.environment, &args.env_file)?);
    Ok(BuildRequest {
        id: BuildId::new(project),
        build_number: 1,
        initiator: initiator(),
        source: SourceLocation::Directory {
            path,
            placement: if args.mount {
                Placement::InPlace
            } else {
                Placement::Copy
            },
        },
        buildspec: buildspec(args.buildspec.or(overrides.buildspec))?,
        image: args
            .image
            .or(overrides.image)
            .unwrap_or_else(|| config.image.clone()),
        environment_variables: variables,
        timeout: minutes
            .or(overrides.timeout)
            .unwrap_or(Duration::from_secs(TIMEOUT_MINUTES * 60)),
        artifacts: match args.artifacts {
            Some(directory) => ArtifactDestination::Directory(std::path::absolute(directory)?),
            None => ArtifactDestination::None,
        },
    })
}

fn buildspec(choice: Option<String>) -> anyhow::Result<BuildspecChoice> {
    match choice {
        Some(text) if text.starts_with("arn:") => Err(anyhow!(
            "the buildspec {text} lies in S3, which is not supported yet; name a file of the source"
        )),
        Some(text) => Ok(BuildspecChoice::from_member(&text).unwrap_or_default()),
        None => Ok(BuildspecChoice::default()),
    }
}

fn read_text(file: &Path) -> anyhow::Result<String> {
    let text = if file == Path::new("-") {
        io::read_to_string(io::stdin())
    } else {
        fs::read_to_string(file)
    };
    text.with_context(|| format!("cannot read {}", file.display()))
}

/// The variables of `--env-file` and `--env`, in this order.
fn environment(
    arguments: &[String],
    files: &[PathBuf],
) -> anyhow::Result<Vec<EnvironmentVariable>> {
    let mut variables = Vec::new();
    for file in files {
        for (index, line) in read_text(file)?.lines().enumerate() {
            if !line.trim().is_empty() && !line.starts_with('#') {
                let variable =
                    variable(line).with_context(|| format!("{}:{}", file.display(), index + 1))?;
                variables.extend(variable);
            }
        }
    }
    for argument in arguments {
        variables.extend(variable(argument).context("--env")?);
    }
    Ok(variables)
}

/// Reads `NAME=VALUE`, or `NAME` for a variable of this process, as `docker run --env` does: one
/// that is not set here is left out.
fn variable(text: &str) -> anyhow::Result<Option<EnvironmentVariable>> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, crate::config::process_environment(text)),
    };
    anyhow::ensure!(
        !name.is_empty() && !name.contains(char::is_whitespace),
        "`{name}` is not a variable's name"
    );
    Ok(value.map(|value| EnvironmentVariable {
        name: name.to_owned(),
        value,
    }))
}

fn initiator() -> String {
    User::from_uid(Uid::current())
        .ok()
        .flatten()
        .map_or_else(|| Uid::current().to_string(), |user| user.name)
}

/// Colours for a terminal.
fn color() -> Color {
    if io::stderr().is_terminal() {
        Color::Always
    } else {
        Color::Never
    }
}

/// Says on standard error how the build ended, and gives the exit code.
fn report(outcome: Outcome, json: bool) -> Exit {
    let Outcome {
        build,
        rejected,
        fault,
    } = outcome;
    if let Some(rejected) = &rejected {
        for diagnostic in &rejected.diagnostics {
            tell(output::text(
                diagnostic,
                &rejected.name,
                &rejected.text,
                color(),
            ));
        }
    }
    if let Some(fault) = fault {
        Failure::fault(fault).report();
    }
    if !json {
        for artifact in &build.artifacts {
            for file in &artifact.files {
                tell(format_args!(
                    "artifact: {}",
                    Path::new(&artifact.location).join(file).display()
                ));
            }
        }
        tell(format_args!(
            "build {} {}",
            build.id,
            build.build_status.name()
        ));
    }
    let provisioned = build
        .phases
        .iter()
        .any(|phase| phase.phase_type > PhaseType::Provisioning && phase.phase_status.is_some());
    match build.build_status {
        Status::Succeeded => Exit::Success,
        Status::Failed if rejected.is_some() => Exit::Invalid,
        // The image could not be had: no command of the build is to blame.
        Status::Failed if !provisioned => Exit::Environment,
        Status::Failed => Exit::BuildFailed,
        Status::Fault => Exit::Environment,
        Status::TimedOut => Exit::TimedOut,
        Status::Stopped => Exit::Stopped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_read_from_files_and_arguments() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "# comment\n\nA=1\nB=x=y z\n").unwrap();
        let variables = environment(&["A=2".to_owned()], &[file.path().to_owned()]).unwrap();
        let pairs: Vec<_> = variables
            .iter()
            .map(|v| (v.name.as_str(), v.value.as_str()))
            .collect();
        assert_eq!(pairs, [("A", "1"), ("B", "x=y z"), ("A", "2")]);
    }

    #[test]
    fn a_bad_line_of_a_variable_file_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "A=1\n=2\n").unwrap();
        let error = environment(&[], &[file.path().to_owned()]).unwrap_err();
        assert!(format!("{error:#}").contains(":2: "), "{error:#}");
    }
}
