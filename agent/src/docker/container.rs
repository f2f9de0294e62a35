//! Containers: made, started, waited for, removed.

use std::collections::HashMap;
use std::fmt;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use bollard::errors::Error as ClientError;
use bollard::models::ContainerSummary;
use bollard::query_parameters::{
    CreateContainerOptions, DownloadFromContainerOptions, InspectContainerOptions,
    ListContainersOptions, LogsOptions, RemoveContainerOptions, StartContainerOptions,
    StopContainerOptions, WaitContainerOptions,
};
use futures_util::StreamExt;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::spec::{
    ContainerSpec, LABEL_ATTEMPT, LABEL_BUILD, LABEL_DATA_DIRECTORY, LABEL_DOCKER_SERVER,
    create_body,
};
use super::{DockerError, Engine, is_away, is_not_found};

/// What a tar archive of one file holds besides the file, in bytes: headers, among them one for a
/// long name, and the padding of the engine's writer.
const ARCHIVE_OVERHEAD_BYTES: usize = 64 * 1024;

/// How long an engine that does not answer may be one that is being restarted.
const RESTART: Duration = Duration::from_mins(1);

/// Time between two looks whether it is back.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Lines of a container's output that are told when it failed.
const LAST_LINES: &str = "5";

/// Name of a build's container, which follows from the attempt at the build: whoever knows it can
/// remove the container, even when the answer to its creation was lost, and touches no container of
/// another attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerName(String);

impl ContainerName {
    /// The name of the container of an attempt at a build, from 1.
    pub fn of_build(build: Uuid, attempt: u32) -> Self {
        Self(match attempt {
            0 | 1 => format!("buildspec-agent-{build}"),
            later => format!("buildspec-agent-{build}-{later}"),
        })
    }

    /// A name of its own.
    pub(super) fn named(name: String) -> Self {
        Self(name)
    }

    /// The name of the container that removes what a build left behind.
    pub fn of_cleaner(build: Uuid) -> Self {
        Self(format!("buildspec-agent-{build}-cleaner"))
    }
}

impl fmt::Display for ContainerName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A container that was made for a build.
#[derive(Debug, Clone)]
pub struct BuildContainer {
    engine: Engine,
    name: ContainerName,
}

/// How a container's first process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContainerExit {
    /// Its exit code; 128 plus the signal's number if one ended it.
    pub code: i64,
    /// Whether the kernel killed a process of the container for want of memory.
    pub out_of_memory: bool,
}

/// A container found by its labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedContainer {
    /// The engine's identifier.
    pub id: String,
    /// The build it belongs to.
    pub build: Uuid,
    /// The image it runs.
    pub image: String,
}

impl Engine {
    /// Makes a container and starts it.
    pub async fn start_container(
        &self,
        spec: ContainerSpec,
    ) -> Result<BuildContainer, DockerError> {
        let name = spec.name.clone();
        let options = CreateContainerOptions {
            name: Some(name.to_string()),
            ..CreateContainerOptions::default()
        };
        let body = create_body(spec);
        let created = self.client.create_container(Some(options), body).await;
        created.map_err(DockerError::request(format!("create container {name}")))?;
        let container = BuildContainer {
            engine: self.clone(),
            name,
        };
        let started = self
            .client
            .start_container(&container.name.0, None::<StartContainerOptions>)
            .await;
        started.map_err(DockerError::request(format!(
            "start container {}",
            container.name
        )))?;
        Ok(container)
    }

    /// The container of this name, whether it exists or not.
    pub fn container(&self, name: ContainerName) -> BuildContainer {
        BuildContainer {
            engine: self.clone(),
            name,
        }
    }

    /// Removes a container with all its processes. One that does not exist is removed already.
    /// An engine that is being restarted is waited for.
    pub async fn remove_container(&self, name: &str) -> Result<(), DockerError> {
        let deadline = Instant::now() + RESTART;
        loop {
            match self.try_to_remove_container(name).await {
                Err(error) if is_away(&error) && Instant::now() < deadline => {
                    sleep(LOOK_AGAIN).await;
                }
                Err(error) => {
                    let operation = format!("remove container {name}");
                    return Err(DockerError::request(operation)(error));
                }
                Ok(()) => return Ok(()),
            }
        }
    }

    async fn try_to_remove_container(&self, name: &str) -> Result<(), ClientError> {
        let options = RemoveContainerOptions {
            force: true,
            v: true,
            ..RemoveContainerOptions::default()
        };
        match self.client.remove_container(name, Some(options)).await {
            // 409: another process is at it.
            Ok(())
            | Err(ClientError::DockerResponseServerError {
                status_code: 404 | 409,
                ..
            }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Asks a container to end, and kills it after a time. Tells whether it was there.
    pub(super) async fn stop_container(
        &self,
        name: &str,
        limit_seconds: i32,
    ) -> Result<bool, DockerError> {
        let options = StopContainerOptions {
            t: Some(limit_seconds),
            ..StopContainerOptions::default()
        };
        match self.client.stop_container(name, Some(options)).await {
            Ok(()) => Ok(true),
            Err(error) if is_not_found(&error) => Ok(false),
            Err(error) => Err(DockerError::request(format!("stop container {name}"))(
                error,
            )),
        }
    }

    /// The end of what a container's program wrote, in one line; empty where nothing was kept.
    pub(super) async fn last_words(&self, name: &str) -> String {
        let options = LogsOptions {
            stdout: true,
            stderr: true,
            tail: LAST_LINES.to_owned(),
            ..LogsOptions::default()
        };
        let lines: Vec<String> = self
            .client
            .logs(name, Some(options))
            .filter_map(async |line| Some(line.ok()?.to_string().trim().to_owned()))
            .collect()
            .await;
        lines.join(" | ")
    }

    /// The projects whose Docker servers belong to a data directory, running or not.
    pub(super) async fn server_projects(
        &self,
        data_directory: &Path,
    ) -> Result<Vec<String>, DockerError> {
        let found = self.labelled(data_directory).await?;
        let labels = found.into_iter().filter_map(|container| container.labels);
        Ok(labels
            .filter_map(|mut labels| labels.remove(LABEL_DOCKER_SERVER))
            .collect())
    }

    /// Finds the containers that belong to a data directory, running or not.
    pub async fn containers_of(
        &self,
        data_directory: &Path,
    ) -> Result<Vec<OwnedContainer>, DockerError> {
        let found = self.labelled(data_directory).await?;
        Ok(found
            .into_iter()
            .filter_map(|container| {
                let build = container.labels?.get(LABEL_BUILD)?.parse().ok()?;
                Some(OwnedContainer {
                    id: container.id?,
                    build,
                    image: container.image.unwrap_or_default(),
                })
            })
            .collect())
    }

    /// The container in which a build of a data directory runs: that of its latest attempt.
    pub async fn container_of_build(
        &self,
        data_directory: &Path,
        build: Uuid,
    ) -> Result<BuildContainer, DockerError> {
        let found = self.labelled(data_directory).await?;
        let attempts = found.into_iter().filter_map(|container| {
            let labels = container.labels?;
            let is_of_build = *labels.get(LABEL_BUILD)? == build.to_string();
            is_of_build.then(|| labels.get(LABEL_ATTEMPT)?.parse().ok())?
        });
        // The first attempts of agents before this one have no label.
        let attempt = attempts.max().unwrap_or(1);
        Ok(self.container(ContainerName::of_build(build, attempt)))
    }

    async fn labelled(&self, data_directory: &Path) -> Result<Vec<ContainerSummary>, DockerError> {
        let label = format!("{LABEL_DATA_DIRECTORY}={}", data_directory.display());
        let options = ListContainersOptions {
            all: true,
            filters: Some(HashMap::from([("label".to_owned(), vec![label])])),
            ..ListContainersOptions::default()
        };
        let found = self.client.list_containers(Some(options)).await;
        found.map_err(DockerError::request("list containers"))
    }
}

/// The content of an archive's first entry, if that is a file.
fn first_file(archive: &[u8]) -> Option<Vec<u8>> {
    let mut archive = tar::Archive::new(archive);
    let mut entry = archive.entries().ok()?.next()?.ok()?;
    let mut content = Vec::new();
    entry
        .header()
        .entry_type()
        .is_file()
        .then(|| entry.read_to_end(&mut content).ok())??;
    Some(content)
}

impl BuildContainer {
    /// The engine that runs it.
    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Its name.
    pub(super) fn name(&self) -> &ContainerName {
        &self.name
    }

    /// Waits for the end of the container's first process.
    /// While the engine is away nobody knows: where it is told to, containers outlive it.
    pub async fn wait(&self) -> Result<ContainerExit, DockerError> {
        loop {
            if let Some(exit) = self.wait_once().await? {
                return Ok(exit);
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Waits for as long as the engine does not go away.
    async fn wait_once(&self) -> Result<Option<ContainerExit>, DockerError> {
        let mut answers = std::pin::pin!(
            self.engine
                .client
                .wait_container(&self.name.0, None::<WaitContainerOptions>)
        );
        let code = match answers.next().await {
            Some(Ok(answer)) => answer.status_code,
            Some(Err(ClientError::DockerContainerWaitError { code, .. })) => code,
            Some(Err(error)) if is_not_found(&error) => {
                return Err(DockerError::NoContainer {
                    name: self.name.to_string(),
                });
            }
            Some(Err(error)) if is_away(&error) => return Ok(None),
            None => return Ok(None),
            Some(Err(error)) => {
                return Err(DockerError::request(format!(
                    "wait for container {}",
                    self.name
                ))(error));
            }
        };
        Ok(Some(ContainerExit {
            code,
            out_of_memory: self.ran_out_of_memory().await,
        }))
    }

    /// Removes the container with all its processes.
    pub async fn remove(&self) -> Result<(), DockerError> {
        self.engine.remove_container(&self.name.0).await
    }

    /// Reads a file of the container; `None` if there is none at the path, or something larger than
    /// `limit` bytes.
    pub async fn read_file(
        &self,
        path: &str,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, DockerError> {
        let options = DownloadFromContainerOptions {
            path: path.to_owned(),
        };
        let mut chunks = std::pin::pin!(
            self.engine
                .client
                .download_from_container(&self.name.0, Some(options))
        );
        // One file as a tar archive: a header, the file, padding.
        let mut archive = Vec::new();
        while let Some(chunk) = chunks.next().await {
            match chunk {
                Ok(bytes) => archive.extend_from_slice(&bytes),
                Err(error) if is_not_found(&error) => return Ok(None),
                Err(error) => {
                    return Err(DockerError::request(format!(
                        "read {path} of container {}",
                        self.name
                    ))(error));
                }
            }
            if archive.len() > limit + ARCHIVE_OVERHEAD_BYTES {
                return Ok(None);
            }
        }
        Ok(first_file(&archive))
    }

    async fn ran_out_of_memory(&self) -> bool {
        let inspected = self
            .engine
            .client
            .inspect_container(&self.name.0, None::<InspectContainerOptions>)
            .await;
        inspected
            .ok()
            .and_then(|container| container.state?.oom_killed)
            .unwrap_or(false)
    }
}
