//! Projects: what their builds have in common (API, `Project`).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::json::{self, UnknownMembers};
use super::{
    ArtifactSettings, ArtifactsType, ComputeType, LogsConfig, ProjectCache, ProjectEnvironment,
    ProjectName, ProjectSource, ProjectSourceVersion, SourceType, moment,
};

/// A project (API, `Project`, and the input of `CreateProject`). Members without a meaning outside
/// of AWS are kept and given back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Project {
    /// Its name.
    pub name: ProjectName,
    /// Its ARN, which the service gives it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
    /// What people say of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its primary source.
    pub source: ProjectSource,
    /// Its further sources; each has an identifier.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secondary_sources: Vec<ProjectSource>,
    /// Version of the primary source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_version: Option<String>,
    /// Versions of the further sources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secondary_source_versions: Vec<ProjectSourceVersion>,
    /// Its primary artifact.
    pub artifacts: ArtifactSettings,
    /// Its further artifacts; each has an identifier.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secondary_artifacts: Vec<ArtifactSettings>,
    /// Its cache.
    #[serde(default)]
    pub cache: ProjectCache,
    /// Its build environment.
    pub environment: ProjectEnvironment,
    /// ARN of the role that its builds act with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_role: Option<String>,
    /// Build timeout, in minutes.
    #[serde(default = "timeout")]
    pub timeout_in_minutes: u32,
    /// How long a build may wait, in minutes.
    #[serde(default = "queued_timeout")]
    pub queued_timeout_in_minutes: u32,
    /// ARN or alias of the key that encrypts artifacts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption_key: Option<String>,
    /// Its tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// When it was made.
    #[serde(default, with = "moment", skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// When it was changed last.
    #[serde(default, with = "moment", skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<Timestamp>,
    /// Its webhook, as the service shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Value>,
    /// The network its builds are in on AWS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpc_config: Option<Value>,
    /// Its badge, as the service shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub badge: Option<Value>,
    /// Where the logs of its builds go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs_config: Option<LogsConfig>,
    /// File systems that its builds mount on AWS.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub file_system_locations: Vec<Value>,
    /// What its batches may do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_batch_config: Option<BuildBatchConfig>,
    /// How many of its builds run at a time; -1 takes the limit away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrent_build_limit: Option<i32>,
    /// Who may see its builds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_visibility: Option<ProjectVisibility>,
    /// Its name in public.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_project_alias: Option<String>,
    /// The role that lets the public see its builds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_access_role: Option<String>,
    /// How often a failed build is run again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_retry_limit: Option<u32>,
}

impl Project {
    /// The project of a build that has none: an image and nothing else. Its log stays on the machine.
    pub fn local(name: ProjectName, image: String) -> Self {
        Self {
            name,
            arn: None,
            description: None,
            source: ProjectSource::of_type(SourceType::NoSource),
            secondary_sources: Vec::new(),
            source_version: None,
            secondary_source_versions: Vec::new(),
            artifacts: ArtifactSettings::of_type(ArtifactsType::NoArtifacts),
            secondary_artifacts: Vec::new(),
            cache: ProjectCache::default(),
            environment: ProjectEnvironment::of_image(image),
            service_role: None,
            timeout_in_minutes: timeout(),
            queued_timeout_in_minutes: queued_timeout(),
            encryption_key: None,
            tags: Vec::new(),
            created: None,
            last_modified: None,
            webhook: None,
            vpc_config: None,
            badge: None,
            logs_config: Some(LogsConfig::disabled()),
            file_system_locations: Vec::new(),
            build_batch_config: None,
            concurrent_build_limit: None,
            project_visibility: None,
            public_project_alias: None,
            resource_access_role: None,
            auto_retry_limit: None,
        }
    }

    /// Reads the input of `aws codebuild create-project`, or the output of `batch-get-projects` for
    /// one project, as JSON or YAML.
    pub fn parse(text: &str) -> Result<Self, ProjectError> {
        let mut value = json::from_text(text).map_err(ProjectError::NotReadable)?;
        if let Some(projects) = value.get_mut("projects").and_then(Value::as_array_mut) {
            let count = projects.len();
            value = match (projects.pop(), count) {
                (Some(project), 1) => project,
                _ => return Err(ProjectError::NotOne(count)),
            };
        } else if let Some(project) = value.get_mut("project") {
            // The output of `create-project` and `update-project`.
            value = project.take();
        }
        if let Value::Object(members) = &mut value {
            // Input only, and without a meaning here.
            members.remove("badgeEnabled");
        }
        json::shape(value, UnknownMembers::Refused).map_err(ProjectError::Invalid)
    }
}

/// Why a text is no project.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// The text is neither JSON nor YAML.
    #[error("the project is not JSON or YAML: {0}")]
    NotReadable(String),
    /// The output of `batch-get-projects` for another number of projects.
    #[error("there are {0} projects in it; leave one")]
    NotOne(usize),
    /// A member is missing, unknown or cannot be what it is.
    #[error("not a project of CodeBuild: {0}")]
    Invalid(String),
}

/// Default build timeout, in minutes (API, `timeoutInMinutes`).
fn timeout() -> u32 {
    60
}

/// Default time in the queue, in minutes (user guide, "Build queueing").
fn queued_timeout() -> u32 {
    480
}

/// API, `Tag`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// Its name.
    pub key: String,
    /// Its value.
    #[serde(default)]
    pub value: String,
}

/// API, `ProjectVisibilityType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ProjectVisibility {
    /// Everybody.
    PublicRead,
    /// Those with permission.
    Private,
}

/// API, `ProjectBuildBatchConfig`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildBatchConfig {
    /// The role that starts the builds of a batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_role: Option<String>,
    /// Whether all artifacts go to one place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub combine_artifacts: Option<bool>,
    /// Limits of a batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restrictions: Option<BatchRestrictions>,
    /// How long a batch may take, in minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_in_mins: Option<u32>,
    /// `REPORT_INDIVIDUAL_BUILDS` or `REPORT_AGGREGATED_BATCH`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_report_mode: Option<String>,
}

/// API, `BatchRestrictions`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchRestrictions {
    /// Most builds of a batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_builds_allowed: Option<u32>,
    /// Compute types that its builds may use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub compute_types_allowed: Vec<ComputeType>,
    /// Fleets that its builds may use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fleets_allowed: Vec<String>,
}
