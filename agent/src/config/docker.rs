//! What builds get that need Docker, as far as the operator allows it.

use serde::Deserialize;

use super::Config;

/// What `privilegedMode` of a build means on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrivilegedMode {
    /// Such builds are refused.
    Refused,
    /// The engine's privileged mode, as on CodeBuild: the build can do to the machine whatever root can.
    Privileged,
    /// Every capability that this process may have, for engines that cannot give more than that; as
    /// dangerous.
    HostCapabilities,
    /// No privileges, but the socket of this machine's engine: the build can do to the machine, and to
    /// every other build, whatever root can.
    DockerSocket,
    /// No privileges, but the socket of the project's Docker server.
    DockerServer,
}

/// Docker servers: engines of their own on which the builds of a project build images.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DockerServers {
    /// How the containers of servers are run. Default: not at all.
    pub privileges: ServerPrivileges,
    /// Server that the operator runs, instead of one for each project: a Unix socket in which
    /// `{project}` stands for the project's name. Default: none.
    pub address: Option<String>,
    /// Image of servers, with `dockerd-entrypoint.sh` in it. Default: `buildspec-agent/docker:latest`.
    pub image: String,
}

/// How the container of a Docker server is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServerPrivileges {
    /// Not at all.
    Refused,
    /// In the engine's privileged mode.
    Privileged,
    /// With every capability that this process may have.
    HostCapabilities,
}

impl Default for DockerServers {
    fn default() -> Self {
        Self {
            privileges: ServerPrivileges::Refused,
            address: None,
            image: "buildspec-agent/docker:latest".to_owned(),
        }
    }
}

/// How a build gets to Docker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerAccess {
    /// Not at all.
    None,
    /// By an engine of its own, in its own container.
    Inside(Elevation),
    /// By this machine's engine.
    Socket,
    /// By the project's server, which the agent runs.
    Server(Elevation),
    /// By a server that the operator runs, at this Unix socket.
    NamedServer(String),
}

/// What a container gets to run an engine in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Elevation {
    /// The engine's privileged mode.
    Privileged,
    /// Every capability that this process may have.
    HostCapabilities,
}

/// A build asks for Docker in a way that the operator has not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DockerRefused {
    /// `privilegedMode`.
    #[error(
        "privileged mode is refused on this machine: its operator can allow it with `privileged_mode` in the configuration"
    )]
    PrivilegedMode,
    /// `dockerServer`.
    #[error(
        "a Docker server is refused on this machine: its operator can allow it with `docker_server.privileges` or name one with `docker_server.address` in the configuration"
    )]
    DockerServer,
}

impl Config {
    /// How a build gets to Docker that asks for privileged mode, for a Docker server, for both or
    /// neither. A server is the lesser privilege and wins.
    pub fn docker_access(
        &self,
        privileged_mode: bool,
        server: bool,
    ) -> Result<DockerAccess, DockerRefused> {
        if server {
            return self.server();
        }
        if !privileged_mode {
            return Ok(DockerAccess::None);
        }
        match self.privileged_mode {
            PrivilegedMode::Refused => Err(DockerRefused::PrivilegedMode),
            PrivilegedMode::Privileged => Ok(DockerAccess::Inside(Elevation::Privileged)),
            PrivilegedMode::HostCapabilities => {
                Ok(DockerAccess::Inside(Elevation::HostCapabilities))
            }
            PrivilegedMode::DockerSocket => Ok(DockerAccess::Socket),
            PrivilegedMode::DockerServer => self.server(),
        }
    }

    fn server(&self) -> Result<DockerAccess, DockerRefused> {
        let servers = &self.docker_server;
        match (&servers.address, servers.privileges) {
            (Some(address), _) => Ok(DockerAccess::NamedServer(address.clone())),
            (None, ServerPrivileges::Refused) => Err(DockerRefused::DockerServer),
            (None, ServerPrivileges::Privileged) => Ok(DockerAccess::Server(Elevation::Privileged)),
            (None, ServerPrivileges::HostCapabilities) => {
                Ok(DockerAccess::Server(Elevation::HostCapabilities))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_gets_what_it_asks_for_and_the_operator_allows() {
        let inside = |elevation| Ok(DockerAccess::Inside(elevation));
        let server = |elevation| Ok(DockerAccess::Server(elevation));
        let allow = "docker_server.privileges = 'host-capabilities'";
        let instead = format!("privileged_mode = 'docker-server'\n{allow}");
        for (label, config, asks, expected) in [
            ("nothing", "", (false, false), Ok(DockerAccess::None)),
            (
                "refused",
                "",
                (true, false),
                Err(DockerRefused::PrivilegedMode),
            ),
            (
                "no server",
                "privileged_mode = 'privileged'",
                (true, true),
                Err(DockerRefused::DockerServer),
            ),
            (
                "privileged",
                "privileged_mode = 'privileged'",
                (true, false),
                inside(Elevation::Privileged),
            ),
            (
                "socket",
                "privileged_mode = 'docker-socket'",
                (true, false),
                Ok(DockerAccess::Socket),
            ),
            (
                "server instead",
                &instead,
                (true, false),
                server(Elevation::HostCapabilities),
            ),
            (
                "server refused",
                "privileged_mode = 'docker-server'",
                (true, false),
                Err(DockerRefused::DockerServer),
            ),
            (
                "server",
                allow,
                (false, true),
                server(Elevation::HostCapabilities),
            ),
            (
                "named server",
                "docker_server.address = 'unix:///s'",
                (false, true),
                Ok(DockerAccess::NamedServer("unix:///s".to_owned())),
            ),
        ] {
            let config: Config = toml::from_str(config).unwrap();
            assert_eq!(config.docker_access(asks.0, asks.1), expected, "{label}");
        }
    }
}
