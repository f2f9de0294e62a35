//! Leftovers of agents that died: found by labels and locks, removed.
//!
//! A build belongs to a living agent for as long as somebody holds the lock of its directory.
//! Containers of other data directories are other agents' business. A build that can be taken up is
//! none of the leftovers, for a while.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use tokio::task::spawn_blocking;
use uuid::Uuid;

use super::recovery;
use crate::build::{Tools, idle_layers, remove_as_root, servers, stop_idle_server};
use crate::cache::Trash;
use crate::data_directory::{BuildDirectory, Removal};
use crate::docker::OwnedContainer;
use crate::logs::{ExpiredLogs, KeptLogs, LogBound};
use crate::source::git::{Evicted, Mirrors};

/// What a dead agent left of one build.
#[derive(Debug)]
pub struct Leftover {
    /// The build.
    pub build: Uuid,
    /// Its containers.
    pub containers: Vec<OwnedContainer>,
    /// Its directory, held so that nobody else takes it.
    directory: Option<BuildDirectory>,
}

impl Leftover {
    /// Whether there is a directory.
    pub fn has_directory(&self) -> bool {
        self.directory.is_some()
    }

    /// Whether the build can be taken up, and was left a short time ago.
    pub fn is_awaited(&self) -> bool {
        self.directory.as_ref().is_some_and(recovery::is_awaited)
    }
}

/// Finds what dead agents left in this data directory and on the engine.
pub async fn leftovers(tools: &Tools) -> anyhow::Result<Vec<Leftover>> {
    let mut builds: BTreeMap<Uuid, Vec<OwnedContainer>> = tools
        .data
        .builds()?
        .into_iter()
        .map(|build| (build, Vec::new()))
        .collect();
    for container in tools.engine.containers_of(tools.data.root()).await? {
        builds.entry(container.build).or_default().push(container);
    }
    let mut leftovers = Vec::new();
    for (build, containers) in builds {
        if let Some(directory) = tools.data.take_over_build(build)? {
            leftovers.push(Leftover {
                build,
                containers,
                directory: Some(directory),
            });
        } else if !tools.data.has_build(build) {
            leftovers.push(Leftover {
                build,
                containers,
                directory: None,
            });
        }
    }
    Ok(leftovers)
}

/// Removes mirrors of repositories that nobody uses any more, and those beyond the configured size; with
/// `dry_run` only tells which.
pub fn evict_mirrors(tools: &Tools, dry_run: bool) -> io::Result<Vec<Evicted>> {
    let config = &tools.config.sources;
    let idle = Duration::from_secs(config.mirrors_idle_days.saturating_mul(24 * 60 * 60));
    Mirrors::new(tools.data.sources()).evict(
        config.mirrors_limit_gib.saturating_mul(1 << 30),
        idle,
        dry_run,
    )
}

/// Removes a leftover. `cleaner_image` is an image the engine has, for files only root can remove.
pub async fn remove(leftover: &Leftover, tools: &Tools, cleaner_image: &str) -> anyhow::Result<()> {
    for container in &leftover.containers {
        tools.engine.remove_container(&container.id).await?;
    }
    if let Some(directory) = &leftover.directory
        && directory.remove()? == Removal::NeedsRoot
    {
        let image = leftover
            .containers
            .first()
            .map_or(cleaner_image, |container| &container.image);
        remove_as_root(leftover.build, image, tools, directory.path()).await?;
    }
    Ok(())
}

/// Removes what dead agents left, except builds that can be taken up. One that cannot be removed keeps no
/// other one back, and is told.
pub(super) async fn reap(tools: &Tools) -> anyhow::Result<()> {
    for leftover in leftovers(tools).await? {
        if leftover.is_awaited() {
            continue;
        }
        let build = leftover.build;
        match remove(&leftover, tools, &tools.config.image).await {
            Ok(()) => tracing::info!("removed what was left of build {build}"),
            Err(error) => tracing::warn!("cannot remove what was left of build {build}: {error:#}"),
        }
    }
    Ok(())
}

/// Moves the caches that do not fit any more into the trash.
pub fn discard_excess(tools: &Tools) -> anyhow::Result<()> {
    for entry in tools.cache.excess()? {
        tools.cache.discard(&entry)?;
    }
    Ok(())
}

/// Removes a cache that is in the trash.
pub async fn remove_trash(trash: &Trash, tools: &Tools, cleaner_image: &str) -> anyhow::Result<()> {
    if !trash.remove()? {
        remove_as_root(Uuid::new_v4(), cleaner_image, tools, &trash.path).await?;
    }
    Ok(())
}

/// Removes all that is in the trash.
pub(super) async fn empty_trash(tools: &Tools) -> anyhow::Result<()> {
    for trash in tools.cache.trash()? {
        remove_trash(&trash, tools, &tools.config.image).await?;
    }
    Ok(())
}

/// Removes caches that are too many, and those that no build finds any more.
pub(super) async fn evict_caches(tools: &Tools) -> anyhow::Result<()> {
    discard_excess(tools)?;
    empty_trash(tools).await
}

/// Removes mirrors that nobody uses.
pub(super) async fn evict_idle_mirrors(tools: &Tools) -> anyhow::Result<()> {
    let tools = tools.clone();
    for mirror in spawn_blocking(move || evict_mirrors(&tools, false)).await?? {
        tracing::info!("removed mirror {}", mirror.directory.display());
    }
    Ok(())
}

/// Stops the Docker servers whose builds are gone: those of an agent that died.
pub(super) async fn stop_idle_servers(tools: &Tools) -> anyhow::Result<()> {
    for server in servers(tools).await? {
        if stop_idle_server(&server, tools).await? {
            let project = server.project();
            tracing::info!("stopped the Docker server of project {project}, which nobody used");
        }
    }
    Ok(())
}

/// Drops layers of images that no build has used for long, and gives the names of their volumes; with `dry_run` only
/// tells which.
pub async fn drop_idle_layers(tools: &Tools, dry_run: bool) -> anyhow::Result<Vec<String>> {
    let mut dropped = Vec::new();
    for volume in idle_layers(tools).await? {
        if !dry_run {
            tools.engine.remove_volume(volume.name()).await?;
            tracing::info!("dropped layers of images, volume {}", volume.name());
        }
        dropped.push(volume.name().to_owned());
    }
    Ok(dropped)
}

/// Removes kept logs that are too old or too many; with `dry_run` only tells how many.
pub async fn expire_logs(tools: &Tools, dry_run: bool) -> anyhow::Result<ExpiredLogs> {
    let retention = &tools.config.retention;
    let bound = LogBound {
        age: retention.logs(),
        bytes: retention.logs_limit_bytes(),
    };
    let logs = KeptLogs::new(tools.data.kept_logs());
    Ok(spawn_blocking(move || logs.expire(bound, dry_run)).await??)
}
