//! From what somebody asks for to a request: the same for the API, for messages and for pipelines.

use serde_json::Value;

use super::json::{self, UnknownMembers};
use super::{BuildId, BuildRequest, LogsConfig, Overrides, Project, Start};

/// A member of a stored project that no client sees: how often its cache was invalidated.
pub const CACHE_GENERATION: &str = "cacheGeneration";

/// What the place where builds run has to say about each of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Region in ARNs and of the AWS services that builds use.
    pub region: String,
    /// Account in ARNs.
    pub account: String,
    /// Whether builds may be privileged.
    pub allows_privileged_mode: bool,
    /// Whether logs go to CloudWatch Logs where neither project nor build say a word of logs.
    pub logs_to_aws: bool,
}

/// A project as the store has it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredProject {
    /// The project.
    pub project: Project,
    /// How often its cache was invalidated.
    pub cache_generation: Option<u64>,
}

impl StoredProject {
    /// Reads the body of a stored project; the error says what is wrong with it.
    pub fn read(body: Value) -> Result<Self, String> {
        let cache_generation = body.get(CACHE_GENERATION).and_then(Value::as_u64);
        Ok(Self {
            project: json::shape(body, UnknownMembers::Ignored)?,
            cache_generation,
        })
    }
}

/// Why a build cannot be asked for like that; worded as CodeBuild's `InvalidInputException`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unacceptable(String);

impl BuildRequest {
    /// The request for a new build of a stored project, or the reason why there is none.
    pub fn ask(
        stored: &StoredProject,
        overrides: &Overrides,
        initiator: String,
        site: &Site,
    ) -> Result<Self, Unacceptable> {
        let project = &stored.project;
        overrides
            .refuse_unsupported()
            .map_err(|error| Unacceptable(format!("Invalid input: {error}")))?;
        let mut request = Self::new(Start {
            project,
            overrides,
            id: BuildId::new(project.name.clone()),
            build_number: 0,
            initiator,
            region: site.region.clone(),
            account: site.account.clone(),
            directory: None,
            artifact_directory: None,
        })
        .map_err(|error| Unacceptable(error.to_string()))?;
        if request.privileged_mode && !site.allows_privileged_mode {
            return Err(Unacceptable("Invalid environment: privilegedMode is refused on this server; its operator can allow it with `privileged_mode` in the configuration".to_owned()));
        }
        let is_silent = project.logs_config.is_none() && overrides.logs_config.is_none();
        if is_silent && !site.logs_to_aws {
            request.logs = LogsConfig::disabled();
        }
        if let Some(generation) = stored.cache_generation {
            // What is kept under a name that is never asked for again is as good as gone. The project's
            // name is the namespace of a project that has none; `~` stands in no name.
            let namespace = request.cache.cache_namespace.take();
            let namespace = namespace.unwrap_or_else(|| project.name.to_string());
            request.cache.cache_namespace = Some(format!("{namespace}~{generation}"));
        }
        Ok(request)
    }
}
