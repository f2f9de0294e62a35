//! The path of one build, top to bottom. Read this file first.
//!
//! A request goes in, the record of a finished build comes out. Whatever goes wrong is in that
//! record: a build that fails is a value, and nothing of it is left behind on the host.

mod abort;
mod bucket;
mod cache;
mod checkout;
mod chronicle;
mod cleaner;
mod docker_access;
mod ending;
mod environment;
mod execute;
mod fetch;
mod image;
mod journal;
mod kept;
mod learnt;
mod pause;
pub mod permissions;
mod phases;
mod pipeline;
mod plan;
mod premises;
pub mod preview;
mod provision;
mod publish;
mod reading;
mod recover;
mod registry_login;
mod report;
mod resolve;
mod role_credentials;
mod runtimes;
mod source_credential;

use std::sync::Arc;
use std::time::Duration;

use buildspec_parser::Buildspec;
use executor::protocol::{CommandUsage, Exit};
use tokio_util::sync::CancellationToken;

use crate::cache::LocalCache;
use crate::config::Config;
use crate::credentials::{Aws, Role, Session};
use crate::data_directory::DataDirectory;
use crate::docker::Engine;
use crate::images::EcrLogins;
use crate::logs::{AgentLog, LogSink};
use crate::model::{Artifact, Build, BuildRequest, DetailedReport, PhaseType, Status};
use crate::secrets::SecretsFile;
use crate::source::stored::SourceCredentials;
pub use abort::Abort;
pub use cleaner::probe_data_directory;
pub(crate) use cleaner::remove_as_root;
pub(crate) use docker_access::{idle_layers, servers, stop_idle_server};
pub use environment::{Origin, built_in_variables};
use journal::Journal;
pub use pause::{FindError, PausedBuild, ResumeError};
use premises::Premises;
pub use recover::{NotBegun, RecoverError, is_recoverable, kept_request, recover};
pub use resolve::{RejectedBuildspec, ResolveError};
pub use source_credential::{CredentialAccess, find as find_credential};

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
    /// Logins to ECR that are still good.
    pub ecr: EcrLogins,
    /// Stored values that stand for those of AWS, if there are any.
    pub secrets: Option<SecretsFile>,
    /// What opens the repositories of git hosts.
    pub source_credentials: Arc<dyn SourceCredentials>,
}

impl Tools {
    /// Where the credentials of sources are looked up.
    fn credential_access(&self) -> CredentialAccess<'_> {
        CredentialAccess {
            aws: &self.aws,
            stored: self.source_credentials.as_ref(),
            secrets: self.secrets.as_ref(),
        }
    }
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
    let permit = journal.permit();
    match Box::pin(Premises::of_new_build(request, tools, permit)).await {
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
#[expect(
    clippy::too_many_lines,
    reason = "the path of a build, to be read in one piece"
)]
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
    let (image, docker) = provision::needs(request, tools, journal, &mut log, stop).await?;
    let caches = cache::scope(request, tools)?;
    let places = provision::Places {
        checkout: &checkout,
        caches: caches.as_ref(),
        image: &image,
        docker: &docker,
    };
    let aws = &premises.aws;
    // Neither needs the other, and each takes its time.
    let (container, fetched) = tokio::join!(
        provision::start(request, tools, directory, &places),
        fetch::sources(request, directory, &checkout, tools, stop),
    );
    let container = container?;
    journal.enter(PhaseType::DownloadSource)?;
    log.line("Running on CodeBuild On-demand")?;
    log.line("Waiting for agent ping")?;
    log.line("Waiting for DOWNLOAD_SOURCE")?;
    let fetched = fetched?;
    if let Some(version) = &fetched.resolved_version {
        journal.resolve(version.clone())?;
    }
    opening_lines(&mut log, &checkout)?;
    fetched.hints.iter().try_for_each(|hint| log.line(hint))?;
    let buildspec = resolve::buildspec(request, directory, &checkout, aws, &mut log);
    let buildspec = unless_stopped(stop, buildspec).await?;
    environment_lines(&mut log, &checkout)?;
    let looked_up = look_up(request, tools, aws, &buildspec, &checkout);
    let (credentials, mut environment) = unless_stopped(stop, looked_up).await?;
    let expires = credentials.as_ref().map(role_credentials::First::expires);
    let of_sources = environment::of_sources(&checkout, &fetched);
    environment.variables.extend(of_sources);
    let git_credentials = environment::configure_git(&mut environment, &buildspec, fetched);
    let runtimes = runtimes::select(&buildspec, &environment.variables, &container).await?;
    let entrypoint = container.entrypoint();
    let given = plan::Given {
        environment,
        git_credentials,
        runtimes,
        docker_hint: docker_access::hint(&docker, !entrypoint.is_empty(), tools),
        entrypoint,
        cache_limit_bytes: tools.config.cache.limit_bytes(),
        credentials: credentials.map(|first| first.plan),
        next: log.next(),
    };
    let plan = plan::of(request, &buildspec, &checkout, given);
    kept::keep_order(directory, &buildspec, &plan)?;
    journal.commands_follow(stop).await?;
    let bucket = cache::bucket(request, aws, directory).await;
    let execution = execute::Execution {
        plan: &plan,
        age: Duration::ZERO,
        bucket: bucket.as_ref(),
    };
    tokio::select! {
        ended = execute::run(&container, &execution, journal, stop) => ended?,
        never = Box::pin(role_credentials::renew(&container, aws, expires)) => match never {},
    }
    let upload = publish::Upload {
        request,
        buildspec: &buildspec,
        plan: &plan,
        knows_secrets: true,
        directory,
        aws,
        agent: tools.aws.agent(),
        stop,
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
        Box::pin(publish::upload(upload, journal, log))
    );
    removed?;
    if let Some(scope) = cache::scope(request, tools)? {
        cache::settle(&scope, request, tools, directory, journal).await;
    }
    finished
}

/// Clients of AWS with the build's role, the same for all who ask while the build is looked after. Nobody is asked
/// before a step needs something.
fn session(request: &BuildRequest, tools: &Tools) -> Session {
    role_session(request, &tools.aws)
}

fn role_session(request: &BuildRequest, aws: &Aws) -> Session {
    let role = request.service_role.as_deref();
    let role = role.filter(|role| !role.is_empty());
    let role = role.map(|role| Role::of_build(role, &request.id));
    aws.session(role)
}

/// A step that may wait for others and leaves nothing behind.
async fn unless_stopped<T>(
    stop: &CancellationToken,
    work: impl Future<Output = Result<T, Abort>>,
) -> Result<T, Abort> {
    // Of the clients of AWS, futures are large.
    let ended = stop.run_until_cancelled(Box::pin(work)).await;
    ended.unwrap_or(Err(Abort::Stopped))
}

/// What the build needs of AWS before its first command: credentials of its role, and stored values.
async fn look_up(
    request: &BuildRequest,
    tools: &Tools,
    aws: &Session,
    buildspec: &Buildspec,
    checkout: &checkout::Checkout,
) -> Result<(Option<role_credentials::First>, environment::Environment), Abort> {
    // First: whoever cannot have the role gets nothing with it.
    let credentials = role_credentials::first(aws).await?;
    let source = checkout.in_container();
    let environment = environment::variables(request, buildspec, source, tools, aws).await?;
    Ok((credentials, environment))
}

fn opening_lines(log: &mut AgentLog, checkout: &checkout::Checkout) -> std::io::Result<()> {
    log.line("Phase is DOWNLOAD_SOURCE")?;
    log.line(&format!("CODEBUILD_SRC_DIR={}", checkout.in_container()))?;
    checkout.secondary().try_for_each(|source| {
        let (identifier, path) = (source.identifier, source.in_container);
        log.line(&format!("CODEBUILD_SRC_DIR_{identifier}={path}"))
    })
}

fn environment_lines(log: &mut AgentLog, checkout: &checkout::Checkout) -> std::io::Result<()> {
    if let Some(source) = checkout.slow_source() {
        log.line(&format!(
            "Setting HTTP client timeout to higher timeout for {source}"
        ))?;
    }
    log.line("Processing environment variables")
}
