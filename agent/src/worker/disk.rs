//! The disk of the data directory: nothing new is taken while it is nearly full, and caches go first.

use tokio::task::spawn_blocking;

use super::{Node, housekeeping, machine};
use crate::build::Tools;
use crate::source::git::Mirrors;

/// Looks whether the disk has room for new builds, and makes some where it can.
pub(super) async fn look(node: &Node) -> anyhow::Result<()> {
    let floor_mib = u64::from(node.config().disk_floor_mib);
    let root = node.tools.data.root();
    let mut free = machine::free_mib(root)?;
    if free < floor_mib {
        if let Err(error) = make_room(&node.tools, floor_mib).await {
            tracing::warn!("cannot make room on the disk: {error:#}");
        }
        free = machine::free_mib(root)?;
    }
    let full = (free < floor_mib)
        .then(|| format!("its disk has {free} MiB left, less than the {floor_mib} it keeps free"));
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

/// Removes what only makes later builds faster, and no build uses, until the disk has its floor free: caches, then
/// mirrors, each time the one that was not used for the longest time.
async fn make_room(tools: &Tools, floor_mib: u64) -> anyhow::Result<()> {
    let is_short = || Ok::<_, std::io::Error>(machine::free_mib(tools.data.root())? < floor_mib);
    while is_short()? {
        let Some(entry) = tools.cache.discard_oldest()? else {
            break;
        };
        housekeeping::empty_trash(tools).await?;
        tracing::info!("removed cache {} to make room", entry.path.display());
    }
    while is_short()? {
        let mirrors = Mirrors::new(tools.data.sources());
        let Some(mirror) = spawn_blocking(move || mirrors.evict_oldest()).await?? else {
            break;
        };
        let path = mirror.directory.display();
        tracing::info!("removed mirror {path} to make room");
    }
    Ok(())
}
