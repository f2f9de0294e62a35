//! The path of one build, top to bottom. Read this file first.
//!
//! A request goes in, the record of a finished build comes out. Whatever goes wrong is in that
//! record: a build that fails is a value, and nothing of it is left behind on the host.

mod abort;
mod cache;
mod checkout;
mod chronicle;
mod ending;
mod environment;
mod execute;
mod journal;
mod kept;
mod learnt;
mod pause;
mod phases;
mod plan;
mod premises;
pub mod preview;
mod provision;
mod publish;
mod recover;
mod report;
mod resolve;
mod runtimes;

use std::time::Duration;

use executor::protocol::{CommandUsage, Exit};
use tokio_util::sync::CancellationToken;

use crate::cache::LocalCache;
use crate::config::Config;
use crate::credentials::Aws;
use crate::data_directory::DataDirectory;
use crate::docker::Engine;
use crate::logs::{AgentLog, LogSink};
use crate::model::{Artifact, Build, BuildRequest, DetailedReport, PhaseType, Status};
use crate::secrets::SecretsFile;
pub use abort::Abort;
pub use environment::Origin;
use journal::Journal;
pub use pause::{FindError, PausedBuild, ResumeError};
use premises::Premises;
pub(crate) use provision::remove_as_root;
pub use recover::{NotBegun, RecoverError, is_recoverable, recover};
pub use resolve::{RejectedBuildspec, ResolveError};

/// What the steps need of the world, chosen once.
#[derive(Debug, Clone)]
pub struct Tools {
    /// Settings of the agent.
    pub config: Config,
    /// The engine that runs build containers.
    pub engine: Engine,
    /// Where builds keep what they need on this machine.
    pub data: DataDirectory,
    /// The way to AWS.
    pub aws: Aws,
    /// The caches of this machine.
    pub cache: LocalCache,
    /// Stored values that stand for those of AWS, if there are any.
    pub secrets: Option<SecretsFile>,
}

/// A build that is over.
#[derive(Debug)]
pub struct Outcome {
    /// Its record.
    pub build: Build,
    /// The commands it ran, in order.
    pub commands: Vec<CommandRecord>,
    /// Its reports with their details.
    pub reports: Vec<DetailedReport>,
    /// Why it ended early, if it did and no command of its own was the reason.
    pub abort: Option<Abort>,
}

/// A command that was run.
#[derive(Debug)]
pub struct CommandRecord {
    /// The phase it belongs to.
    pub phase: PhaseType,
    /// The beginning of its first line.
    pub command: String,
    /// How it ended and what it used; `None` if the build ended first.
    pub ended: Option<(Exit, CommandUsage)>,
}

/// How the steps of a build that went through them all have ended.
#[derive(Debug)]
struct Finished {
    status: Status,
    artifacts: Vec<Artifact>,
    reports: Vec<DetailedReport>,
}

/// Takes one build to its end. `sink` gets the log while it is written; cancelling `stop` stops
/// the build.
pub async fn run(
    request: &BuildRequest,
    tools: &Tools,
    sink: &mut dyn LogSink,
    stop: &CancellationToken,
) -> Outcome {
    let mut journal = Journal::new(sink);
    match Box::pin(Premises::of_new_build(request, tools)).await {
        Ok(premises) => {
            let steps = steps(request, tools, &premises, &mut journal, stop);
            let ended = Box::pin(steps).await;
            ending::conclude(request, tools, premises, journal, ended).await
        }
        Err(error) => {
            let abort = Abort::Fault(error);
            journal.leave(&abort);
            journal.close(request, Err(abort), None, None)
        }
    }
}

/// What a build goes through, in order.
async fn steps(
    request: &BuildRequest,
    tools: &Tools,
    premises: &Premises,
    journal: &mut Journal<'_>,
    stop: &CancellationToken,
) -> Result<Finished, Abort> {
    let directory = &premises.directory;
    let mut log = journal.start(&premises.spool, &directory.chronicle())?;
    let checkout = checkout::Checkout::choose(request, directory)?;
    let caches = cache::scope(request, tools)?;
    let places = provision::Places {
        checkout: &checkout,
        caches: caches.as_ref(),
    };
    // Neither needs the other, and each takes its time.
    let (container, fetched) = tokio::join!(
        provision::start(request, tools, directory, &places, stop),
        checkout::fetch(request, &checkout, stop),
    );
    let container = container?;
    journal.enter(PhaseType::DownloadSource)?;
    opening_lines(&mut log, &checkout)?;
    fetched?;
    let buildspec = resolve::buildspec(request, directory, &checkout, &mut log)?;
    log.line("Processing environment variables")?;
    let mut environment =
        environment::variables(request, &buildspec, checkout.in_container(), tools)?;
    let of_sources = environment::of_secondary_sources(checkout.secondary());
    environment.variables.extend(of_sources);
    let runtimes = runtimes::select(&buildspec, &environment.variables, &container).await?;
    let given = plan::Given {
        environment,
        runtimes,
        entrypoint: container.entrypoint(),
        cache_limit_bytes: tools.config.cache.limit_bytes(),
        next: log.next(),
    };
    let plan = plan::of(request, &buildspec, &checkout, given);
    kept::keep_order(directory, &buildspec, &plan)?;
    let bucket = cache::bucket(request, tools, directory).await;
    let execution = execute::Execution {
        plan: &plan,
        age: Duration::ZERO,
        bucket: bucket.as_ref(),
    };
    execute::run(&container, &execution, journal, stop).await?;
    let upload = publish::Upload {
        request,
        buildspec: &buildspec,
        plan: &plan,
        directory,
    };
    harvest(&upload, bucket.as_ref(), tools, journal, stop).await
}

/// What follows once the executor is through: what the build yields goes to where it is wanted.
async fn harvest(
    upload: &publish::Upload<'_>,
    bucket: Option<&cache::Bucket>,
    tools: &Tools,
    journal: &mut Journal<'_>,
    stop: &CancellationToken,
) -> Result<Finished, Abort> {
    let publish::Upload {
        request, directory, ..
    } = *upload;
    let mut log = journal.resume().await?;
    if let Some(bucket) = bucket {
        cache::upload(bucket, journal, &mut log, stop).await?;
    }
    // What was collected lies outside the container.
    let (removed, finished) = tokio::join!(
        provision::remove(request, tools),
        publish::upload(upload, journal, log)
    );
    removed?;
    if let Some(scope) = cache::scope(request, tools)? {
        cache::settle(&scope, request, tools, directory, journal).await;
    }
    finished
}

fn opening_lines(log: &mut AgentLog, checkout: &checkout::Checkout) -> std::io::Result<()> {
    log.line("Running on CodeBuild On-demand")?;
    log.line("Waiting for agent ping")?;
    log.line("Waiting for DOWNLOAD_SOURCE")?;
    log.line("Phase is DOWNLOAD_SOURCE")?;
    log.line(&format!("CODEBUILD_SRC_DIR={}", checkout.in_container()))?;
    checkout.secondary().try_for_each(|(identifier, path)| {
        log.line(&format!("CODEBUILD_SRC_DIR_{identifier}={path}"))
    })
}
