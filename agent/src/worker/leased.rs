//! One leased build: run here, its progress and its outcome written to the store.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{oneshot, watch};
use tokio::time::sleep;

use super::Node;
use super::outcomes::Pending;
use super::record::ended;
use super::reporter::{Course, Reporter, tell};
use super::running::Slot;
use crate::build::{self, Abort, NotBegun, Outcome, Tools};
use crate::data_directory::BuildDirectory;
use crate::logs::{KeptLog, KeptLogs, Permit};
use crate::model::BuildRequest;
use crate::store::{CommandsRan, Ended, Fence, Lease, Needs, Resources, StoreError, StoredBuild};

/// The longest time between two attempts at writing an outcome.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Time between two looks whether an earlier attempt has ended here.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Runs a build to its end, and writes its outcome. `entered` goes once it has its place.
pub(super) async fn run(
    node: Arc<Node>,
    lease: Lease,
    permit: Permit,
    entered: oneshot::Sender<()>,
) {
    let Lease {
        fence,
        resources,
        mut request,
        record,
    } = lease;
    request.attempt = fence.attempt;
    let build = &fence.build;
    tracing::info!(build.id = %build, "leased build {build}, attempt {}", fence.attempt);
    let slot = place(&node, &fence, (resources, permit), Some(entered)).await;
    let kept = keep_log(&node.tools, &request);
    let way = Way::FromTheStart(Box::new(request));
    bring_to_its_end(&node, &slot, fence, (record, kept), way).await;
}

/// Brings a build of the worker before to its end, from its directory.
pub(super) async fn go_on(node: Arc<Node>, fence: Fence, directory: BuildDirectory) {
    let build = &fence.build;
    let known = node.store.builds(std::slice::from_ref(build)).await;
    let known = known.ok().and_then(|mut builds| builds.pop());
    let Some(StoredBuild {
        request, record, ..
    }) = known
    else {
        tracing::warn!("the store does not say what build {build} is: it is left to its lease");
        return;
    };
    let share = node.agent.share(&Needs::of(&request));
    let share = share.unwrap_or(Resources::NONE);
    tracing::info!(build.id = %build, "build {build}, attempt {}, is taken up", fence.attempt);
    // The next sign of life tells for how long it is this worker's.
    let slot = place(&node, &fence, (share, Permit::unconfirmed()), None).await;
    let kept = keep_log(&node.tools, &request);
    let way = Way::FromWhereItWasLeft(directory);
    bring_to_its_end(&node, &slot, fence, (record, kept), way).await;
}

/// The place of an attempt. One that was lost and came back to this worker waits for the end of the one before;
/// `entered` goes all the same.
async fn place<'n>(
    node: &'n Node,
    fence: &Fence,
    (resources, permit): (Resources, Permit),
    entered: Option<oneshot::Sender<()>>,
) -> Slot<'n> {
    let mut slot = node.running.enter(fence, resources, &permit);
    drop(entered);
    loop {
        match slot {
            Some(slot) => return slot,
            None => sleep(LOOK_AGAIN).await,
        }
        slot = node.running.enter(fence, resources, &permit);
    }
}

/// Opens the log that is kept of a build. A build runs all the same where none can be kept.
fn keep_log(tools: &Tools, request: &BuildRequest) -> Option<KeptLog> {
    let (group, stream) = request.log_stream();
    let opened = KeptLogs::new(tools.data.kept_logs()).write(&group, &stream);
    opened
        .map_err(|error| tracing::warn!("the log of build {} is not kept: {error}", request.id))
        .ok()
}

/// How a build gets to its end.
enum Way {
    /// Nothing of it has been done.
    FromTheStart(Box<BuildRequest>),
    /// A worker before has left it.
    FromWhereItWasLeft(BuildDirectory),
}

/// Brings a build to its end, tells the store how far it is, and writes its outcome. One of which
/// nothing has run is given back.
async fn bring_to_its_end(
    node: &Node,
    slot: &Slot<'_>,
    fence: Fence,
    (record, kept): (Value, Option<KeptLog>),
    way: Way,
) {
    let (course, told) = watch::channel(Course::default());
    let (permit, permitted) = watch::channel(false);
    let running = async {
        let mut sink = Reporter {
            node,
            slot,
            fence: &fence,
            record: &record,
            // Goes with the sink, and so ends the telling.
            course,
            permitted,
            kept,
        };
        match way {
            Way::FromTheStart(request) => {
                Ok(build::run(&request, &node.tools, &mut sink, &slot.stop).await)
            }
            Way::FromWhereItWasLeft(directory) => {
                build::recover(directory, &node.tools, &mut sink, &slot.stop).await
            }
        }
    };
    let telling = tell(node, slot, (&fence, &record), (told, permit));
    let (outcome, ()) = tokio::join!(running, telling);
    let (reason, ran) = match outcome {
        Ok(Outcome {
            abort: Some(Abort::Fault(error)),
            ..
        }) if error.is::<NotBegun>() => (error.to_string(), CommandsRan::No),
        Ok(outcome) => {
            return conclude(node, slot, fence, ended(&outcome, &record)).await;
        }
        Err(error) => (
            format!("{:#}", anyhow::Error::from(error)),
            CommandsRan::MaybeSo,
        ),
    };
    let build = &fence.build;
    node.outcomes.forget(build.uuid);
    if let Err(error) = node.store.give_up(&fence, &reason, ran).await {
        tracing::warn!("build {build} is left to its lease: {error:#}");
    }
}

/// Writes the outcome of a build that takes nothing of this machine any more.
async fn conclude(node: &Node, slot: &Slot<'_>, fence: Fence, ended: Ended) {
    slot.over();
    let build = fence.build.clone();
    let status = ended.status.name();
    let pending = Pending { fence, ended };
    if let Err(error) = node.outcomes.keep(&pending) {
        tracing::warn!("cannot keep the outcome of build {build}: {error}");
    }
    deliver(node, pending).await;
    tracing::info!(build.id = %build, "build {build} {status}");
}

/// Writes an outcome, however long the store is away. Nobody wants it if the lease is another's.
pub(super) async fn deliver(node: &Node, pending: Pending) {
    let Pending { fence, ended } = pending;
    let mut pause = Duration::from_secs(1);
    loop {
        match node.store.finish(&fence, ended.clone()).await {
            Ok(()) => break,
            Err(error @ StoreError::LeaseLost { .. }) => {
                tracing::warn!("an outcome was not written: {error}");
                break;
            }
            Err(error) => {
                tracing::warn!(
                    "cannot write the outcome of build {}, trying again: {error:#}",
                    fence.build
                );
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
    node.outcomes.forget(fence.build.uuid);
}
