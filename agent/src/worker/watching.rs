//! What goes on beside the builds: signs of life, the passing of time in the queue, leftovers.

use std::sync::Arc;

use tokio::time::sleep;

use super::{AFTER_FAILURE, Node, housekeeping as leftovers};
use crate::logs::{ExpiredLogs, Moment};

/// Gives signs of life, and hears what became of the leases.
pub(super) async fn heartbeat(node: Arc<Node>) {
    loop {
        let every = node.config().heartbeat();
        let pause = if beat(&node).await {
            every
        } else {
            AFTER_FAILURE.min(every)
        };
        sleep(pause).await;
    }
}

/// Stops builds as soon as somebody calls for it, without waiting for the next sign of life.
pub(super) async fn stops(node: Arc<Node>) {
    let mut stops = node.store.changes().stops;
    while stops.changed().await.is_ok() {
        let known = node.running.fences();
        if known.is_empty() {
            continue;
        }
        match node.store.held(&node.agent.id).await {
            Ok(held) => node.running.follow(&known, &held, None),
            // The next sign of life tells it.
            Err(error) => tracing::warn!("cannot look for builds to stop: {error:#}"),
        }
    }
}

/// One sign of life. What was leased meanwhile is not compared with the answer.
async fn beat(node: &Node) -> bool {
    let known = node.running.fences();
    let life = node.config().lease();
    let asked = Moment::now();
    match node
        .store
        .heartbeat(&node.description(), &known, life)
        .await
    {
        Ok(held) => {
            node.running.follow(&known, &held, Some((asked, life)));
            true
        }
        Err(error) => {
            tracing::warn!("the store does not hear that this worker lives: {error:#}");
            false
        }
    }
}

/// Does what time does to the queue. Every worker of a store does it; one is enough.
pub(super) async fn sweep(node: Arc<Node>) {
    loop {
        match node.store.sweep().await {
            Ok(swept) if swept != crate::store::Sweep::default() => tracing::info!(
                "{} builds waited too long, {} were taken from lost workers",
                swept.timed_out,
                swept.lost
            ),
            Ok(_) => {}
            Err(error) => tracing::warn!("cannot look after the queue: {error:#}"),
        }
        sleep(node.config().heartbeat()).await;
    }
}

/// Removes what dead agents left on this machine, and what has become too much, from time to time.
pub(super) async fn housekeeping(node: Arc<Node>) {
    loop {
        clean(&node).await;
        forget(&node).await;
        sleep(node.config().housekeeping()).await;
    }
}

/// Lets the store forget what was over long ago, bit by bit.
async fn forget(node: &Node) {
    let life = node.tools.config.retention.builds();
    loop {
        match node.store.forget(life).await {
            Ok(forgotten) if forgotten.is_nothing() => return,
            Ok(forgotten) => tracing::info!(
                "forgot {} builds, {} reports and {} workers of long ago",
                forgotten.builds,
                forgotten.reports,
                forgotten.agents
            ),
            Err(error) => {
                return tracing::warn!("the store cannot forget what is long over: {error:#}");
            }
        }
    }
}

/// One search for what dead agents left.
pub(super) async fn reap(node: &Node) {
    tell("what dead agents left", leftovers::reap(&node.tools).await);
}

/// One search for leftovers and for what has become too much.
async fn clean(node: &Node) {
    reap(node).await;
    let tools = &node.tools;
    tell("caches", leftovers::evict_caches(tools).await);
    let removed = tools.data.remove_old_executors();
    tell("programs of other versions", removed.map_err(Into::into));
    tell("mirrors", leftovers::evict_idle_mirrors(tools).await);
    tell("Docker servers", leftovers::stop_idle_servers(tools).await);
    let dropped = leftovers::drop_idle_layers(tools, false).await;
    tell("layers of images", dropped.map(drop));
    let expired = leftovers::expire_logs(tools, false).await;
    if let Ok(ExpiredLogs { streams, bytes }) = expired
        && streams > 0
    {
        tracing::info!("removed {streams} old logs, {bytes} bytes");
    }
    tell("old logs", expired.map(drop));
}

/// One kind of leftovers that cannot be removed keeps no other kind back.
fn tell(what: &str, removed: anyhow::Result<()>) {
    if let Err(error) = removed {
        tracing::warn!("cannot remove {what}: {error:#}");
    }
}
