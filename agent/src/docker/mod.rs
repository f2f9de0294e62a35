//! The Docker engine: everything that speaks to it, and no type of its client beyond this folder.

mod container;
mod exec;
mod image;
mod layers;
mod server;
mod spec;

use bollard::Docker;
use bollard::errors::Error as ClientError;

pub use container::{BuildContainer, ContainerExit, ContainerName, OwnedContainer};
pub use exec::{Exec, ExecEnd, ExecInput, ExecOutput};
pub use image::{PullProgress, RegistryLogin, StoredImage};
pub use layers::{LayerVolume, VolumeProbe};
pub use server::{DockerServer, ServerError, ServerPlace, ServerSpec};
pub use spec::{ContainerSpec, Limits, Mount, Owner, Privileges, Volume};

/// A connection to a Docker engine, with the newest API version that both sides speak.
#[derive(Debug, Clone)]
pub struct Engine {
    client: Docker,
}

/// Why the engine did not do something.
#[derive(Debug, thiserror::Error)]
pub enum DockerError {
    /// Nobody answers at the address.
    #[error("no Docker engine answers at {address}")]
    Unreachable {
        /// The address that was tried.
        address: String,
        /// What the client says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The image is not there and cannot be pulled.
    #[error("cannot pull image {image}: {message}")]
    Pull {
        /// Name of the image.
        image: String,
        /// The engine's words.
        message: String,
    },
    /// The container does not exist.
    #[error("container {name} does not exist any more: somebody removed it")]
    NoContainer {
        /// Its name.
        name: String,
    },
    /// A request was refused.
    #[error("cannot {operation}")]
    Request {
        /// What was tried, such as `start container x`.
        operation: String,
        /// What the engine or the client says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl DockerError {
    /// Describes a refused request; made for `map_err`.
    fn request(operation: impl Into<String>) -> impl FnOnce(ClientError) -> Self {
        let operation = operation.into();
        move |error| Self::Request {
            operation,
            source: error.into(),
        }
    }

    /// Whether a registry refused a pull because there were too many (Docker Hub, "Pull usage and limits").
    pub fn is_rate_limit(&self) -> bool {
        let Self::Pull { message, .. } = self else {
            return false;
        };
        let message = message.to_ascii_lowercase();
        [
            "toomanyrequests",
            "too many requests",
            "rate limit",
            "rate exceeded",
        ]
        .iter()
        .any(|words| message.contains(words))
    }

    /// What a person can do about it, where that is known.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Unreachable { .. } => Some(
                "start the engine (`systemctl start docker`, or `make setup` in the source tree), join the group \
                 `docker`, or name another engine with DOCKER_HOST",
            ),
            Self::Pull { .. } if self.is_rate_limit() => Some(
                "log in to the registry with `docker login` or registryCredential, or name a mirror of it under \
                 `registries` in the configuration",
            ),
            Self::Pull { .. } => Some("check the image's name, or build or pull it beforehand"),
            Self::NoContainer { .. } | Self::Request { .. } => None,
        }
    }
}

impl Engine {
    /// Connects to the engine at a `unix://` address and agrees with it on an API version. Build
    /// directories are mounted into containers, so the engine has to run on this machine.
    pub async fn connect(address: &str) -> Result<Self, DockerError> {
        let unreachable = |error: ClientError| DockerError::Unreachable {
            address: address.to_owned(),
            source: error.into(),
        };
        let client = Docker::connect_with_host(address).map_err(unreachable)?;
        let client = client.negotiate_version().await.map_err(unreachable)?;
        Ok(Self { client })
    }
}

/// Whether nobody has answered: the engine is being restarted, or has ended.
fn is_away(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::HyperLegacyError { .. }
            | ClientError::HyperResponseError { .. }
            | ClientError::IOError { .. }
    )
}

/// Whether the engine says that the thing does not exist.
fn is_not_found(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::DockerResponseServerError {
            status_code: 404,
            ..
        }
    )
}
