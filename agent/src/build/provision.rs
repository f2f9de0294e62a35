//! The container of a build: started, spoken to, removed.

use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use executor::protocol::{Order, channel, write_order};
use tokio_util::sync::CancellationToken;

use super::checkout::Checkout;
use super::cleaner::remove_as_root;
use super::docker_access::{self, Granted};
use super::image::{self, Image};
use super::journal::Journal;
use super::{Abort, Tools};
use crate::cache::Scope;
use crate::config::Config;
use crate::data_directory::{BuildDirectory, Removal};
use crate::docker::{
    BuildContainer, ContainerExit, ContainerName, ContainerSpec, DockerError, Limits, Mount, Owner,
};
use crate::logs::AgentLog;
use crate::model::{BuildRequest, ComputeConfiguration, ComputeType};
use crate::runtimes;

/// How often the executor's socket is tried while it starts; it is there a few milliseconds after
/// the container.
const CONNECT_INTERVAL: Duration = Duration::from_millis(2);

/// Processes and threads a build may have for each of its processors.
const PROCESSES_PER_PROCESSOR: u32 = 2048;

/// Exit code of a container that SIGKILL has ended.
const KILLED: i32 = 128 + 9;

/// Exit code that the engine gives to containers that were gone when it came back.
const LOST: i32 = 255;

/// More of the executor's last words is not read, in bytes.
const FAILURE_LIMIT: usize = 4096;

/// A container whose executor waits for orders.
#[derive(Debug)]
pub(super) struct Provisioned {
    container: BuildContainer,
    control: UnixStream,
    channel: PathBuf,
    /// ENTRYPOINT of the image.
    entrypoint: Vec<String>,
    /// Whether an engine is to run in the container.
    runs_docker: bool,
}

/// What the container is made from besides the build's own directory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places<'a> {
    /// The sources.
    pub(super) checkout: &'a Checkout,
    /// The kept caches of this machine, if the build may use them.
    pub(super) caches: Option<&'a Scope>,
    /// Its image.
    pub(super) image: &'a Image,
    /// How it gets to Docker.
    pub(super) docker: &'a Granted,
}

/// Gets what the container needs: its image, and the way to Docker that it asks for. What takes time is told
/// in the log, which is shown meanwhile.
pub(super) async fn needs(
    request: &BuildRequest,
    tools: &Tools,
    journal: &mut Journal<'_>,
    log: &mut AgentLog,
    stop: &CancellationToken,
) -> Result<(Image, Granted), Abort> {
    let needs = journal.show_during(async {
        tokio::join!(
            Box::pin(image::provide(request, tools, log)),
            Box::pin(docker_access::grant(request, tools))
        )
    });
    let needs = stop.run_until_cancelled(needs).await;
    let (image, docker) = needs.ok_or(Abort::Stopped)?;
    let (image, docker) = (image?, docker?);
    docker_access::tell(&docker, request, log)?;
    Ok((image, docker))
}

/// Starts the container of a build.
pub(super) async fn start(
    request: &BuildRequest,
    tools: &Tools,
    directory: &BuildDirectory,
    places: &Places<'_>,
) -> Result<Provisioned, Abort> {
    let spec = container_spec(request, tools, directory, places);
    let container = tools.engine.start_container(spec).await?;
    let channel = directory.channel();
    let control = join_executor(&container, &channel).await?;
    Ok(Provisioned {
        container,
        control,
        channel,
        entrypoint: places.image.entrypoint.clone(),
        runs_docker: places.docker.is_inside(),
    })
}

/// Joins the container of a build again whose agent died.
pub(super) async fn rejoin(
    request: &BuildRequest,
    tools: &Tools,
    directory: &BuildDirectory,
) -> Result<Provisioned, Abort> {
    let name = ContainerName::of_build(request.id.uuid, request.attempt);
    let container = tools.engine.container(name);
    let channel = directory.channel();
    let control = join_executor(&container, &channel).await?;
    Ok(Provisioned {
        container,
        control,
        channel,
        entrypoint: Vec::new(),
        runs_docker: false,
    })
}

/// Connects to the executor of a container, unless the container dies first.
async fn join_executor(container: &BuildContainer, channel: &Path) -> Result<UnixStream, Abort> {
    tokio::select! {
        control = connect(channel) => Ok(control?),
        exit = container.wait() => Err(death(exit?, channel)),
    }
}

fn container_spec(
    request: &BuildRequest,
    tools: &Tools,
    directory: &BuildDirectory,
    places: &Places<'_>,
) -> ContainerSpec {
    let mount = |source, target: &str, read_only| Mount {
        source,
        target: target.to_owned(),
        read_only,
    };
    let mut mounts = vec![
        mount(directory.readonly(), "/codebuild/readonly", true),
        mount(directory.output(), "/codebuild/output", false),
        mount(directory.channel(), channel::MOUNT, false),
    ];
    mounts.extend(places.checkout.mount());
    if let Some(scope) = places.caches {
        let source = scope.directory().to_owned();
        mounts.push(mount(source, channel::LOCAL_CACHE, true));
    }
    mounts.extend(places.docker.mount());
    ContainerSpec {
        name: ContainerName::of_build(request.id.uuid, request.attempt),
        owner: Owner::Build {
            id: request.id.uuid,
            attempt: Some(request.attempt),
        },
        data_directory: tools.data.root().to_owned(),
        image: places.image.name.clone(),
        command: executor_command(places.docker, tools),
        working_directory: "/codebuild/readonly".to_owned(),
        mounts,
        volumes: places.docker.volume().into_iter().collect(),
        // The environment between two commands lies here: values in it must not reach a disk.
        memory_directories: vec![(
            "/codebuild/output/tmp".to_owned(),
            "rw,exec,mode=0755".to_owned(),
        )],
        privileges: places.docker.privileges(),
        limits: limits_of(request.compute_type, request.compute_configuration.as_ref()),
        network: tools.config.network.clone(),
        keeps_log: false,
    }
}

fn executor_command(docker: &Granted, tools: &Tools) -> Vec<String> {
    let mut command = vec!["/codebuild/readonly/bin/executor".to_owned()];
    if docker.is_inside() {
        command.push("--keep-capabilities".to_owned());
    } else if tools.config.network == Config::default().network {
        // On a network that the operator chose, the neighbours may be wanted.
        command.push("--cut-off-neighbours".to_owned());
    }
    command
}

/// The compute type's processors, as far as this machine has them, and its memory. The number of
/// processes is limited in any case: a build that forks without end must not take the machine along.
pub(super) fn limits_of(
    compute_type: Option<ComputeType>,
    configuration: Option<&ComputeConfiguration>,
) -> Limits {
    let available = std::thread::available_parallelism()
        .map_or(1, |count| u32::try_from(count.get()).unwrap_or(u32::MAX));
    let processors = compute_type
        .and_then(ComputeType::processors)
        .or_else(|| configuration?.v_cpu)
        .map(|processors| processors.min(available));
    let memory_gib = compute_type
        .and_then(ComputeType::memory_gib)
        .or_else(|| configuration?.memory);
    Limits {
        processors,
        memory_bytes: memory_gib.map(|gib| u64::from(gib) << 30),
        processes: Some(
            processors
                .unwrap_or(available)
                .saturating_mul(PROCESSES_PER_PROCESSOR),
        ),
    }
}

/// Connects to an executor that listens.
pub(super) fn connect_now(channel: &Path) -> std::io::Result<UnixStream> {
    let directory = std::fs::File::open(channel)?;
    // Through the descriptor: a socket's own path must be shorter than 108 bytes.
    UnixStream::connect(format!(
        "/proc/self/fd/{}/{}",
        directory.as_raw_fd(),
        channel::SOCKET
    ))
}

/// Connects to the executor as soon as it listens.
async fn connect(channel: &Path) -> std::io::Result<UnixStream> {
    let mut ticks = tokio::time::interval(CONNECT_INTERVAL);
    loop {
        ticks.tick().await;
        match connect_now(channel) {
            Ok(stream) => return Ok(stream),
            Err(error) => match error.kind() {
                std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => {}
                _ => return Err(error),
            },
        }
    }
}

impl Provisioned {
    /// What of the image has to run before the build: the entrypoint of AWS's images, which starts
    /// the Docker daemon. Any other is replaced by the executor, as CodeBuild does.
    pub(super) fn entrypoint(&self) -> Vec<String> {
        let starts_docker = |program: &String| program.ends_with("dockerd-entrypoint.sh");
        match self
            .entrypoint
            .first()
            .filter(|program| self.runs_docker && starts_docker(program))
        {
            // It ends by running its arguments.
            Some(program) => vec![program.clone(), "true".to_owned()],
            None => Vec::new(),
        }
    }

    /// The image's table of runtimes; `None` if it has none.
    pub(super) async fn runtime_table(&self) -> Result<Option<Vec<u8>>, DockerError> {
        self.container
            .read_file(runtimes::TABLE, runtimes::TABLE_LIMIT_BYTES)
            .await
    }

    /// Gives the executor an order.
    pub(super) async fn order(&self, order: Order) -> anyhow::Result<()> {
        let mut control = self
            .control
            .try_clone()
            .context("cannot reach the executor")?;
        let written = tokio::task::spawn_blocking(move || write_order(&mut control, &order));
        written.await?.context("cannot reach the executor")
    }

    /// Waits until the container is dead, and says why.
    pub(super) async fn death(&self) -> Abort {
        match self.container.wait().await {
            Ok(exit) => death(exit, &self.channel),
            Err(error) => error.into(),
        }
    }

    /// Ends the container with all its processes.
    pub(super) async fn remove(&self) -> Result<(), DockerError> {
        self.container.remove().await
    }
}

/// Why the container ended although the build had not.
fn death(exit: ContainerExit, channel: &Path) -> Abort {
    let words = std::fs::read(channel.join(channel::FAILURE)).unwrap_or_default();
    let words = String::from_utf8_lossy(&words[..words.len().min(FAILURE_LIMIT)])
        .trim()
        .to_owned();
    let code = i32::try_from(exit.code).unwrap_or(-1);
    let cause = match code {
        channel::EXIT_SETUP => format!("the executor could not set itself up: {words}"),
        channel::EXIT_ORDER => format!("the executor did not understand an order: {words}"),
        // On a full disk there is no place for the words either.
        channel::EXIT_SPOOL if words.is_empty() => {
            format!("the build's log could not be written to {}: no space left on device", channel.display())
        }
        channel::EXIT_SPOOL => format!("the build's log could not be written to disk: {words}"),
        _ if exit.out_of_memory => {
            "Build container found dead before completing the build. Build container died because it was out of memory"
                .to_owned()
        }
        KILLED => format!(
            "Build container found dead before completing the build (exit code {KILLED}): it was killed, by `docker kill` or by the end of the engine or of the machine"
        ),
        LOST => format!(
            "Build container found dead before completing the build (exit code {LOST}): the engine lost it, as after a crash of the engine or of the machine"
        ),
        code => format!("Build container found dead before completing the build (exit code {code})"),
    };
    Abort::Fault(anyhow::Error::msg(cause))
}

/// Ends the container of a build with all its processes.
pub(super) async fn remove(request: &BuildRequest, tools: &Tools) -> Result<(), DockerError> {
    let name = ContainerName::of_build(request.id.uuid, request.attempt);
    tools.engine.remove_container(&name.to_string()).await
}

/// Ends the container of a build, and removes what only a build needs that still runs.
pub(super) async fn release(
    request: &BuildRequest,
    tools: &Tools,
    directory: &BuildDirectory,
) -> Result<(), Abort> {
    remove(request, tools).await?;
    for tree in directory.workspace() {
        if directory.remove_tree(&tree)? == Removal::NeedsRoot {
            remove_as_root(request.id.uuid, &request.image, tools, &tree).await?;
        }
    }
    Ok(())
}
