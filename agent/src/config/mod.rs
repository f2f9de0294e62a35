//! Configuration: a file, then environment variables, then flags of the command line.
//!
//! The only place that reads a configuration file or an environment variable.

mod docker;
mod events;
mod intake;
pub mod lint;
mod live;
mod retention;
mod server;
mod sources;
mod worker;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tracing_subscriber::EnvFilter;

pub use docker::{
    DockerAccess, DockerRefused, DockerServers, Elevation, PrivilegedMode, ServerPrivileges,
};
pub use events::{CommitStatusConfig, EventDestination, EventKind, EventTarget, StatusHost};
pub use intake::{CodePipelineConfig, SqsConfig};
pub use retention::RetentionConfig;
pub use server::ServerConfig;
pub use sources::{SecretPlace, SourceCredentialConfig, SourcesConfig};
pub use worker::WorkerConfig;

/// File that is read when none is named; it need not exist.
const DEFAULT_FILE: &str = "/etc/buildspec-agent/config.toml";

/// Settings of the agent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Directory for everything the agent keeps. Default: `/var/lib/buildspec-agent` as root,
    /// otherwise `$XDG_DATA_HOME/buildspec-agent`.
    pub data_directory: PathBuf,
    /// Image of builds that name none. Default: `buildspec-agent/base:latest`, which `make setup`
    /// builds.
    pub image: String,
    /// Images that run in the place of others: names as projects write them, and what runs for them.
    /// Curated images of CodeBuild's have their places in the program's catalogue. Default: none.
    pub image_aliases: BTreeMap<String, String>,
    /// When images are pulled. Default: `missing`.
    pub pull_policy: PullPolicy,
    /// Settings of registries, by their hosts (`docker.io` for the Docker Hub). Default: none.
    pub registries: BTreeMap<String, Registry>,
    /// Address of the Docker engine, a Unix socket. Default: `unix:///var/run/docker.sock`.
    pub docker_host: String,
    /// Network of the engine that build containers join. The executor cuts its container off from
    /// all neighbours on it, so that the engine's default one serves: a network of our own would
    /// cost a fifth more time a build, for a name server that no build needs. Default: `bridge`.
    pub network: String,
    /// What a build gets that asks for privileged mode. Default: nothing, it is refused.
    pub privileged_mode: PrivilegedMode,
    /// Docker servers: engines of their own on which the builds of a project build images.
    pub docker_server: DockerServers,
    /// Most that the layers of one project's images may take on disk, in GiB; beyond it they are
    /// dropped, and the next build starts without. Default: 20.
    pub docker_layers_limit_gib: u64,
    /// After how many days without use the layers of a project's images are dropped. Default: 30.
    pub docker_layers_idle_days: u32,
    /// AWS Region that builds see and that stands in their ARNs. Default: `us-east-1`.
    pub region: String,
    /// AWS account that stands in ARNs, 12 digits. Default: `000000000000`.
    pub account: String,
    /// Which of the agent's own messages are shown, in the form of `RUST_LOG`, which wins. Default: `warn`.
    pub log: String,
    /// Caches that builds keep on this machine.
    pub cache: CacheConfig,
    /// What stays of builds that are over.
    pub retention: RetentionConfig,
    /// Settings of `worker`.
    pub worker: WorkerConfig,
    /// Settings of the API server.
    pub server: ServerConfig,
    /// Sources of builds.
    pub sources: SourcesConfig,
    /// Who is told of builds. Default: nobody.
    pub events: Vec<EventDestination>,
    /// How the commits on git hosts show how their builds stand.
    pub commit_status: CommitStatusConfig,
    /// A queue of SQS whose messages become builds.
    pub sqs: SqsConfig,
    /// Jobs of CodePipeline that become builds.
    pub codepipeline: CodePipelineConfig,
}

/// Needs the environment for the data directory of ordinary users, so this one is root's.
impl Default for Config {
    fn default() -> Self {
        Self {
            data_directory: PathBuf::from("/var/lib/buildspec-agent"),
            image: "buildspec-agent/base:latest".to_owned(),
            image_aliases: BTreeMap::new(),
            pull_policy: PullPolicy::Missing,
            registries: BTreeMap::new(),
            docker_host: "unix:///var/run/docker.sock".to_owned(),
            network: "bridge".to_owned(),
            privileged_mode: PrivilegedMode::Refused,
            docker_server: DockerServers::default(),
            docker_layers_limit_gib: 20,
            docker_layers_idle_days: 30,
            region: "us-east-1".to_owned(),
            account: "000000000000".to_owned(),
            log: "warn".to_owned(),
            cache: CacheConfig::default(),
            retention: RetentionConfig::default(),
            worker: WorkerConfig::default(),
            server: ServerConfig::default(),
            sources: SourcesConfig::default(),
            events: Vec::new(),
            commit_status: CommitStatusConfig::default(),
            sqs: SqsConfig::default(),
            codepipeline: CodePipelineConfig::default(),
        }
    }
}

/// Caches that builds keep on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CacheConfig {
    /// Size of all caches together, in MiB: those that were not used for the longest time go. A
    /// single cache that is larger is not kept. Default: 20480.
    pub limit_mib: u64,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            limit_mib: 20 * 1024,
        }
    }
}

impl CacheConfig {
    /// The limit in bytes.
    pub fn limit_bytes(self) -> u64 {
        self.limit_mib.saturating_mul(1024 * 1024)
    }
}

/// What `privilegedMode` of a build means on this machine. A privileged build can do to the machine
/// whatever root can.
/// When the image of a build is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PullPolicy {
    /// When the engine lacks it.
    Missing,
    /// For every build, as CodeBuild does, whose machines are new.
    Always,
    /// Never: a build whose image is not there fails.
    Never,
}

/// Settings of a registry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Registry {
    /// Registries that are asked first, in order, `HOST[:PORT][/PREFIX]`. Default: none.
    pub mirrors: Vec<String>,
    /// Whether mirrors get the login of the registry they stand for: for those of one's own that check
    /// it. Default: no.
    pub login_to_mirrors: bool,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read configuration file {}", path.display())]
    Read {
        /// Its path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file does not hold a configuration.
    #[error("configuration file {} is not valid", path.display())]
    Parse {
        /// Its path.
        path: PathBuf,
        /// What is wrong, and where.
        source: toml::de::Error,
    },
    /// The file holds settings that cannot be.
    #[error("configuration file {} is not valid: {reason}", path.display())]
    Invalid {
        /// Its path.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Nothing tells where an ordinary user's data go.
    #[error("no data directory: set --data-directory, or one of XDG_DATA_HOME and HOME")]
    NoDataDirectory,
}

/// Where variables are looked up: the process's environment, or a table in a test.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The environment of this process.
pub fn process_environment(name: &str) -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the process's environment"
    )]
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl Config {
    /// Reads the configuration: `file`, or the default one if it exists, then variables over it.
    /// `is_root` decides on the default data directory.
    pub fn load(
        file: Option<&Path>,
        lookup: Lookup<'_>,
        is_root: bool,
    ) -> Result<Self, ConfigError> {
        let usual = || Some(Path::new(DEFAULT_FILE)).filter(|path| path.exists());
        let mut config = match file.or_else(usual) {
            Some(path) => Self::of_file(path)?,
            None => Self::default(),
        };
        if config.data_directory == Self::default().data_directory && !is_root {
            config.data_directory = user_data_directory(lookup).unwrap_or_default();
        }
        let set = |field: &mut String, names: &[&str]| {
            if let Some(value) = names.iter().find_map(|name| lookup(name)) {
                *field = value;
            }
        };
        set(&mut config.image, &["BUILDSPEC_AGENT_IMAGE"]);
        set(
            &mut config.docker_host,
            &["BUILDSPEC_AGENT_DOCKER_HOST", "DOCKER_HOST"],
        );
        set(&mut config.network, &["BUILDSPEC_AGENT_NETWORK"]);
        set(
            &mut config.region,
            &["BUILDSPEC_AGENT_REGION", "AWS_REGION", "AWS_DEFAULT_REGION"],
        );
        set(&mut config.account, &["BUILDSPEC_AGENT_ACCOUNT"]);
        if let Some(url) = lookup("BUILDSPEC_AGENT_SQS") {
            config.sqs.queue_url = Some(url);
        }
        if let Some(directory) = lookup("BUILDSPEC_AGENT_DATA_DIRECTORY") {
            config.data_directory = directory.into();
        }
        if config.data_directory.as_os_str().is_empty() {
            return Err(ConfigError::NoDataDirectory);
        }
        Ok(config)
    }
}

impl Config {
    fn of_file(path: &Path) -> Result<Self, ConfigError> {
        let config: Self = from_file(path)?;
        let log = EnvFilter::try_new(&config.log);
        let log = log.map_err(|error| format!("log: {error}"));
        let checked = log.and_then(|_| events::check(&config.events, &config.commit_status));
        checked.map_err(|reason| ConfigError::Invalid {
            path: path.to_owned(),
            reason,
        })?;
        Ok(config)
    }
}

/// Reads a TOML file.
fn from_file<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })?;
    toml::from_str(&text).map_err(|source| ConfigError::Parse {
        path: path.to_owned(),
        source,
    })
}

fn user_data_directory(lookup: Lookup<'_>) -> Option<PathBuf> {
    let base = match lookup("XDG_DATA_HOME") {
        Some(directory) => PathBuf::from(directory),
        None => PathBuf::from(lookup("HOME")?).join(".local/share"),
    };
    Some(base.join("buildspec-agent"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(entries: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        move |name| {
            entries
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        }
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "imag = \"x\"\n").unwrap();
        let error = Config::load(Some(file.path()), &table(&[]), true).unwrap_err();
        let ConfigError::Parse { source, .. } = error else {
            panic!("{error}")
        };
        assert!(source.to_string().contains("imag"), "{source}");
    }

    #[test]
    fn variables_win_over_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "image = \"file\"\nregion = \"eu-west-1\"\n").unwrap();
        let lookup = table(&[("BUILDSPEC_AGENT_IMAGE", "variable")]);
        let config = Config::load(Some(file.path()), &lookup, true).unwrap();
        assert_eq!(
            (config.image.as_str(), config.region.as_str()),
            ("variable", "eu-west-1")
        );
    }

    #[test]
    fn an_ordinary_user_keeps_data_at_home() {
        for (label, entries, expected) in [
            (
                "XDG",
                &[("XDG_DATA_HOME", "/x"), ("HOME", "/h")][..],
                "/x/buildspec-agent",
            ),
            (
                "HOME",
                &[("HOME", "/h")][..],
                "/h/.local/share/buildspec-agent",
            ),
            (
                "named",
                &[("BUILDSPEC_AGENT_DATA_DIRECTORY", "/d")][..],
                "/d",
            ),
        ] {
            let config = Config::load(None, &table(entries), false).unwrap();
            assert_eq!(config.data_directory, PathBuf::from(expected), "{label}");
        }
        assert!(matches!(
            Config::load(None, &table(&[]), false),
            Err(ConfigError::NoDataDirectory)
        ));
    }
}
