//! What goes on beside the builds: signs of life, the passing of time in the queue, leftovers, the disk.

use std::sync::Arc;

use tokio::time::sleep;

use super::{AFTER_FAILURE, Node, housekeeping as leftovers, machine};
use crate::logs::Moment;

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

/// Removes what dead agents left on this machine.
pub(super) async fn housekeeping(node: Arc<Node>) {
    loop {
        clean(&node).await;
        sleep(node.config().housekeeping()).await;
    }
}

/// One search for leftovers.
pub(super) async fn clean(node: &Node) {
    if let Err(error) = try_to_clean(node).await {
        tracing::warn!("cannot remove what dead agents left: {error:#}");
    }
}

async fn try_to_clean(node: &Node) -> anyhow::Result<()> {
    for leftover in leftovers::leftovers(&node.tools).await? {
        if leftover.is_awaited() {
            continue;
        }
        let build = leftover.build;
        leftovers::remove(&leftover, &node.tools, &node.tools.config.image).await?;
        tracing::info!("removed what was left of build {build}");
    }
    leftovers::discard_excess(&node.tools)?;
    for trash in node.tools.cache.trash()? {
        leftovers::remove_trash(&trash, &node.tools, &node.tools.config.image).await?;
    }
    Ok(())
}

/// Takes nothing new while the disk is nearly full.
pub(super) fn look_at_disk(node: &Node) -> std::io::Result<()> {
    let floor = u64::from(node.config().disk_floor_mib);
    let free = machine::free_mib(node.tools.data.root())?;
    let full = (free < floor)
        .then(|| format!("its disk has {free} MiB left, less than the {floor} it keeps free"));
    node.closed.send_if_modified(|closed| {
        let was_full = closed.is_some();
        let changes = was_full != full.is_some();
        if let (true, Some(full)) = (changes, &full) {
            tracing::warn!("nothing new is taken: {full}");
        }
        *closed = full;
        changes
    });
    Ok(())
}
