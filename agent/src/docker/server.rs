//! Docker servers: engines of their own, one for each project, in containers of their own.
//!
//! A server runs while a build of the project uses it, and its layers lie in a volume that outlives it
//! (user guide, "Docker server": stopped between builds, layers kept). Who uses it is told by locks, which
//! end with their process, whatever becomes of that:
//!
//! ```text
//! <directory>/<server>/lock      held while a server is started or stopped
//!                      users     shared by the builds that use it
//!                      run/      the server's socket
//! ```

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use tokio::time::Instant;

use super::layers::{LAYERS, VolumeProbe, unique};
use super::spec::{ContainerSpec, Limits, Mount, Owner, Privileges, Volume};
use super::{ContainerName, DockerError, Engine};

/// The socket's directory in the server's container, and its name there.
const RUN: &str = "/run/buildspec-agent";
const SOCKET: &str = "docker.sock";

/// How long a server may take until it answers, and to end.
const START_LIMIT: Duration = Duration::from_mins(1);
const STOP_LIMIT_SECONDS: i32 = 20;

/// How often a server that starts is asked whether it is there.
const INTERVAL: Duration = Duration::from_millis(10);

/// Where the server of a project is, running or not.
#[derive(Debug, Clone)]
pub struct ServerPlace {
    name: String,
    project: String,
    directory: PathBuf,
}

/// How a server is run.
#[derive(Debug, Clone)]
pub struct ServerSpec {
    /// Image with `dockerd-entrypoint.sh`, which the engine has.
    pub image: String,
    /// Data directory of the agent.
    pub data_directory: PathBuf,
    /// The executor's program.
    pub executor: PathBuf,
    /// What it may do to the machine.
    pub privileges: Privileges,
    /// How much of the machine it gets.
    pub limits: Limits,
    /// Network it joins.
    pub network: String,
    /// Group whose members may use it.
    pub group: u32,
}

/// A server that runs for as long as somebody holds one of these, and at least until the next
/// [`Engine::stop_idle_server`].
#[derive(Debug)]
pub struct DockerServer {
    socket: PathBuf,
    _user: Flock<File>,
}

/// A server that could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Its files on this machine.
    #[error("cannot use {}", path.display())]
    Files {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Its container.
    #[error("cannot run the Docker server of project {project}")]
    Container {
        /// Name of the project.
        project: String,
        /// What the engine says.
        source: DockerError,
    },
    /// It runs and gives no answer, or has ended.
    #[error("the Docker server of project {project} {what}; the end of its log: {log}")]
    Silent {
        /// Name of the project.
        project: String,
        /// What it did instead.
        what: &'static str,
        /// What it wrote last.
        log: String,
    },
}

impl ServerPlace {
    /// The place of a project's server. `directory` is the agent's for all servers.
    pub fn new(directory: &Path, project: &str) -> Self {
        let name = unique("docker", directory, project);
        Self {
            directory: directory.join(&name),
            project: project.to_owned(),
            name,
        }
    }

    /// The project.
    pub fn project(&self) -> &str {
        &self.project
    }

    /// The volume with its layers.
    pub fn volume(&self) -> &str {
        &self.name
    }

    fn run(&self) -> PathBuf {
        self.directory.join("run")
    }

    fn container(&self) -> impl FnOnce(DockerError) -> ServerError {
        let project = self.project.clone();
        move |source| ServerError::Container { project, source }
    }

    /// Takes a lock file. Waiting for it is done off the async threads.
    async fn lock(&self, file: &str, kind: FlockArg) -> Result<Option<Flock<File>>, ServerError> {
        let path = self.directory.join(file);
        let (directory, locked) = (self.directory.clone(), path.clone());
        let taken = tokio::task::spawn_blocking(move || {
            fs::create_dir_all(&directory)?;
            match Flock::lock(File::create(&locked)?, kind) {
                Ok(lock) => Ok(Some(lock)),
                Err((_, Errno::EWOULDBLOCK)) => Ok(None),
                Err((_, error)) => Err(error.into()),
            }
        });
        let taken = taken
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)));
        taken.map_err(files(path))
    }
}

fn files(path: PathBuf) -> impl FnOnce(io::Error) -> ServerError {
    move |source| ServerError::Files { path, source }
}

impl DockerServer {
    /// Its socket on this machine.
    pub fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Engine {
    /// Takes part in the use of a project's server, which is started where it does not run.
    pub async fn use_server(
        &self,
        place: &ServerPlace,
        spec: ServerSpec,
    ) -> Result<DockerServer, ServerError> {
        let _starting = place.lock("lock", FlockArg::LockExclusive).await?;
        let user = place.lock("users", FlockArg::LockShared).await?;
        let user = user.ok_or_else(|| {
            files(place.directory.clone())(io::Error::other("the lock is not given"))
        })?;
        let run = place.run();
        fs::create_dir_all(&run).map_err(files(run.clone()))?;
        if !answers(&run).await {
            self.start_server(place, spec, &run).await?;
        }
        Ok(DockerServer {
            socket: run.join(SOCKET),
            _user: user,
        })
    }

    async fn start_server(
        &self,
        place: &ServerPlace,
        spec: ServerSpec,
        run: &Path,
    ) -> Result<(), ServerError> {
        let name = ContainerName::named(place.name.clone());
        let removed = self.remove_container(&name.to_string()).await;
        removed.map_err(place.container())?;
        // That of a server before, on which nobody listens.
        let _ = fs::remove_file(run.join(SOCKET));
        let spec = container_spec(place, spec, run);
        let server = self
            .start_container(spec)
            .await
            .map_err(place.container())?;
        let deadline = Instant::now() + START_LIMIT;
        let what = tokio::select! {
            () = wait_for(run) => return Ok(()),
            _ = server.wait() => "has ended",
            () = tokio::time::sleep_until(deadline) => "does not answer",
        };
        let log = self.last_words(&name.to_string()).await;
        // Nobody uses what does not work.
        let _ = server.remove().await;
        Err(ServerError::Silent {
            project: place.project.clone(),
            what,
            log,
        })
    }

    /// Stops a project's server if nobody uses it, and drops its layers if they are more than they may be.
    /// Tells whether there was a server to stop.
    pub async fn stop_idle_server(
        &self,
        place: &ServerPlace,
        probe: &VolumeProbe,
    ) -> Result<bool, ServerError> {
        if !place.directory.exists() {
            return Ok(false);
        }
        let _stopping = place.lock("lock", FlockArg::LockExclusive).await?;
        let users = place.lock("users", FlockArg::LockExclusiveNonblock).await?;
        if users.is_none() {
            return Ok(false);
        }
        let stopped = self.stop_container(&place.name, STOP_LIMIT_SECONDS).await;
        let was_there = stopped.map_err(place.container())?;
        if was_there {
            let removed = self.remove_container(&place.name).await;
            removed.map_err(place.container())?;
            let dropped = self.drop_if_too_large(place.volume(), probe).await;
            if dropped.map_err(place.container())? {
                tracing::info!(
                    project = place.project,
                    "the layers of project {} were more than they may be and are gone",
                    place.project
                );
            }
        }
        Ok(was_there)
    }

    /// The servers of an agent whose containers are there. `directory` is the agent's for all servers.
    pub async fn servers_of(
        &self,
        data_directory: &Path,
        directory: &Path,
    ) -> Result<Vec<ServerPlace>, DockerError> {
        let projects = self.server_projects(data_directory).await?;
        Ok(projects
            .iter()
            .map(|project| ServerPlace::new(directory, project))
            .collect())
    }
}

fn container_spec(place: &ServerPlace, spec: ServerSpec, run: &Path) -> ContainerSpec {
    ContainerSpec {
        name: ContainerName::named(place.name.clone()),
        owner: Owner::DockerServer(place.project.clone()),
        data_directory: spec.data_directory,
        image: spec.image,
        command: vec![
            "/executor".to_owned(),
            "confine".to_owned(),
            "dockerd-entrypoint.sh".to_owned(),
            format!("--host=unix://{RUN}/{SOCKET}"),
            format!("--group={}", spec.group),
        ],
        working_directory: "/".to_owned(),
        mounts: vec![
            Mount {
                source: spec.executor,
                target: "/executor".to_owned(),
                read_only: true,
            },
            Mount {
                source: run.to_owned(),
                target: RUN.to_owned(),
                read_only: false,
            },
        ],
        volumes: vec![Volume {
            name: Some(place.name.clone()),
            target: LAYERS.to_owned(),
        }],
        memory_directories: Vec::new(),
        privileges: spec.privileges,
        limits: spec.limits,
        network: spec.network,
        keeps_log: true,
    }
}

/// Whether a server answers at the socket in a directory.
async fn answers(run: &Path) -> bool {
    if !run.join(SOCKET).exists() {
        return false;
    }
    let Ok(directory) = File::open(run) else {
        return false;
    };
    // Through the descriptor: a socket's own path must be shorter than 108 bytes.
    let address = format!("unix:///proc/self/fd/{}/{SOCKET}", directory.as_raw_fd());
    Engine::connect(&address).await.is_ok()
}

async fn wait_for(run: &Path) {
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        ticks.tick().await;
        if answers(run).await {
            return;
        }
    }
}
