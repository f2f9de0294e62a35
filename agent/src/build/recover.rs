//! Takes up a build whose agent died: its directory in, its outcome out, as if nothing had happened.
//!
//! The executor has gone on alone, and everything it said lies in the spool. The journal knows again
//! what it knew, the executor is joined through its socket, and the build goes on from there. Whoever
//! holds the lock of the directory is the one who does it.

use std::time::{Duration, SystemTime};

use executor::protocol::Plan;
use tokio_util::sync::CancellationToken;

use super::journal::Journal;
use super::kept::{self, KeptOrder};
use super::premises::Premises;
use super::{
    Abort, Finished, Outcome, Tools, cache, ending, execute, harvest, provision, publish,
    role_credentials,
};
use crate::data_directory::BuildDirectory;
use crate::logs::{LogSink, Spool};
use crate::model::{Build, BuildRequest};
use crate::state_file::{self, StateFileError};

/// How long the log of a build that was over before is waited for.
const DELIVERY_LIMIT: Duration = Duration::from_hours(1);

/// How long an executor may take to begin after it was given its plan.
const BEGINNING: Duration = Duration::from_secs(5);

/// Time between two looks whether it has.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Why a build cannot be taken up.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// Its directory does not say what build it is.
    #[error("nothing is known of the build in {}", directory.display())]
    Unknown {
        /// The directory.
        directory: std::path::PathBuf,
    },
    /// What is kept of it cannot be understood.
    #[error(transparent)]
    State(#[from] StateFileError),
    /// What it has on this machine cannot be used.
    #[error("the build cannot be taken up")]
    Open(#[source] anyhow::Error),
}

/// A build that was taken up.
struct TakenUp<'a> {
    request: &'a BuildRequest,
    tools: &'a Tools,
    premises: &'a Premises,
    order: Option<KeptOrder>,
}

/// The cause of the fault of a build whose agent died before the executor had its orders: nothing of it
/// has run, and it may be started again.
#[derive(Debug, thiserror::Error)]
#[error("the agent died before the first command of the build; start it again")]
pub struct NotBegun;

/// What a build was asked to be, as its directory keeps it: without plain values of variables. `None` if
/// it does not, or cannot be read.
pub fn kept_request(directory: &BuildDirectory) -> Option<BuildRequest> {
    kept::request(directory).ok().flatten()
}

/// Whether a build can be taken up: its directory says enough of it. Nothing is changed.
pub fn is_recoverable(directory: &BuildDirectory) -> bool {
    let known = matches!(kept::request(directory), Ok(Some(_)));
    known && (directory.outcome().exists() || matches!(kept::order(directory), Ok(Some(_))))
}

/// Takes a build up and to its end. A build that has ended before is told again, and its log goes on.
pub async fn recover(
    directory: BuildDirectory,
    tools: &Tools,
    sink: &mut dyn LogSink,
    stop: &CancellationToken,
) -> Result<Outcome, RecoverError> {
    let Some(request) = kept::request(&directory)? else {
        let directory = directory.path().to_owned();
        return Err(RecoverError::Unknown { directory });
    };
    let outcome = state_file::read::<Build>(&directory.outcome())?;
    let order = kept::order(&directory)?;
    let premises = Box::pin(Premises::in_directory(
        directory,
        &request,
        tools,
        sink.permit(),
    ))
    .await;
    let premises = premises.map_err(RecoverError::Open)?;
    if let Some(build) = outcome {
        return finish(build, &request, tools, premises, sink).await;
    }
    let taken_up = TakenUp {
        request: &request,
        tools,
        premises: &premises,
        order,
    };
    let mut journal = Journal::new(sink);
    let ended = Box::pin(steps(&taken_up, &mut journal, stop)).await;
    Ok(ending::conclude(&request, tools, premises, journal, ended).await)
}

/// What is left of the path of a build.
async fn steps(
    taken_up: &TakenUp<'_>,
    journal: &mut Journal<'_>,
    stop: &CancellationToken,
) -> Result<Finished, Abort> {
    let TakenUp {
        request,
        tools,
        premises,
        order,
    } = taken_up;
    let directory = &premises.directory;
    journal.take_up(&premises.spool, &directory.chronicle())?;
    let Some(order) = order else {
        return Err(Abort::Fault(NotBegun.into()));
    };
    let buildspec = order
        .buildspec()
        .ok_or_else(|| anyhow::anyhow!("the build's own buildspec cannot be read any more"))?;
    let aws = &premises.aws;
    let bucket = cache::bucket(request, aws, directory).await;
    match provision::rejoin(request, tools, directory).await {
        Ok(container) => {
            wait_for_beginning(&premises.spool, &order.plan).await?;
            let execution = execute::Execution {
                plan: &order.plan,
                age: order.age(),
                bucket: bucket.as_ref(),
            };
            // Nobody has renewed them since.
            let expires = order.has_credentials.then(SystemTime::now);
            let renewal = Box::pin(role_credentials::renew(&container, aws, expires));
            tokio::select! {
                ended = execute::listen(&container, &execution, journal, stop) => ended?,
                never = renewal => match never {},
            }
        }
        // Its last words are in the spool, and may be that it has done all it had to.
        Err(death) => journal.read_to_the_end(death).await?,
    }
    let upload = publish::Upload {
        request,
        buildspec: &buildspec,
        plan: &order.plan,
        knows_secrets: !order.had_secrets,
        directory,
        aws,
        agent: tools.aws.agent(),
        stop,
    };
    harvest(&upload, bucket.as_ref(), tools, journal, stop).await
}

/// Makes sure that the executor has its plan: the agent may have died while it gave it.
async fn wait_for_beginning(spool: &Spool, plan: &Plan) -> Result<(), Abort> {
    let mut looks = tokio::time::interval(LOOK_INTERVAL);
    let waited = tokio::time::timeout(BEGINNING, async {
        loop {
            looks.tick().await;
            if spool.last_segment()? >= plan.first_segment {
                return Ok::<_, std::io::Error>(());
            }
        }
    });
    match waited.await {
        Ok(begun) => Ok(begun?),
        Err(_) => Err(Abort::Fault(NotBegun.into())),
    }
}

/// Goes on with what follows the outcome.
async fn finish(
    mut build: Build,
    request: &BuildRequest,
    tools: &Tools,
    premises: Premises,
    sink: &mut dyn LogSink,
) -> Result<Outcome, RecoverError> {
    if let Err(Abort::Fault(error)) = provision::release(request, tools, &premises.directory).await
    {
        return Err(RecoverError::Open(error));
    }
    let (directory, delivery) = premises.deliver(DELIVERY_LIMIT).await;
    build.logs = ending::location(request, delivery);
    state_file::write(&directory.outcome(), &build)?;
    if let Err(error) = sink.finished(&build) {
        tracing::debug!("nobody is told of the end of build {}: {error}", build.id);
    }
    ending::leave(request, tools, &directory, delivery).await;
    Ok(Outcome {
        build,
        commands: Vec::new(),
        reports: Vec::new(),
        abort: None,
    })
}
