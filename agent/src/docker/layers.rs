//! Volumes in which layers of images outlive the container that made them.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::errors::Error as ClientError;
use bollard::query_parameters::{ListVolumesOptions, RemoveVolumeOptions};
use executor::protocol::channel::EXIT_TOO_LARGE;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest, Sha256};

use super::spec::{ContainerSpec, LABEL_DATA_DIRECTORY, Limits, Mount, Owner, Privileges, Volume};
use super::{ContainerName, DockerError, Engine};

/// Where an engine keeps its layers.
pub(super) const LAYERS: &str = "/var/lib/docker";

/// Volumes that a project has at most. An engine needs its layers for itself alone: builds that run at the same
/// time take one each, and those for which none is left start without layers.
const MOST: usize = 4;

/// A project's volume of layers, held by one build.
#[derive(Debug)]
pub struct LayerVolume {
    name: String,
    _lock: Flock<File>,
}

impl LayerVolume {
    /// Takes a volume of a project that nobody uses; `None` if all are in use. `directory` is the agent's for
    /// the locks.
    pub fn take(directory: &Path, project: &str) -> io::Result<Option<Self>> {
        fs::create_dir_all(directory)?;
        for name in names(directory, project) {
            let taken = Self::lock(directory, name)?;
            if taken.is_some() {
                return Ok(taken);
            }
        }
        Ok(None)
    }

    /// The volumes of a project that were used once and nobody uses now.
    pub fn unused(directory: &Path, project: &str) -> io::Result<Vec<Self>> {
        let mut unused = Vec::new();
        for name in names(directory, project) {
            if directory.join(&name).exists() {
                unused.extend(Self::lock(directory, name)?);
            }
        }
        Ok(unused)
    }

    fn lock(directory: &Path, name: String) -> io::Result<Option<Self>> {
        // That cuts it off, short as it is, tells when it was used.
        let file = File::create(directory.join(&name))?;
        Self::hold(name, file)
    }

    fn hold(name: String, file: File) -> io::Result<Option<Self>> {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(Self { name, _lock: lock })),
            Err((_, Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, error)) => Err(error.into()),
        }
    }

    /// Holds a volume that nobody has used for so long. `lock` is the file that its users lock, and that is
    /// written to by nobody else.
    fn idle(name: String, lock: &Path, idle: Duration) -> io::Result<Option<Self>> {
        let file = match File::open(lock) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let used = file.metadata()?.modified()?;
        if used.elapsed().is_ok_and(|age| age > idle) {
            Self::hold(name, file)
        } else {
            Ok(None)
        }
    }

    /// The engine's name of it.
    pub fn name(&self) -> &str {
        &self.name
    }
}

fn names(directory: &Path, project: &str) -> impl Iterator<Item = String> {
    let name = unique("layers", directory, project);
    (0..MOST).map(move |number| format!("{name}-{number}"))
}

/// A name for what belongs to a project of one agent: other agents of this machine have theirs.
pub(super) fn unique(kind: &str, directory: &Path, project: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(directory.as_os_str().as_encoded_bytes());
    hash.update([0]);
    hash.update(project.as_bytes());
    let hash = hash.finalize();
    let mut number = [0; 8];
    number.copy_from_slice(&hash[..8]);
    format!("buildspec-agent-{kind}-{:016x}", u64::from_be_bytes(number))
}

/// What it takes to look into a volume.
#[derive(Debug, Clone)]
pub struct VolumeProbe {
    /// Data directory of the agent.
    pub data_directory: PathBuf,
    /// The executor's program.
    pub executor: PathBuf,
    /// An image that the engine has.
    pub image: String,
    /// What a volume may hold, in bytes.
    pub limit_bytes: u64,
}

impl Engine {
    /// Removes a volume that nobody uses and that holds more than it may. Tells whether it did.
    pub async fn drop_if_too_large(
        &self,
        volume: &str,
        probe: &VolumeProbe,
    ) -> Result<bool, DockerError> {
        let name = ContainerName::named(format!("{volume}-probe"));
        // One of an agent that died.
        self.remove_container(&name.to_string()).await?;
        let spec = ContainerSpec {
            name,
            owner: Owner::Agent,
            data_directory: probe.data_directory.clone(),
            image: probe.image.clone(),
            command: vec![
                "/executor".to_owned(),
                "measure".to_owned(),
                probe.limit_bytes.to_string(),
                LAYERS.to_owned(),
            ],
            working_directory: "/".to_owned(),
            mounts: vec![Mount {
                source: probe.executor.clone(),
                target: "/executor".to_owned(),
                read_only: true,
            }],
            volumes: vec![Volume {
                name: Some(volume.to_owned()),
                target: LAYERS.to_owned(),
            }],
            memory_directories: Vec::new(),
            privileges: Privileges::Ordinary(Vec::new()),
            limits: Limits::default(),
            network: "none".to_owned(),
            keeps_log: false,
        };
        let container = self.start_container(spec).await?;
        let exit = container.wait().await;
        container.remove().await?;
        let is_too_large = exit?.code == i64::from(EXIT_TOO_LARGE);
        if is_too_large {
            self.remove_volume(volume).await?;
        }
        Ok(is_too_large)
    }

    /// The volumes of an agent's layers that no build has used for so long, held so that none takes them.
    /// `directories` are the agent's for the layers of builds and for Docker servers.
    pub async fn idle_layers(
        &self,
        data_directory: &Path,
        directories: [&Path; 2],
        idle: Duration,
    ) -> Result<Vec<LayerVolume>, DockerError> {
        let label = format!("{LABEL_DATA_DIRECTORY}={}", data_directory.display());
        let options = ListVolumesOptions {
            filters: Some(HashMap::from([("label".to_owned(), vec![label])])),
        };
        let listed = self.client.list_volumes(Some(options)).await;
        let listed = listed.map_err(DockerError::request("list volumes"))?;
        let [layers, servers] = directories;
        let mut found = Vec::new();
        for volume in listed.volumes.into_iter().flatten() {
            let name = volume.name;
            for lock in [layers.join(&name), servers.join(&name).join("users")] {
                let held = LayerVolume::idle(name.clone(), &lock, idle);
                // A volume whose lock cannot be had is somebody's.
                found.extend(held.ok().flatten());
            }
        }
        Ok(found)
    }

    /// Removes a volume. One that does not exist is removed already.
    pub async fn remove_volume(&self, volume: &str) -> Result<(), DockerError> {
        let removed = self
            .client
            .remove_volume(volume, None::<RemoveVolumeOptions>)
            .await;
        match removed {
            Ok(())
            | Err(ClientError::DockerResponseServerError {
                status_code: 404, ..
            }) => Ok(()),
            Err(error) => Err(DockerError::request(format!("remove volume {volume}"))(
                error,
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn every_build_at_a_time_has_a_volume_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let take = || LayerVolume::take(directory.path(), "demo").unwrap();
        let mut taken: Vec<_> = (0..MOST).map(|_| take().unwrap()).collect();
        assert!(take().is_none());
        let last = taken.pop().unwrap().name().to_owned();
        assert_eq!(take().unwrap().name(), last);
        let unused = LayerVolume::unused(directory.path(), "demo").unwrap();
        assert_eq!(unused.len(), 1);
        assert_ne!(
            LayerVolume::take(directory.path(), "other")
                .unwrap()
                .unwrap()
                .name(),
            taken[0].name()
        );
    }

    #[test]
    fn layers_are_idle_when_their_last_use_was_long_ago() {
        let directory = tempfile::tempdir().unwrap();
        let (day, hour) = (Duration::from_hours(24), Duration::from_hours(1));
        let name = LayerVolume::take(directory.path(), "demo")
            .unwrap()
            .unwrap()
            .name;
        let lock = directory.path().join(&name);
        let idle = || LayerVolume::idle(name.clone(), &lock, day).unwrap();
        assert!(idle().is_none());
        let age = |age: Duration| {
            let used = SystemTime::now() - age;
            File::open(&lock).unwrap().set_modified(used).unwrap();
        };
        age(day + hour);
        assert!(idle().is_some());
        assert!(idle().is_some(), "to look at it is no use of it");
        let taken = LayerVolume::take(directory.path(), "demo").unwrap();
        assert!(idle().is_none(), "it was used just now");
        age(day + hour);
        assert!(idle().is_none(), "it is in use");
        drop(taken);
        let gone = directory.path().join("gone");
        assert!(
            LayerVolume::idle(name.clone(), &gone, day)
                .unwrap()
                .is_none()
        );
    }
}
