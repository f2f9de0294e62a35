//! Containers: made, started, waited for, removed.

use std::collections::HashMap;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use bollard::errors::Error as ClientError;
use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount as EngineMount, MountType,
};
use bollard::query_parameters::{
    CreateContainerOptions, DownloadFromContainerOptions, InspectContainerOptions,
    ListContainersOptions, RemoveContainerOptions, StartContainerOptions, WaitContainerOptions,
};
use futures_util::StreamExt;
use uuid::Uuid;

use super::{DockerError, Engine, is_not_found};

/// What a tar archive of one file holds besides the file, in bytes: headers, among them one for a
/// long name, and the padding of the engine's writer.
const ARCHIVE_OVERHEAD_BYTES: usize = 64 * 1024;

/// Label with the UUID of the build a container belongs to.
pub(super) const LABEL_BUILD: &str = "buildspec-agent.build";

/// Label with the data directory of the agent a container belongs to.
pub(super) const LABEL_DATA_DIRECTORY: &str = "buildspec-agent.data-directory";

/// Name of a build's container, which follows from the build: whoever knows the build can remove
/// the container, even when the answer to its creation was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerName(String);

impl ContainerName {
    /// The name of a build's container.
    pub fn of_build(build: Uuid) -> Self {
        Self(format!("buildspec-agent-{build}"))
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

/// A directory of the host in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Absolute path on the host.
    pub source: PathBuf,
    /// Absolute path in the container.
    pub target: String,
    /// Whether the container can only read it.
    pub read_only: bool,
}

/// A container to make.
#[derive(Debug, Clone)]
pub struct ContainerSpec {
    /// Its name.
    pub name: ContainerName,
    /// Build it belongs to.
    pub build: Uuid,
    /// Data directory of the agent it belongs to.
    pub data_directory: PathBuf,
    /// Image, which the engine has.
    pub image: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Directory in which the program starts.
    pub working_directory: String,
    /// Directories of the host.
    pub mounts: Vec<Mount>,
    /// Directories in memory, with their mount options.
    pub memory_directories: Vec<(String, String)>,
    /// What it may do to the machine.
    pub privileges: Privileges,
    /// How much of the machine it gets.
    pub limits: Limits,
    /// Network it joins: the engine's name of one, or `none`.
    pub network: String,
}

/// What a container may do to the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Privileges {
    /// The engine's default capabilities and these.
    Ordinary(Vec<String>),
    /// Everything.
    Privileged,
    /// These capabilities, and all that does not need others.
    Capabilities(Vec<String>),
}

/// How much of the machine a container gets; `None` for all of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Number of processors.
    pub processors: Option<u32>,
    /// Memory and swap together, in bytes.
    pub memory_bytes: Option<u64>,
    /// Number of processes and threads.
    pub processes: Option<u32>,
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

    /// Removes a container with all its processes. One that does not exist is removed already.
    pub async fn remove_container(&self, name: &str) -> Result<(), DockerError> {
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
            Err(error) => Err(DockerError::request(format!("remove container {name}"))(
                error,
            )),
        }
    }

    /// Finds the containers that belong to a data directory, running or not.
    pub async fn containers_of(
        &self,
        data_directory: &Path,
    ) -> Result<Vec<OwnedContainer>, DockerError> {
        let label = format!("{LABEL_DATA_DIRECTORY}={}", data_directory.display());
        let options = ListContainersOptions {
            all: true,
            filters: Some(HashMap::from([("label".to_owned(), vec![label])])),
            ..ListContainersOptions::default()
        };
        let found = self.client.list_containers(Some(options)).await;
        let found = found.map_err(DockerError::request("list containers"))?;
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
}

fn create_body(spec: ContainerSpec) -> ContainerCreateBody {
    let mounts = spec.mounts.into_iter().map(|mount| EngineMount {
        source: Some(mount.source.to_string_lossy().into_owned()),
        target: Some(mount.target),
        typ: Some(MountType::BIND),
        read_only: Some(mount.read_only),
        ..EngineMount::default()
    });
    let memory = spec
        .limits
        .memory_bytes
        .and_then(|bytes| i64::try_from(bytes).ok());
    let mut host_config = HostConfig {
        memory,
        memory_swap: memory,
        nano_cpus: spec
            .limits
            .processors
            .map(|processors| i64::from(processors) * 1_000_000_000),
        pids_limit: spec.limits.processes.map(i64::from),
        mounts: Some(mounts.collect()),
        tmpfs: Some(spec.memory_directories.into_iter().collect()),
        // The executor writes the log to the spool; a log driver would copy it once more.
        log_config: Some(HostConfigLogConfig {
            typ: Some("none".to_owned()),
            config: None,
        }),
        network_mode: Some(spec.network),
        ..HostConfig::default()
    };
    match spec.privileges {
        Privileges::Ordinary(capabilities) => host_config.cap_add = Some(capabilities),
        Privileges::Privileged => host_config.privileged = Some(true),
        Privileges::Capabilities(capabilities) => {
            host_config.cap_add = Some(capabilities);
            host_config.security_opt = Some(vec![
                "seccomp=unconfined".to_owned(),
                "apparmor=unconfined".to_owned(),
            ]);
            host_config.device_cgroup_rules = Some(vec!["a *:* rwm".to_owned()]);
            host_config.masked_paths = Some(Vec::new());
            host_config.readonly_paths = Some(Vec::new());
        }
    }
    ContainerCreateBody {
        image: Some(spec.image),
        // CodeBuild runs everything as root, whatever USER the image names.
        user: Some("0:0".to_owned()),
        entrypoint: Some(spec.command),
        cmd: Some(Vec::new()),
        working_dir: Some(spec.working_directory),
        labels: Some(HashMap::from([
            (LABEL_BUILD.to_owned(), spec.build.to_string()),
            (
                LABEL_DATA_DIRECTORY.to_owned(),
                spec.data_directory.to_string_lossy().into_owned(),
            ),
        ])),
        host_config: Some(host_config),
        ..ContainerCreateBody::default()
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
    /// Waits for the end of the container's first process.
    pub async fn wait(&self) -> Result<ContainerExit, DockerError> {
        let mut answers = std::pin::pin!(
            self.engine
                .client
                .wait_container(&self.name.0, None::<WaitContainerOptions>)
        );
        let code = match answers.next().await {
            Some(Ok(answer)) => answer.status_code,
            Some(Err(ClientError::DockerContainerWaitError { code, .. })) => code,
            Some(Err(error)) => {
                return Err(DockerError::request(format!(
                    "wait for container {}",
                    self.name
                ))(error));
            }
            None => -1,
        };
        Ok(ContainerExit {
            code,
            out_of_memory: self.ran_out_of_memory().await,
        })
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
