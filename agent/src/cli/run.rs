//! `run`: one build on this machine.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use super::build_args::BuildArgs;
use super::debugging::{Company, DebugArgs, PauseWatch};
use super::exit::{Exit, Failure, tell};
use super::{GlobalArgs, diagnostics, signals, timings};
use crate::build::{self, Abort, Outcome, Tools};
use crate::logs::{JsonSink, LogSink, TextSink};
use crate::model::{
    ArtifactDirectory, ArtifactPackaging, Build, BuildRequest, DetailedReport, LogsConfig,
    Placement, ProjectCache, SourceLocation, Status,
};
use crate::secrets::SecretsFile;

/// Runs one build of a source directory in a container
///
/// The build works on a copy of SOURCE. Its log goes to standard output. Ends with 0 if the build
/// succeeded, 1 if it failed, 2 for wrong usage or an invalid buildspec, 3 if the environment
/// failed (Docker, image, disk), 4 if the build timed out, 5 if it was stopped.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub(super) struct RunArgs {
    #[command(flatten)]
    build: BuildArgs,
    /// Directory for the artifacts; without it none are collected
    #[arg(short, long, value_name = "DIR")]
    artifacts: Option<PathBuf>,
    /// How artifacts are stored where the overrides say nothing
    #[arg(long, value_enum, default_value_t, requires = "artifacts")]
    packaging: ArtifactPackaging,
    /// File with values that stand for those of Parameter Store and Secrets Manager
    #[arg(long, value_name = "FILE")]
    secrets_file: Option<PathBuf>,
    /// Directory for the test reports and coverage as JSON, one file each
    #[arg(long, value_name = "DIR")]
    reports: Option<PathBuf>,
    /// Show at the end what each command took
    #[arg(long)]
    timings: bool,
    /// Neither restore nor keep the buildspec's cache
    #[arg(long)]
    no_cache: bool,
    #[command(flatten)]
    debugging: DebugArgs,
    /// Work in SOURCE itself instead of on a copy
    #[arg(long)]
    mount: bool,
    /// Print one JSON object a line: log lines, events, and at last the build
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: RunArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    let config = global.config()?;
    let directory = args.artifacts.map(std::path::absolute).transpose();
    let artifacts = directory
        .map_err(Failure::usage)?
        .map(|root| ArtifactDirectory {
            root,
            packaging: args.packaging,
        });
    let request = args.build.request(&config, artifacts);
    let mut request = request.map_err(Failure::usage)?;
    if args.mount {
        work_in_place(&mut request)?;
    }
    if args.no_cache {
        request.cache = ProjectCache::default();
    }
    args.debugging.apply(&mut request)?;
    let mut tasks = JoinSet::new();
    // What Ctrl-C does depends on the build: it may be paused.
    let ending = [SignalKind::terminate(), SignalKind::hangup()];
    let stop = signals::stop_token_of(&mut tasks, &ending)?;
    let interrupts = signal(SignalKind::interrupt()).map_err(Failure::fault)?;
    let secrets = args.secrets_file.as_deref().map(SecretsFile::read);
    let secrets = secrets.transpose().map_err(Failure::usage)?;
    let tools = Tools {
        secrets,
        ..global.tools(config).await?
    };
    keep_log_here_without_aws(&mut request, &tools).await;
    if request.reports_build_status() {
        tell(
            "commit statuses are shown for the builds of a store (`worker`, `server`): this build shows none",
        );
    }
    let sink: Box<dyn LogSink> = if args.json {
        Box::new(JsonSink::new(io::stdout()))
    } else {
        Box::new(TextSink::new(io::stdout()))
    };
    let (mut sink, pauses) = PauseWatch::new(sink);
    let company = Company {
        pauses,
        tools: &tools,
        stop: &stop,
        data_directory: global.data_directory.clone(),
        opens_shell: args.debugging.opens_shell(),
    };
    let outcome = tokio::select! {
        outcome = build::run(&request, &tools, &mut sink, &stop) => outcome,
        never = company.keep(interrupts) => match never {},
    };
    if args.timings {
        timings::tell_timings(&outcome.commands);
    }
    if let Some(directory) = args.reports {
        write_reports(&directory, &outcome.reports).map_err(Failure::fault)?;
    }
    Ok(report(outcome, args.json))
}

fn work_in_place(request: &mut BuildRequest) -> Result<(), Failure> {
    let SourceLocation::Directory { placement, .. } = &mut request.source else {
        return Err(Failure::usage(anyhow::anyhow!(
            "--mount works in a directory of this machine: name it as SOURCE"
        )));
    };
    *placement = Placement::InPlace;
    Ok(())
}

/// A project logs to CloudWatch Logs unless it says otherwise. On a machine without credentials its log
/// would be waited for at the end of every build, in vain.
async fn keep_log_here_without_aws(request: &mut BuildRequest, tools: &Tools) {
    if request.logs.cloud_watch().is_some() && !tools.aws.has_credentials().await {
        tell(format_args!(
            "the log does not go to CloudWatch Logs: no credentials for AWS were found"
        ));
        request.logs.cloud_watch_logs = LogsConfig::disabled().cloud_watch_logs;
    }
}

/// Writes one file a report, named by its group.
fn write_reports(directory: &Path, reports: &[DetailedReport]) -> anyhow::Result<()> {
    let cannot = |path: &Path| format!("cannot write {}", path.display());
    fs::create_dir_all(directory).with_context(|| cannot(directory))?;
    let mut names = HashSet::new();
    for report in reports {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let mut name = report.report.name.replace(|c| !allowed(c), "-");
        name.truncate(200);
        // Names may differ only in what a file's name cannot have.
        while !names.insert(name.clone()) {
            name.push('_');
        }
        let path = directory.join(format!("{name}.json"));
        let json = serde_json::to_vec_pretty(report)?;
        fs::write(&path, json).with_context(|| cannot(&path))?;
    }
    Ok(())
}

/// Says on standard error how the build ended, and gives the exit code.
pub(super) fn report(outcome: Outcome, json: bool) -> Exit {
    let Outcome { build, abort, .. } = outcome;
    let exit = exit(&build, abort.as_ref());
    match abort {
        Some(Abort::Rejected(rejected)) => diagnostics::tell_rejected(&rejected),
        Some(
            Abort::Fault(cause)
            | Abort::Failed {
                cause: Some(cause), ..
            },
        ) => {
            Failure::fault(cause).report();
        }
        Some(Abort::Failed {
            context,
            cause: None,
        }) => tell(format_args!("error: {}", context.message)),
        Some(Abort::Source(failure)) => tell(format_args!("error: {failure}")),
        Some(Abort::Stopped) | None => {}
    }
    if !json {
        for artifact in &build.artifacts {
            if artifact.sha256sum.is_some() {
                tell(format_args!("artifact: {}", artifact.location));
            }
            for file in &artifact.files {
                let path = Path::new(&artifact.location).join(file);
                // One line a file, whatever its name.
                tell(format_args!(
                    "artifact: {}",
                    path.display().to_string().replace('\n', "\\n")
                ));
            }
        }
        for report in &build.reports {
            let headline = report.headline().replace('\n', "\\n");
            tell(format_args!("report: {headline}"));
        }
        tell(format_args!(
            "build {} {}",
            build.id,
            build.build_status.name()
        ));
    }
    exit
}

fn exit(build: &Build, abort: Option<&Abort>) -> Exit {
    match (build.build_status, abort) {
        (Status::Succeeded, _) => Exit::Success,
        (Status::Failed, Some(Abort::Rejected(_))) => Exit::Invalid,
        (Status::Failed, Some(Abort::Failed { context, .. })) => match context.status_code.as_str()
        {
            "YAML_FILE_ERROR" => Exit::Invalid,
            // No command of the build is to blame.
            "BUILD_CONTAINER_UNABLE_TO_PULL_IMAGE" => Exit::Environment,
            _ => Exit::BuildFailed,
        },
        (Status::Failed, _) => Exit::BuildFailed,
        (Status::Fault, _) => Exit::Environment,
        (Status::TimedOut, _) => Exit::TimedOut,
        (Status::Stopped, _) => Exit::Stopped,
    }
}
