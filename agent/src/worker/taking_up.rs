//! What the worker before has left: outcomes that the store does not have yet, leases, and builds that
//! go on alone.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use executor::protocol::Event;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::recovery::{self, Recoverable};
use super::{AFTER_FAILURE, Node, leased};
use crate::build;
use crate::data_directory::BuildDirectory;
use crate::logs::{LogSink, NoSink, Permit};
use crate::model::Build;
use crate::store::{CommandsRan, Fence, HeldLease};

/// How often the store is asked for leases before they are left to run out.
const TRIES: u32 = 5;

/// Takes up what the worker before has left. Builds that go on get a task each; `around` gets those of
/// which only the log is left, or which are not this worker's any more: nobody waits for them.
pub(super) async fn take_up(node: &Arc<Node>, builds: &mut JoinSet<()>, around: &mut JoinSet<()>) {
    let kept = node.outcomes.all().unwrap_or_else(|error| {
        tracing::warn!("cannot look for outcomes that were not written: {error}");
        Vec::new()
    });
    let over: Vec<Fence> = kept.iter().map(|pending| pending.fence.clone()).collect();
    for pending in kept {
        let node = Arc::clone(node);
        builds.spawn(async move { leased::deliver(&node, pending).await });
    }
    let mut left = left(node);
    let Some(held) = held(node, &over).await else {
        return;
    };
    for lease in held {
        if over.contains(&lease.fence) {
            continue;
        }
        if let Some(directory) = left.remove(&lease.fence.build.uuid) {
            builds.spawn(leased::go_on(Arc::clone(node), lease.fence, directory));
            continue;
        }
        let reason = "its agent was restarted";
        let given = node
            .store
            .give_up(&lease.fence, reason, CommandsRan::MaybeSo);
        if let Err(error) = given.await {
            tracing::warn!("a build of the worker before is left to its lease: {error:#}");
        }
    }
    for (build, directory) in left {
        around.spawn(end_lost(Arc::clone(node), build, directory));
    }
}

/// The builds that can go on, by their UUIDs. The others are leftovers.
fn left(node: &Node) -> HashMap<Uuid, BuildDirectory> {
    let found = recovery::recoverable(&node.tools).unwrap_or_else(|error| {
        tracing::warn!("cannot look for builds that go on: {error:#}");
        Vec::new()
    });
    let pair = |Recoverable { build, directory }| (build, directory);
    found.into_iter().map(pair).collect()
}

/// The leases of the worker before. `None` if the store does not say: then they run out, and are dealt
/// with as those of any lost worker.
async fn held(node: &Node, over: &[Fence]) -> Option<Vec<HeldLease>> {
    let life = node.config().lease();
    for _ in 0..TRIES {
        match node.store.heartbeat(&node.description(), over, life).await {
            Ok(held) => return Some(held),
            Err(error) => {
                tracing::warn!("cannot ask for the leases of the worker before: {error:#}");
                sleep(AFTER_FAILURE).await;
            }
        }
    }
    None
}

/// Hears nothing, and lets nothing of a build be written outside this machine.
struct Forbidden;

#[async_trait]
impl LogSink for Forbidden {
    fn log(&mut self, _time_micros: u64, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn event(&mut self, _time_micros: u64, _event: &Event) -> io::Result<()> {
        Ok(())
    }

    fn permit(&self) -> Permit {
        Permit::revoked()
    }

    async fn writes_follow(&mut self) -> bool {
        false
    }

    fn finished(&mut self, _build: &Build) -> io::Result<()> {
        Ok(())
    }
}

/// Ends a build that goes on although its lease was lost. One that the store does not know is somebody
/// else's: of `run`, and for `recover` to take up.
async fn end_lost(node: Arc<Node>, build: Uuid, directory: BuildDirectory) {
    let request = build::kept_request(&directory);
    let Some(id) = request.map(|request| request.id) else {
        return;
    };
    let known = node.store.builds(std::slice::from_ref(&id)).await;
    if !known.is_ok_and(|builds| !builds.is_empty()) {
        return;
    }
    let stop = CancellationToken::new();
    stop.cancel();
    let recovered = if directory.outcome().exists() {
        // Only its log is still on its way.
        build::recover(directory, &node.tools, &mut NoSink, &stop).await
    } else {
        tracing::warn!(build.id = %id, "build {id} goes on without a lease: it is stopped");
        build::recover(directory, &node.tools, &mut Forbidden, &stop).await
    };
    if let Err(error) = recovered {
        let error = anyhow::Error::from(error);
        tracing::warn!("cannot stop build {build}: {error:#}");
    }
}
