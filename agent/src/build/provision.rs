//! The container of a build: started, spoken to, removed.

use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use executor::protocol::{Order, channel, write_order};
use tokio_util::sync::CancellationToken;

use super::checkout::Checkout;
use super::{Abort, Tools};
use crate::data_directory::{BuildDirectory, Removal};
use crate::docker::{
    BuildContainer, ContainerExit, ContainerName, ContainerSpec, DockerError, Mount,
};
use crate::model::{BuildRequest, PhaseContext};

/// How often the executor's socket is tried while it starts; it is there a few milliseconds after
/// the container.
const CONNECT_INTERVAL: Duration = Duration::from_millis(2);

/// More of the executor's last words is not read, in bytes.
const FAILURE_LIMIT: usize = 4096;

/// A container whose executor waits for orders.
#[derive(Debug)]
pub(super) struct Provisioned {
    container: BuildContainer,
    control: UnixStream,
    channel: PathBuf,
}

/// Starts the container of a build.
pub(super) async fn start(
    request: &BuildRequest,
    tools: &Tools,
    directory: &BuildDirectory,
    checkout: &Checkout,
    stop: &CancellationToken,
) -> Result<Provisioned, Abort> {
    match stop
        .run_until_cancelled(tools.engine.ensure_image(&request.image))
        .await
    {
        None => return Err(Abort::Stopped),
        Some(Err(DockerError::Pull { message, .. })) => return Err(cannot_pull(&message)),
        Some(prepared) => prepared?,
    }
    let spec = container_spec(request, tools, directory, checkout);
    let container = tools.engine.start_container(spec).await?;
    let channel = directory.channel();
    let control = tokio::select! {
        control = connect(&channel) => control?,
        exit = container.wait() => return Err(death(exit?, &channel)),
    };
    Ok(Provisioned {
        container,
        control,
        channel,
    })
}

fn cannot_pull(message: &str) -> Abort {
    let message = format!(
        "Unable to pull customer's container image. CannotPullContainerError: Error response from daemon: {message}"
    );
    Abort::Failed(PhaseContext::new(
        "BUILD_CONTAINER_UNABLE_TO_PULL_IMAGE",
        message,
    ))
}

fn container_spec(
    request: &BuildRequest,
    tools: &Tools,
    directory: &BuildDirectory,
    checkout: &Checkout,
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
    mounts.extend(checkout.mount());
    ContainerSpec {
        name: ContainerName::of_build(request.id.uuid),
        build: request.id.uuid,
        data_directory: tools.data.root().to_owned(),
        image: request.image.clone(),
        command: vec!["/codebuild/readonly/bin/executor".to_owned()],
        working_directory: "/codebuild/readonly".to_owned(),
        mounts,
        // The environment between two commands lies here: values in it must not reach a disk.
        memory_directories: vec![(
            "/codebuild/output/tmp".to_owned(),
            "rw,exec,mode=0755".to_owned(),
        )],
        // To hide the channel and cut off the instance metadata; the executor drops both for good.
        capabilities: vec!["SYS_ADMIN".to_owned(), "NET_ADMIN".to_owned()],
        network: tools.config.network.clone(),
    }
}

/// Connects to the executor as soon as it listens.
async fn connect(channel: &std::path::Path) -> std::io::Result<UnixStream> {
    let directory = std::fs::File::open(channel)?;
    // Through the descriptor: a socket's own path must be shorter than 108 bytes.
    let socket = format!(
        "/proc/self/fd/{}/{}",
        directory.as_raw_fd(),
        channel::SOCKET
    );
    let mut ticks = tokio::time::interval(CONNECT_INTERVAL);
    loop {
        ticks.tick().await;
        match UnixStream::connect(&socket) {
            Ok(stream) => return Ok(stream),
            Err(error) => match error.kind() {
                std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => {}
                _ => return Err(error),
            },
        }
    }
}

impl Provisioned {
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
fn death(exit: ContainerExit, channel: &std::path::Path) -> Abort {
    let words = std::fs::read(channel.join(channel::FAILURE)).unwrap_or_default();
    let words = String::from_utf8_lossy(&words[..words.len().min(FAILURE_LIMIT)])
        .trim()
        .to_owned();
    let code = i32::try_from(exit.code).unwrap_or(-1);
    let cause = match code {
        channel::EXIT_SETUP => format!("the executor could not set itself up: {words}"),
        channel::EXIT_ORDER => format!("the executor did not understand an order: {words}"),
        channel::EXIT_SPOOL => format!("the build's log could not be written to disk: {words}"),
        _ if exit.out_of_memory => {
            "Build container found dead before completing the build. Build container died because it was out of memory"
                .to_owned()
        }
        code => format!("Build container found dead before completing the build (exit code {code})"),
    };
    Abort::Fault(anyhow::Error::msg(cause))
}

/// Removes all that a build left on this machine.
pub(super) async fn release(
    request: &BuildRequest,
    tools: &Tools,
    directory: &BuildDirectory,
) -> Result<(), Abort> {
    let name = ContainerName::of_build(request.id.uuid);
    tools.engine.remove_container(&name.to_string()).await?;
    if directory.remove()? == Removal::NeedsRoot {
        remove_as_root(request.id.uuid, &request.image, tools, directory).await?;
    }
    Ok(())
}

/// Removes files that a container made as root where the agent is not root, by another container.
pub(crate) async fn remove_as_root(
    build: uuid::Uuid,
    image: &str,
    tools: &Tools,
    directory: &BuildDirectory,
) -> anyhow::Result<()> {
    let name = ContainerName::of_cleaner(build);
    let spec = ContainerSpec {
        name: name.clone(),
        build,
        data_directory: tools.data.root().to_owned(),
        image: image.to_owned(),
        command: vec![
            "/executor".to_owned(),
            "remove".to_owned(),
            "/build/output".to_owned(),
            "/build/channel".to_owned(),
        ],
        working_directory: "/".to_owned(),
        mounts: vec![
            Mount {
                source: tools.data.executor()?,
                target: "/executor".to_owned(),
                read_only: true,
            },
            Mount {
                source: directory.path().to_owned(),
                target: "/build".to_owned(),
                read_only: false,
            },
        ],
        memory_directories: Vec::new(),
        capabilities: Vec::new(),
        network: "none".to_owned(),
    };
    let cleaner = tools.engine.start_container(spec).await?;
    let exit = cleaner.wait().await?;
    cleaner.remove().await?;
    let path = directory.path().display();
    anyhow::ensure!(
        exit.code == 0,
        "cannot remove {path}: the cleaner ended with exit code {}",
        exit.code
    );
    anyhow::ensure!(
        directory.remove()? == Removal::Complete,
        "cannot remove {path}: permission denied"
    );
    Ok(())
}
