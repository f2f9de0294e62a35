//! The overrides of one build: the input of `StartBuild` (API, `StartBuildInput`).

use std::collections::HashSet;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::json::{self, UnknownMembers};
use super::{
    ArtifactSettings, BuildStatusConfig, ComputeType, EnvironmentType, EnvironmentVariable,
    GitSubmodulesConfig, HostKernel, ImagePullCredentialsType, LogsConfig, ProjectCache,
    ProjectFleet, ProjectSource, ProjectSourceVersion, RegistryCredential, SourceAuth, SourceType,
};

/// What one build shall do otherwise than its project says. Each member is named as in the API,
/// without `Override`.
#[derive(Debug, Default, Clone, PartialEq)]
#[expect(missing_docs, reason = "the API reference says it: StartBuildInput")]
pub struct Overrides {
    pub project_name: Option<String>,
    pub source_version: Option<String>,
    pub source_type: Option<SourceType>,
    pub source_location: Option<String>,
    pub source_auth: Option<SourceAuth>,
    pub git_clone_depth: Option<u32>,
    pub git_submodules_config: Option<GitSubmodulesConfig>,
    pub buildspec: Option<String>,
    pub insecure_ssl: Option<bool>,
    pub report_build_status: Option<bool>,
    pub build_status_config: Option<BuildStatusConfig>,
    pub secondary_sources: Option<Vec<ProjectSource>>,
    pub secondary_source_versions: Option<Vec<ProjectSourceVersion>>,
    pub artifacts: Option<ArtifactSettings>,
    pub secondary_artifacts: Option<Vec<ArtifactSettings>>,
    pub environment_variables: Option<Vec<EnvironmentVariable>>,
    pub environment_type: Option<EnvironmentType>,
    pub image: Option<String>,
    pub compute_type: Option<ComputeType>,
    pub certificate: Option<String>,
    pub privileged_mode: Option<bool>,
    pub registry_credential: Option<RegistryCredential>,
    pub image_pull_credentials_type: Option<ImagePullCredentialsType>,
    pub fleet: Option<ProjectFleet>,
    pub host_kernel: Option<HostKernel>,
    pub cache: Option<ProjectCache>,
    pub logs_config: Option<LogsConfig>,
    pub service_role: Option<String>,
    pub encryption_key: Option<String>,
    pub timeout_in_minutes: Option<u32>,
    pub queued_timeout_in_minutes: Option<u32>,
    pub auto_retry_limit: Option<u32>,
    pub debug_session_enabled: Option<bool>,
    pub idempotency_token: Option<String>,
}

/// Why overrides were refused.
#[derive(Debug, thiserror::Error)]
pub enum OverridesError {
    /// The text is neither JSON nor YAML.
    #[error("the overrides are not JSON or YAML: {0}")]
    NotReadable(String),
    /// The text is something else than an object.
    #[error("the overrides are not an object with the members of StartBuild")]
    NotAnObject,
    /// A member that CodeBuild has and this program does not carry out.
    #[error("`{member}` is not supported{reason}; take it out to run the build without it")]
    Unsupported {
        /// Name of the member.
        member: &'static str,
        /// Why not, with a blank before it; empty where it is only not yet done.
        reason: &'static str,
    },
    /// A member that `StartBuild` does not have.
    #[error("`{0}` is not a member of StartBuild")]
    Unknown(String),
    /// A member with a value that it cannot have.
    #[error("`{member}` {reason}")]
    Invalid {
        /// Name of the member.
        member: String,
        /// What is wrong with it.
        reason: String,
    },
}

fn invalid(member: &str, reason: impl Into<String>) -> OverridesError {
    OverridesError::Invalid {
        member: member.to_owned(),
        reason: reason.into(),
    }
}

impl Overrides {
    /// Reads the JSON that `aws codebuild start-build --cli-input-json` takes, or the same as YAML.
    /// Empty strings, nulls and empty lists stand for absent members, as the skeleton of the AWS
    /// CLI writes them.
    pub fn parse(text: &str) -> Result<Self, OverridesError> {
        match json::from_text(text).map_err(OverridesError::NotReadable)? {
            Value::Object(members) => Self::from_members(members, UnknownMembers::Refused),
            _ => Err(OverridesError::NotAnObject),
        }
    }

    /// Reads the members of `StartBuildInput`.
    pub fn from_members(
        members: Map<String, Value>,
        unknown: UnknownMembers,
    ) -> Result<Self, OverridesError> {
        let mut overrides = Self::default();
        for (member, value) in members {
            let is_absent = match &value {
                Value::Null => true,
                Value::String(text) => text.is_empty(),
                Value::Array(items) => items.is_empty(),
                _ => false,
            };
            let member = Member {
                name: &member,
                value: (!is_absent).then_some(value),
                unknown,
            };
            overrides.set(member)?;
        }
        Ok(overrides)
    }

    fn set(&mut self, member: Member<'_>) -> Result<(), OverridesError> {
        match member.name {
            "projectName" => member.into(&mut self.project_name),
            "sourceVersion" => member.into(&mut self.source_version),
            "sourceTypeOverride" => member.into(&mut self.source_type),
            "sourceLocationOverride" => member.into(&mut self.source_location),
            "sourceAuthOverride" => member.into(&mut self.source_auth),
            "gitCloneDepthOverride" => member.into(&mut self.git_clone_depth),
            "gitSubmodulesConfigOverride" => member.into(&mut self.git_submodules_config),
            "buildspecOverride" => member.into(&mut self.buildspec),
            "insecureSslOverride" => member.into(&mut self.insecure_ssl),
            "reportBuildStatusOverride" => member.into(&mut self.report_build_status),
            "buildStatusConfigOverride" => member.into(&mut self.build_status_config),
            "secondarySourcesOverride" => member.into(&mut self.secondary_sources),
            "secondarySourcesVersionOverride" => member.into(&mut self.secondary_source_versions),
            "artifactsOverride" => member.into(&mut self.artifacts),
            "secondaryArtifactsOverride" => member.into(&mut self.secondary_artifacts),
            "environmentVariablesOverride" => member.into(&mut self.environment_variables),
            "environmentTypeOverride" => member.into(&mut self.environment_type),
            "imageOverride" => member.into(&mut self.image),
            "computeTypeOverride" => member.into(&mut self.compute_type),
            "certificateOverride" => member.into(&mut self.certificate),
            "privilegedModeOverride" => member.into(&mut self.privileged_mode),
            "registryCredentialOverride" => member.into(&mut self.registry_credential),
            "imagePullCredentialsTypeOverride" => {
                member.into(&mut self.image_pull_credentials_type)
            }
            "fleetOverride" => member.into(&mut self.fleet),
            "hostKernelOverride" => member.into(&mut self.host_kernel),
            "cacheOverride" => member.into(&mut self.cache),
            "logsConfigOverride" => member.into(&mut self.logs_config),
            "serviceRoleOverride" => member.into(&mut self.service_role),
            "encryptionKeyOverride" => member.into(&mut self.encryption_key),
            "timeoutInMinutesOverride" => member.into(&mut self.timeout_in_minutes),
            "queuedTimeoutInMinutesOverride" => member.into(&mut self.queued_timeout_in_minutes),
            "autoRetryLimitOverride" => member.into(&mut self.auto_retry_limit),
            "debugSessionEnabled" => member.into(&mut self.debug_session_enabled),
            "idempotencyToken" => member.into(&mut self.idempotency_token),
            name if member.unknown == UnknownMembers::Refused => {
                Err(OverridesError::Unknown(name.to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// Members that are given although this program does not carry them out. A build that asks for
    /// one is refused: running it otherwise than asked would be worse. Where and how often a build runs
    /// is the store's to decide, and nothing to a single run.
    pub fn refuse_unsupported(&self) -> Result<(), OverridesError> {
        match self.host_kernel {
            None => Ok(()),
            Some(_) => Err(OverridesError::Unsupported {
                member: "hostKernelOverride",
                reason: ": builds share the kernel of the machine",
            }),
        }
    }
}

/// A member on its way to its place.
struct Member<'a> {
    name: &'a str,
    value: Option<Value>,
    unknown: UnknownMembers,
}

impl Member<'_> {
    fn into<T: DeserializeOwned>(self, place: &mut Option<T>) -> Result<(), OverridesError> {
        if let Some(value) = self.value {
            let read = json::shape(value, self.unknown);
            *place =
                Some(read.map_err(|reason| invalid(self.name, format!("is not valid: {reason}")))?);
        }
        Ok(())
    }
}

/// The identifiers of a list, each of which has to be there once.
pub(super) fn identifiers<'a>(
    identifiers: impl Iterator<Item = Option<&'a str>>,
) -> Result<(), String> {
    let mut known = HashSet::new();
    for identifier in identifiers {
        let identifier = identifier.ok_or("every item has to have an identifier")?;
        let is_identifier = (1..128).contains(&identifier.len())
            && identifier
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_identifier {
            return Err("identifier must contain only alphanumeric characters and underscores and be less than 128 characters in length".to_owned());
        }
        if !known.insert(identifier) {
            return Err(format!("the identifier `{identifier}` stands there twice"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_members_are_taken_over() {
        let overrides = Overrides::parse(
            r#"{"projectName": "demo", "buildspecOverride": "ci.yml", "imageOverride": "a:1",
                "timeoutInMinutesOverride": 5, "sourceTypeOverride": "GITHUB_ENTERPRISE",
                "logsConfigOverride": {"s3Logs": {"status": "ENABLED", "location": "b/p"}},
                "environmentVariablesOverride": [{"name": "A", "value": "1", "type": "PLAINTEXT"},
                                                 {"name": "B", "value": ""}]}"#,
        )
        .unwrap();
        assert_eq!(overrides.project_name.as_deref(), Some("demo"));
        assert_eq!(overrides.buildspec.as_deref(), Some("ci.yml"));
        assert_eq!(overrides.image.as_deref(), Some("a:1"));
        assert_eq!(overrides.timeout_in_minutes, Some(5));
        assert_eq!(overrides.source_type, Some(SourceType::GithubEnterprise));
        let logs = overrides.logs_config.unwrap();
        assert_eq!(logs.s3().unwrap().location.as_deref(), Some("b/p"));
        let variables = overrides.environment_variables.unwrap();
        let names: Vec<_> = variables.iter().map(|v| v.name.as_str()).collect();
        assert_eq!(names, ["A", "B"]);
    }

    #[test]
    fn yaml_is_read_like_json() {
        let overrides = Overrides::parse("imageOverride: a:1\n").unwrap();
        assert_eq!(overrides.image.as_deref(), Some("a:1"));
    }

    #[test]
    fn empty_members_of_a_skeleton_stand_for_absent_ones() {
        let text = r#"{"cacheOverride": null, "sourceVersion": "", "secondarySourcesOverride": [], "imageOverride": ""}"#;
        assert_eq!(Overrides::parse(text).unwrap(), Overrides::default());
    }

    #[test]
    fn a_member_that_is_not_carried_out_is_refused_by_name() {
        let overrides = Overrides::parse(r#"{"hostKernelOverride": "LINUX_KERNEL_6"}"#).unwrap();
        let error = overrides.refuse_unsupported().unwrap_err().to_string();
        assert!(
            error.contains("`hostKernelOverride` is not supported: builds share"),
            "{error}"
        );
    }

    #[test]
    fn a_newer_clients_members_are_passed_over_where_that_is_wished() {
        let members = |text: &str| match serde_json::from_str(text).unwrap() {
            Value::Object(members) => members,
            _ => panic!("an object"),
        };
        let text = r#"{"newOverride": 1, "cacheOverride": {"type": "S3", "new": 1}}"#;
        let overrides = Overrides::from_members(members(text), UnknownMembers::Ignored).unwrap();
        assert!(overrides.cache.is_some());
        let text = r#"{"cacheOverride": {"type": "S3", "new": 1}}"#;
        let error = Overrides::from_members(members(text), UnknownMembers::Refused).unwrap_err();
        assert!(
            error.to_string().contains("unknown member `new`"),
            "{error}"
        );
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_member_and_the_reason() {
        for (text, part) in [
            ("[]", "not an object"),
            ("{", "not JSON"),
            (r#"{"imagOverride": "a"}"#, "`imagOverride` is not a member"),
            (
                r#"{"imageOverride": 1}"#,
                "`imageOverride` is not valid: invalid type: integer `1`, expected a string",
            ),
            (
                r#"{"artifactsOverride": {"type": "S4"}}"#,
                "`artifactsOverride` is not valid: unknown variant `S4`, expected one of `CODEPIPELINE`, `S3`, `NO_ARTIFACTS`",
            ),
            (
                r#"{"timeoutInMinutesOverride": 5.5}"#,
                "`timeoutInMinutesOverride` is not valid",
            ),
            (
                r#"{"environmentVariablesOverride": [{"name": "A"}]}"#,
                "missing field `value`",
            ),
            (
                r#"{"environmentVariablesOverride": [{"name": "A=B", "value": ""}]}"#,
                "cannot be set: `A=B`",
            ),
            (
                r#"{"environmentVariablesOverride": [{"name": "A", "value": "", "type": "SECRETS_MANAGER"}]}"#,
                "variable `A`: the reference names no secret",
            ),
        ] {
            let error = Overrides::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
