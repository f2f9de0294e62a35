//! The network that build containers share: a bridge on which no container reaches another.

use std::collections::HashMap;

use bollard::models::NetworkCreateRequest;
use bollard::query_parameters::InspectNetworkOptions;

use super::{DockerError, Engine, is_not_found};

/// Name of the network.
pub(super) const NETWORK: &str = "buildspec-agent";

/// Name of its bridge on the host. An engine allows two networks of one name, but not of one
/// bridge, which keeps agents that start together from making two.
const BRIDGE: &str = "buildspec0";

/// Label of the network, whose value is the version of its settings.
const LABEL: &str = "buildspec-agent.network";

impl Engine {
    /// Makes the shared network if it is not there.
    pub async fn ensure_network(&self) -> Result<(), DockerError> {
        if self.network_exists().await? {
            return Ok(());
        }
        let options = [("com.docker.network.bridge.enable_icc", "false"), ("com.docker.network.bridge.name", BRIDGE)];
        let request = NetworkCreateRequest {
            name: NETWORK.to_owned(),
            driver: Some("bridge".to_owned()),
            options: Some(options.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
            labels: Some(HashMap::from([(LABEL.to_owned(), "1".to_owned())])),
            ..NetworkCreateRequest::default()
        };
        match self.client.create_network(request).await {
            Ok(_) => Ok(()),
            Err(_) if self.network_exists().await? => Ok(()),
            Err(error) => Err(DockerError::request(format!("create network {NETWORK}"))(error)),
        }
    }

    async fn network_exists(&self) -> Result<bool, DockerError> {
        match self.client.inspect_network(NETWORK, None::<InspectNetworkOptions>).await {
            Ok(_) => Ok(true),
            Err(error) if is_not_found(&error) => Ok(false),
            Err(error) => Err(DockerError::request(format!("inspect network {NETWORK}"))(error)),
        }
    }
}
