//! A container that removes files on this machine which only root can remove.

use std::path::Path;

use anyhow::Context;
use executor::removal::remove_tree;
use uuid::Uuid;

use super::{Tools, image};
use crate::docker::{ContainerName, ContainerSpec, Limits, Mount, Owner, Privileges};

/// Removes a directory with files that a container made as root where the agent is not root, by another
/// container.
pub(crate) async fn remove_as_root(
    build: Uuid,
    image: &str,
    tools: &Tools,
    directory: &Path,
) -> anyhow::Result<()> {
    remove_in_container(build, image, tools, directory).await?;
    // What is left is this user's own.
    remove_tree(directory).with_context(|| format!("cannot remove {}", directory.display()))
}

/// Makes sure that containers find the data directory where this process has it: a directory in it that a
/// container removes has to be gone. Where the agent itself runs in a container, that takes a mount of the same
/// path. Gives `false` where it cannot be known because the engine lacks the image.
pub async fn probe_data_directory(tools: &Tools) -> anyhow::Result<bool> {
    let image = &tools.config.image;
    if image::stored_name(image, tools).await?.is_none() {
        return Ok(false);
    }
    let build = Uuid::new_v4();
    let directory = tools.data.create_build(build)?;
    let probe = directory.output();
    let removed = remove_in_container(build, image, tools, &probe).await;
    let is_gone = !probe.exists();
    directory.remove()?;
    let place = tools.data.root().display();
    let remedy = format!(
        "containers do not find {place} where this agent has it: if the agent runs in a container itself, mount the \
         data directory at the same path there as on the host"
    );
    removed.with_context(|| remedy.clone())?;
    anyhow::ensure!(is_gone, remedy);
    Ok(true)
}

async fn remove_in_container(
    build: Uuid,
    image: &str,
    tools: &Tools,
    directory: &Path,
) -> anyhow::Result<()> {
    // Its parent is mounted: the directory itself could not be removed as the root of a mount.
    let (Some(parent), Some(name)) = (directory.parent(), directory.file_name()) else {
        anyhow::bail!(
            "{} is no directory that can be removed",
            directory.display()
        );
    };
    let stored = image::stored_name(image, tools).await?;
    let spec = ContainerSpec {
        name: ContainerName::of_cleaner(build),
        owner: Owner::Build {
            id: build,
            attempt: None,
        },
        data_directory: tools.data.root().to_owned(),
        image: stored.unwrap_or_else(|| image.to_owned()),
        command: vec![
            "/executor".to_owned(),
            "remove".to_owned(),
            format!("/parent/{}", name.to_string_lossy()),
        ],
        working_directory: "/".to_owned(),
        mounts: vec![
            Mount {
                source: tools.data.executor()?,
                target: "/executor".to_owned(),
                read_only: true,
            },
            Mount {
                source: parent.to_owned(),
                target: "/parent".to_owned(),
                read_only: false,
            },
        ],
        volumes: Vec::new(),
        memory_directories: Vec::new(),
        privileges: Privileges::Ordinary(Vec::new()),
        limits: Limits::default(),
        network: "none".to_owned(),
        keeps_log: false,
    };
    let cleaner = tools.engine.start_container(spec).await?;
    let exit = cleaner.wait().await?;
    cleaner.remove().await?;
    let path = directory.display();
    anyhow::ensure!(
        exit.code == 0,
        "cannot remove {path}: the cleaner ended with exit code {}",
        exit.code
    );
    Ok(())
}
