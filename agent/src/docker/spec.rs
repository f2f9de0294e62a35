//! What a container is to be, and how the engine is told.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount as EngineMount, MountType,
    MountVolumeOptions,
};
use uuid::Uuid;

use super::ContainerName;

/// Label with the UUID of the build a container belongs to.
pub(super) const LABEL_BUILD: &str = "buildspec-agent.build";

/// Label with the number of the attempt at the build.
pub(super) const LABEL_ATTEMPT: &str = "buildspec-agent.attempt";

/// Label with the project whose Docker server a container is.
pub(super) const LABEL_DOCKER_SERVER: &str = "buildspec-agent.docker-server";

/// Label with the data directory of the agent a container belongs to.
pub(super) const LABEL_DATA_DIRECTORY: &str = "buildspec-agent.data-directory";

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

/// A volume of the engine's in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its name; one without goes with the container.
    pub name: Option<String>,
    /// Absolute path in the container.
    pub target: String,
}

/// Whom a container serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// A build.
    Build {
        /// Its identity.
        id: Uuid,
        /// Which attempt at it, if it matters.
        attempt: Option<u32>,
    },
    /// The builds of the project of this name.
    DockerServer(String),
    /// The agent itself, for a moment.
    Agent,
}

/// A container to make.
#[derive(Debug, Clone)]
pub struct ContainerSpec {
    /// Its name.
    pub name: ContainerName,
    /// Whom it serves.
    pub owner: Owner,
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
    /// Volumes of the engine.
    pub volumes: Vec<Volume>,
    /// Directories in memory, with their mount options.
    pub memory_directories: Vec<(String, String)>,
    /// What it may do to the machine.
    pub privileges: Privileges,
    /// How much of the machine it gets.
    pub limits: Limits,
    /// Network it joins: the engine's name of one, or `none`.
    pub network: String,
    /// Whether the engine keeps the end of what its program writes.
    pub keeps_log: bool,
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

fn labels(owner: Owner, data_directory: &Path) -> HashMap<String, String> {
    let directory = data_directory.to_string_lossy().into_owned();
    let mut labels = HashMap::from([(LABEL_DATA_DIRECTORY.to_owned(), directory)]);
    match owner {
        Owner::Build { id, attempt } => {
            labels.insert(LABEL_BUILD.to_owned(), id.to_string());
            if let Some(attempt) = attempt {
                labels.insert(LABEL_ATTEMPT.to_owned(), attempt.to_string());
            }
        }
        Owner::DockerServer(project) => {
            labels.insert(LABEL_DOCKER_SERVER.to_owned(), project);
        }
        Owner::Agent => {}
    }
    labels
}

fn log_driver(keeps_log: bool) -> HostConfigLogConfig {
    let (driver, options) = if keeps_log {
        let options = [("max-size", "1m"), ("max-file", "1"), ("compress", "false")];
        let options = options.map(|(name, value)| (name.to_owned(), value.to_owned()));
        ("local", Some(HashMap::from(options)))
    } else {
        ("none", None)
    };
    HostConfigLogConfig {
        typ: Some(driver.to_owned()),
        config: options,
    }
}

/// The engine's form of a specification.
pub(super) fn create_body(spec: ContainerSpec) -> ContainerCreateBody {
    let mounts = spec.mounts.into_iter().map(|mount| EngineMount {
        source: Some(mount.source.to_string_lossy().into_owned()),
        target: Some(mount.target),
        typ: Some(MountType::BIND),
        read_only: Some(mount.read_only),
        ..EngineMount::default()
    });
    let volumes = spec.volumes.into_iter().map(|volume| EngineMount {
        source: volume.name,
        target: Some(volume.target),
        typ: Some(MountType::VOLUME),
        volume_options: Some(MountVolumeOptions {
            labels: Some(labels(Owner::Agent, &spec.data_directory)),
            ..MountVolumeOptions::default()
        }),
        ..EngineMount::default()
    });
    let labels = labels(spec.owner, &spec.data_directory);
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
        mounts: Some(mounts.chain(volumes).collect()),
        tmpfs: Some(spec.memory_directories.into_iter().collect()),
        // The executor writes the log to the spool; a log driver would copy it once more.
        log_config: Some(log_driver(spec.keeps_log)),
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
        labels: Some(labels),
        host_config: Some(host_config),
        ..ContainerCreateBody::default()
    }
}
