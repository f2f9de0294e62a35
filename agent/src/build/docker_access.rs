//! Docker inside a build: what the build asks for and the operator allows goes in, what its container
//! gets for it comes out.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use caps::Capability;
use nix::unistd::getegid;

use super::provision::limits_of;
use super::{Abort, Tools};
use crate::config::{DockerAccess, DockerRefused, Elevation};
use crate::docker::{
    DockerServer, LayerVolume, Mount, Privileges, ServerPlace, ServerSpec, Volume, VolumeProbe,
};
use crate::logs::AgentLog;
use crate::model::{BuildRequest, CacheMode, CacheType};

/// Where Docker's clients look for a daemon.
const SOCKET: &str = "/var/run/docker.sock";

/// Where an engine keeps its layers.
const LAYERS: &str = "/var/lib/docker";

/// What a build got.
#[derive(Debug)]
pub(super) enum Granted {
    /// No Docker.
    None,
    /// The privileges for an engine of its own, and what was kept of the layers of an earlier one.
    Inside(Elevation, Option<LayerVolume>),
    /// The socket of an engine on this machine.
    Socket(PathBuf),
    /// The project's server.
    Server(DockerServer),
}

/// Grants a build what it asks for; a server is started for it.
pub(super) async fn grant(request: &BuildRequest, tools: &Tools) -> Result<Granted, Abort> {
    let access = tools
        .config
        .docker_access(request.privileged_mode, request.docker_server.is_some());
    let project = request.id.project.to_string();
    Ok(match access.map_err(refused)? {
        DockerAccess::None => Granted::None,
        DockerAccess::Inside(elevation) => {
            let volume = keeps_layers(request)
                .then(|| LayerVolume::take(&layers_directory(tools), &project))
                .transpose()
                .context("cannot use the volumes for layers")?
                .flatten();
            Granted::Inside(elevation, volume)
        }
        DockerAccess::Socket => Granted::Socket(socket(&tools.config.docker_host)?),
        DockerAccess::NamedServer(address) => {
            Granted::Socket(socket(&address.replace("{project}", &project))?)
        }
        DockerAccess::Server(elevation) => {
            let spec = server(request, tools, elevation)?;
            let image = tools.engine.stored_image(&spec.image).await?;
            image.with_context(|| {
                format!(
                    "the image {} of Docker servers is not there: run `buildspec-agent images build docker`",
                    spec.image
                )
            })?;
            let place = place(request, tools);
            Granted::Server(tools.engine.use_server(&place, spec).await?)
        }
    })
}

/// Tidies up after a build that had Docker, when its container is gone and [`Granted`] given back. What
/// cannot be tidied up is left to the next build or to `gc`, and told: the build itself is over and was what
/// it was.
pub(super) async fn release(request: &BuildRequest, tools: &Tools) {
    let access = tools
        .config
        .docker_access(request.privileged_mode, request.docker_server.is_some());
    let released = match access {
        Ok(DockerAccess::Inside(_)) if keeps_layers(request) => {
            drop_large_layers(request, tools).await
        }
        Ok(DockerAccess::Server(_)) => {
            let place = place(request, tools);
            stop_idle_server(&place, tools).await.map(drop)
        }
        _ => Ok(()),
    };
    if let Err(error) = released {
        let build = &request.id;
        tracing::warn!(build.id = %build, "Docker of build {build} was not tidied up: {error:#}");
    }
}

async fn drop_large_layers(request: &BuildRequest, tools: &Tools) -> anyhow::Result<()> {
    let project = request.id.project.to_string();
    let probe = probe(tools.config.image.clone(), tools)?;
    for volume in LayerVolume::unused(&layers_directory(tools), &project)? {
        tools
            .engine
            .drop_if_too_large(volume.name(), &probe)
            .await?;
    }
    Ok(())
}

/// Stops a project's Docker server if no build uses it. Tells whether there was one to stop.
pub(crate) async fn stop_idle_server(place: &ServerPlace, tools: &Tools) -> anyhow::Result<bool> {
    let probe = probe(tools.config.docker_server.image.clone(), tools)?;
    Ok(tools.engine.stop_idle_server(place, &probe).await?)
}

/// The Docker servers of this agent that are there, in use or not.
pub(crate) async fn servers(tools: &Tools) -> anyhow::Result<Vec<ServerPlace>> {
    let (data, directory) = (tools.data.root(), servers_directory(tools));
    Ok(tools.engine.servers_of(data, &directory).await?)
}

/// The layers of images that no build has used for the configured time, held.
pub(crate) async fn idle_layers(tools: &Tools) -> anyhow::Result<Vec<LayerVolume>> {
    let directories = [layers_directory(tools), servers_directory(tools)];
    let [layers, servers] = &directories;
    let idle = Duration::from_hours(u64::from(tools.config.docker_layers_idle_days) * 24);
    let data = tools.data.root();
    Ok(tools
        .engine
        .idle_layers(data, [layers, servers], idle)
        .await?)
}

fn probe(image: String, tools: &Tools) -> anyhow::Result<VolumeProbe> {
    Ok(VolumeProbe {
        data_directory: tools.data.root().to_owned(),
        executor: tools.data.executor()?,
        image,
        limit_bytes: tools.config.docker_layers_limit_gib.saturating_mul(1 << 30),
    })
}

fn refused(refused: DockerRefused) -> Abort {
    Abort::failed("CLIENT_ERROR", refused.to_string())
}

fn keeps_layers(request: &BuildRequest) -> bool {
    request.cache.cache_type == CacheType::Local
        && request
            .cache
            .modes
            .contains(&CacheMode::LocalDockerLayerCache)
}

fn layers_directory(tools: &Tools) -> PathBuf {
    tools.data.root().join("docker-layers")
}

fn servers_directory(tools: &Tools) -> PathBuf {
    tools.data.root().join("docker-servers")
}

fn place(request: &BuildRequest, tools: &Tools) -> ServerPlace {
    ServerPlace::new(&servers_directory(tools), &request.id.project.to_string())
}

fn server(
    request: &BuildRequest,
    tools: &Tools,
    elevation: Elevation,
) -> anyhow::Result<ServerSpec> {
    let compute_type = request.docker_server.as_ref();
    let compute_type = compute_type.map(|server| server.compute_type);
    Ok(ServerSpec {
        image: tools.config.docker_server.image.clone(),
        data_directory: tools.data.root().to_owned(),
        executor: tools.data.executor()?,
        privileges: elevated(elevation),
        limits: limits_of(compute_type, None),
        network: tools.config.network.clone(),
        group: getegid().as_raw(),
    })
}

/// The path of a Unix socket.
fn socket(address: &str) -> anyhow::Result<PathBuf> {
    let path = address.strip_prefix("unix://").unwrap_or(address);
    anyhow::ensure!(
        Path::new(path).is_absolute(),
        "{address} is not a Unix socket of this machine, which is all that a build can be given"
    );
    Ok(path.into())
}

fn elevated(elevation: Elevation) -> Privileges {
    match elevation {
        Elevation::Privileged => Privileges::Privileged,
        Elevation::HostCapabilities => {
            let bounding = caps::read(None, caps::CapSet::Bounding).unwrap_or_default();
            // Engine 20.10 refuses a container for a capability that is newer than itself.
            let known = bounding
                .iter()
                .filter(|capability| capability.index() <= Capability::CAP_AUDIT_READ.index());
            Privileges::Capabilities(known.map(ToString::to_string).collect())
        }
    }
}

impl Granted {
    /// What the container may do to the machine.
    pub(super) fn privileges(&self) -> Privileges {
        match self {
            Self::Inside(elevation, _) => elevated(*elevation),
            // To hide the channel and cut off what the build must not reach; the executor drops both
            // for good before anything of the build runs.
            _ => Privileges::Ordinary(vec!["SYS_ADMIN".to_owned(), "NET_ADMIN".to_owned()]),
        }
    }

    /// Whether an engine runs in the container itself.
    pub(super) fn is_inside(&self) -> bool {
        matches!(self, Self::Inside(..))
    }

    /// The socket in the container.
    pub(super) fn mount(&self) -> Option<Mount> {
        let source = match self {
            Self::Socket(socket) => socket.clone(),
            Self::Server(server) => server.socket().to_owned(),
            Self::None | Self::Inside(..) => return None,
        };
        Some(Mount {
            source,
            target: SOCKET.to_owned(),
            read_only: false,
        })
    }

    /// The layers of an engine in the container: beside the container's own files, on which no engine
    /// could stack layers quickly.
    pub(super) fn volume(&self) -> Option<Volume> {
        let Self::Inside(_, volume) = self else {
            return None;
        };
        Some(Volume {
            name: volume.as_ref().map(|volume| volume.name().to_owned()),
            target: LAYERS.to_owned(),
        })
    }
}

/// What is said in the log of a build that calls Docker and finds no daemon.
pub(super) fn hint(granted: &Granted, has_daemon: bool, tools: &Tools) -> Option<String> {
    let config = &tools.config;
    Some(match granted {
        Granted::Inside(..) if has_daemon => return None,
        Granted::Socket(_) | Granted::Server(_) => return None,
        Granted::Inside(..) => "No Docker daemon runs in this build: start one in the install phase, or choose an image whose ENTRYPOINT does, such as buildspec-agent/docker:latest".to_owned(),
        Granted::None if config.docker_access(true, false).is_ok() => {
            "Docker is not available in this build: switch on privilegedMode in the project, or run it with --privileged".to_owned()
        }
        Granted::None if config.docker_access(false, true).is_ok() => {
            "Docker is not available in this build: give the project a dockerServer, or run it with --docker-server".to_owned()
        }
        Granted::None => "Docker is not available in this build: the operator of this machine has to allow it with `privileged_mode` in the configuration, and the project to ask for it with privilegedMode (--privileged)".to_owned(),
    })
}

/// Tells of a wish for layers that cannot be granted (user guide, "Docker layer cache").
pub(super) fn tell(
    granted: &Granted,
    request: &BuildRequest,
    log: &mut AgentLog,
) -> std::io::Result<()> {
    match granted {
        Granted::None if keeps_layers(request) => {
            log.line("Skipping Docker layer cache: it needs privileged mode")
        }
        Granted::Inside(_, None) if keeps_layers(request) => {
            log.line("Skipping Docker layer cache: other builds of the project use it")
        }
        _ => Ok(()),
    }
}
