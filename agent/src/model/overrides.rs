//! The overrides of one build: the input of `StartBuild` (API, `StartBuildInput`).

use std::collections::HashSet;
use std::time::Duration;

use buildspec_parser::model::SecretReferenceError;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    ArtifactSettings, ArtifactsType, ComputeType, EnvironmentVariable, UnknownComputeType,
    VariableValue,
};

/// Members of `StartBuildInput` that are carried out.
const SUPPORTED: [&str; 9] = [
    "artifactsOverride",
    "buildspecOverride",
    "computeTypeOverride",
    "environmentVariablesOverride",
    "imageOverride",
    "privilegedModeOverride",
    "projectName",
    "secondaryArtifactsOverride",
    "timeoutInMinutesOverride",
];

/// Members of `StartBuildInput` that this version does not carry out. A build that asks for one is
/// refused: running it otherwise than asked would be worse.
const UNSUPPORTED: [&str; 25] = [
    "autoRetryLimitOverride",
    "buildStatusConfigOverride",
    "cacheOverride",
    "certificateOverride",
    "debugSessionEnabled",
    "encryptionKeyOverride",
    "environmentTypeOverride",
    "fleetOverride",
    "gitCloneDepthOverride",
    "gitSubmodulesConfigOverride",
    "hostKernelOverride",
    "idempotencyToken",
    "imagePullCredentialsTypeOverride",
    "insecureSslOverride",
    "logsConfigOverride",
    "queuedTimeoutInMinutesOverride",
    "registryCredentialOverride",
    "reportBuildStatusOverride",
    "secondarySourcesOverride",
    "secondarySourcesVersionOverride",
    "serviceRoleOverride",
    "sourceAuthOverride",
    "sourceLocationOverride",
    "sourceTypeOverride",
    "sourceVersion",
];

/// Most secondary artifacts of a build (service quotas).
const MOST_SECONDARY_ARTIFACTS: usize = 12;

/// Build timeouts that CodeBuild accepts, in minutes (API, `BuildTimeOut`).
const TIMEOUT_MINUTES: std::ops::RangeInclusive<u64> = 5..=2160;

/// What one build shall do otherwise than its project says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `artifactsOverride`.
    pub artifacts: Option<ArtifactSettings>,
    /// `secondaryArtifactsOverride`; every identifier is there, and none twice.
    pub secondary_artifacts: Option<Vec<ArtifactSettings>>,
    /// `projectName`.
    pub project_name: Option<String>,
    /// `buildspecOverride`: text or path; never empty.
    pub buildspec: Option<String>,
    /// `environmentVariablesOverride`.
    pub environment_variables: Vec<EnvironmentVariable>,
    /// `imageOverride`.
    pub image: Option<String>,
    /// `computeTypeOverride`.
    pub compute_type: Option<ComputeType>,
    /// `privilegedModeOverride`.
    pub privileged_mode: Option<bool>,
    /// `timeoutInMinutesOverride`.
    pub timeout: Option<Duration>,
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
    /// A member that CodeBuild has and this version has not.
    #[error("`{0}` is not supported yet; take it out to run the build without it")]
    Unsupported(String),
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

/// One entry of `environmentVariablesOverride`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VariableInput {
    name: String,
    value: String,
    #[serde(rename = "type", default)]
    kind: VariableType,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum VariableType {
    #[default]
    Plaintext,
    ParameterStore,
    SecretsManager,
}

impl Overrides {
    /// Reads the JSON that `aws codebuild start-build --cli-input-json` takes, or the same as YAML.
    /// Empty strings, nulls and empty lists stand for absent members, as the skeleton of the AWS
    /// CLI writes them.
    pub fn parse(text: &str) -> Result<Self, OverridesError> {
        let value: Value = if text.trim_start().starts_with('{') {
            serde_json::from_str(text)
                .map_err(|error| OverridesError::NotReadable(error.to_string()))?
        } else {
            serde_yaml::from_str(text)
                .map_err(|error| OverridesError::NotReadable(error.to_string()))?
        };
        let Value::Object(members) = value else {
            return Err(OverridesError::NotAnObject);
        };
        Self::from_members(members)
    }

    fn from_members(members: Map<String, Value>) -> Result<Self, OverridesError> {
        let mut overrides = Self::default();
        for (member, value) in members {
            let is_supported = SUPPORTED.contains(&member.as_str());
            if !is_supported && !UNSUPPORTED.contains(&member.as_str()) {
                return Err(OverridesError::Unknown(member));
            }
            match value {
                Value::Null => {}
                Value::String(text) if text.is_empty() => {}
                Value::Array(items) if items.is_empty() => {}
                _ if !is_supported => return Err(OverridesError::Unsupported(member)),
                value => overrides.set(&member, value)?,
            }
        }
        Ok(overrides)
    }

    fn set(&mut self, member: &str, value: Value) -> Result<(), OverridesError> {
        let text = |value: Value| match value {
            Value::String(text) => Ok(Some(text)),
            _ => Err(invalid(member, "has to be a string")),
        };
        match member {
            "projectName" => self.project_name = text(value)?,
            "buildspecOverride" => self.buildspec = text(value)?,
            "imageOverride" => self.image = text(value)?,
            "computeTypeOverride" => {
                let name = text(value)?.unwrap_or_default();
                let parsed = name
                    .parse()
                    .map_err(|error: UnknownComputeType| invalid(member, error.to_string()))?;
                self.compute_type = Some(parsed);
            }
            "privilegedModeOverride" => match value {
                Value::Bool(privileged) => self.privileged_mode = Some(privileged),
                _ => return Err(invalid(member, "has to be true or false")),
            },
            "timeoutInMinutesOverride" => self.timeout = Some(timeout(member, &value)?),
            "artifactsOverride" => self.artifacts = Some(artifact(member, value)?),
            "secondaryArtifactsOverride" => {
                self.secondary_artifacts = Some(secondary_artifacts(member, value)?);
            }
            _ => self.environment_variables = variables(member, value)?,
        }
        Ok(())
    }
}

fn timeout(member: &str, value: &Value) -> Result<Duration, OverridesError> {
    let minutes = value
        .as_u64()
        .filter(|minutes| TIMEOUT_MINUTES.contains(minutes));
    let minutes =
        minutes.ok_or_else(|| invalid(member, "has to be a whole number from 5 to 2160"))?;
    Ok(Duration::from_secs(minutes * 60))
}

/// Reads the settings of an artifact. Empty strings and nulls stand for absent members.
fn artifact(member: &str, mut value: Value) -> Result<ArtifactSettings, OverridesError> {
    if let Value::Object(members) = &mut value {
        members.retain(|_, value| !value.is_null() && value.as_str() != Some(""));
    }
    let settings: ArtifactSettings = serde_json::from_value(value)
        .map_err(|error| invalid(member, format!("has to be a ProjectArtifacts: {error}")))?;
    if settings.artifacts_type == ArtifactsType::Codepipeline {
        return Err(invalid(
            member,
            "is of type CODEPIPELINE, for which there has to be a pipeline",
        ));
    }
    Ok(settings)
}

fn secondary_artifacts(
    member: &str,
    value: Value,
) -> Result<Vec<ArtifactSettings>, OverridesError> {
    let Value::Array(values) = value else {
        return Err(invalid(member, "has to be a list"));
    };
    if values.len() > MOST_SECONDARY_ARTIFACTS {
        return Err(invalid(member, "has more than 12 artifacts"));
    }
    let mut known = HashSet::new();
    let mut all = Vec::new();
    for value in values {
        let settings = artifact(member, value)?;
        let Some(identifier) = settings.artifact_identifier.clone() else {
            return Err(invalid(
                member,
                "has an artifact without artifactIdentifier",
            ));
        };
        if !known.insert(identifier.clone()) {
            return Err(invalid(
                member,
                format!("has the identifier `{identifier}` twice"),
            ));
        }
        all.push(settings);
    }
    Ok(all)
}

fn variables(member: &str, value: Value) -> Result<Vec<EnvironmentVariable>, OverridesError> {
    let entries: Vec<VariableInput> = serde_json::from_value(value).map_err(|error| {
        invalid(
            member,
            format!("has to be a list of {{name, value, type}}: {error}"),
        )
    })?;
    entries
        .into_iter()
        .map(|entry| {
            if entry.name.is_empty()
                || entry.name.contains(['=', '\0'])
                || entry.value.contains('\0')
            {
                return Err(invalid(
                    member,
                    format!("has a variable that cannot be set: `{}`", entry.name),
                ));
            }
            let value = match entry.kind {
                VariableType::Plaintext => VariableValue::Plaintext(entry.value),
                VariableType::ParameterStore => VariableValue::ParameterStore(entry.value),
                VariableType::SecretsManager => {
                    let reference = entry.value.parse();
                    VariableValue::SecretsManager(reference.map_err(
                        |error: SecretReferenceError| {
                            invalid(member, format!("has `{}`: {error}", entry.name))
                        },
                    )?)
                }
            };
            Ok(EnvironmentVariable {
                name: entry.name,
                value,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_supported_members_are_taken_over() {
        let overrides = Overrides::parse(
            r#"{"projectName": "demo", "buildspecOverride": "ci.yml", "imageOverride": "a:1",
                "timeoutInMinutesOverride": 5,
                "environmentVariablesOverride": [{"name": "A", "value": "1", "type": "PLAINTEXT"},
                                                 {"name": "B", "value": ""}]}"#,
        )
        .unwrap();
        assert_eq!(overrides.project_name.as_deref(), Some("demo"));
        assert_eq!(overrides.buildspec.as_deref(), Some("ci.yml"));
        assert_eq!(overrides.image.as_deref(), Some("a:1"));
        assert_eq!(overrides.timeout, Some(Duration::from_mins(5)));
        let names: Vec<_> = overrides
            .environment_variables
            .iter()
            .map(|v| v.name.as_str())
            .collect();
        assert_eq!(names, ["A", "B"]);
    }

    #[test]
    fn yaml_is_read_like_json() {
        let overrides = Overrides::parse("imageOverride: a:1\n").unwrap();
        assert_eq!(overrides.image.as_deref(), Some("a:1"));
    }

    #[test]
    fn every_member_of_start_build_that_is_not_carried_out_is_refused_by_name() {
        for member in UNSUPPORTED {
            let error = Overrides::parse(&format!(r#"{{"{member}": true}}"#)).unwrap_err();
            assert!(error.to_string().contains(member), "{member}: {error}");
        }
    }

    #[test]
    fn empty_members_of_a_skeleton_stand_for_absent_ones() {
        let text = r#"{"cacheOverride": null, "sourceVersion": "", "secondarySourcesOverride": [], "imageOverride": ""}"#;
        assert_eq!(Overrides::parse(text).unwrap(), Overrides::default());
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_member_and_the_reason() {
        for (text, part) in [
            ("[]", "not an object"),
            ("{", "not JSON"),
            (r#"{"imagOverride": "a"}"#, "`imagOverride` is not a member"),
            (
                r#"{"imageOverride": 1}"#,
                "`imageOverride` has to be a string",
            ),
            (
                r#"{"artifactsOverride": {"type": "S4"}}"#,
                "`artifactsOverride` has to be a ProjectArtifacts",
            ),
            (
                r#"{"artifactsOverride": {"type": "CODEPIPELINE"}}"#,
                "has to be a pipeline",
            ),
            (
                r#"{"secondaryArtifactsOverride": [{"type": "S3"}]}"#,
                "without artifactIdentifier",
            ),
            (
                r#"{"secondaryArtifactsOverride": [{"type": "S3", "artifactIdentifier": "a"}, {"type": "S3", "artifactIdentifier": "a"}]}"#,
                "identifier `a` twice",
            ),
            (r#"{"timeoutInMinutesOverride": 4}"#, "from 5 to 2160"),
            (r#"{"timeoutInMinutesOverride": 5.5}"#, "whole number"),
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
                "has `A`: the reference names no secret",
            ),
        ] {
            let error = Overrides::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
