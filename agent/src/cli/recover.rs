//! `recover`: takes up builds whose agent died.

use std::io;

use anyhow::anyhow;
use clap::Args;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::exit::{Exit, Failure};
use super::run::report;
use super::{GlobalArgs, signals};
use crate::build::{self, Outcome, Tools};
use crate::data_directory::BuildDirectory;
use crate::logs::{JsonSink, LogSink, NoSink, TextSink};
use crate::worker::recovery::{self, Recoverable};

/// Takes up builds whose agent died, and brings them to their end
///
/// The containers of such builds run on by themselves. Each build is joined again and ends as if
/// nothing had happened; logs that could not be delivered are delivered. With BUILD, its log goes to
/// standard output from about where it was left, and the exit code is that of `run`; without, the
/// log is not shown, and the exit code is 0 if all builds that were taken up came to an end.
#[derive(Debug, Args)]
pub(super) struct RecoverArgs {
    /// One build, by its UUID or as project:uuid [default: all that nobody looks after]
    build: Option<String>,
    /// Print one JSON object a line, as `run` does; of several builds only the builds themselves
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: RecoverArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    let tools = global.tools(global.config()?).await?;
    let mut tasks = JoinSet::new();
    let stop = signals::stop_token(&mut tasks)?;
    match &args.build {
        Some(build) => one(build, &tools, args.json, &stop).await,
        None => all(&tools, args.json, &stop).await,
    }
}

async fn one(
    build: &str,
    tools: &Tools,
    json: bool,
    stop: &CancellationToken,
) -> Result<Exit, Failure> {
    let uuid = build.rsplit(':').next().unwrap_or(build);
    let uuid: Uuid = uuid
        .parse()
        .map_err(|_| Failure::usage(anyhow!("`{build}` is no build: give its UUID")))?;
    let found = recovery::recoverable_build(tools, uuid).map_err(Failure::fault)?;
    let Some(Recoverable { directory, .. }) = found else {
        let why = if tools.data.has_build(uuid) {
            "an agent looks after it, or its agent died before its first command: then `gc` removes it"
        } else {
            "it is not in the data directory"
        };
        return Err(Failure::usage(anyhow!(
            "build {build} cannot be taken up: {why}"
        )));
    };
    let mut sink: Box<dyn LogSink> = if json {
        Box::new(JsonSink::new(io::stdout()))
    } else {
        Box::new(TextSink::new(io::stdout()))
    };
    let recovered = build::recover(directory, tools, sink.as_mut(), stop).await;
    Ok(report(recovered.map_err(Failure::fault)?, json))
}

async fn all(tools: &Tools, json: bool, stop: &CancellationToken) -> Result<Exit, Failure> {
    let mut builds = JoinSet::new();
    for Recoverable { directory, .. } in recovery::recoverable(tools).map_err(Failure::fault)? {
        let (tools, stop) = (tools.clone(), stop.clone());
        builds.spawn(async move { recover(directory, &tools, json, &stop).await });
    }
    let mut exit = Exit::Success;
    while let Some(ended) = builds.join_next().await {
        match ended.map_err(Failure::fault)? {
            Ok(outcome) => drop(report(outcome, json)),
            Err(failure) => exit = failure.report(),
        }
    }
    Ok(exit)
}

async fn recover(
    directory: BuildDirectory,
    tools: &Tools,
    json: bool,
    stop: &CancellationToken,
) -> Result<Outcome, Failure> {
    let mut sink: Box<dyn LogSink> = if json {
        Box::new(JsonSink::of_builds(io::stdout()))
    } else {
        Box::new(NoSink)
    };
    let recovered = build::recover(directory, tools, sink.as_mut(), stop).await;
    recovered.map_err(Failure::fault)
}
