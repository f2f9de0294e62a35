//! The build request: everything a build was asked to be, complete and immutable.

use std::path::PathBuf;
use std::time::Duration;

use buildspec_parser::model::SecretReference;

use super::{ArtifactDestination, BuildId, ComputeType};

/// A build to run. All overrides are already applied: nothing later asks where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildRequest {
    /// Identity of the build.
    pub id: BuildId,
    /// Number of the build within its project, from 1.
    pub build_number: u64,
    /// Who asked for it.
    pub initiator: String,
    /// Where the source comes from.
    pub source: SourceLocation,
    /// Further sources, each beside the primary one.
    pub secondary_sources: Vec<SecondarySource>,
    /// Where the buildspec comes from.
    pub buildspec: BuildspecChoice,
    /// A partial buildspec merged over it.
    pub patch: Option<NamedText>,
    /// Image of the build container.
    pub image: String,
    /// How much of the machine it gets; all of it if nothing is said.
    pub compute_type: Option<ComputeType>,
    /// Whether the container is privileged (API, `privilegedMode`).
    pub privileged_mode: bool,
    /// Names of variables whose values must not appear in the log.
    pub masked_variables: Vec<String>,
    /// Variables of the request, which win over the buildspec's; a later entry wins over an
    /// earlier one of the same name.
    pub environment_variables: Vec<EnvironmentVariable>,
    /// How long the build may run, from the container's start.
    pub timeout: Duration,
    /// Where artifacts go.
    pub artifacts: ArtifactDestination,
}

/// A text and the name under which people know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedText {
    /// Name of its file.
    pub name: String,
    /// The text.
    pub text: String,
}

/// Where the primary source comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceLocation {
    /// A directory of this machine.
    Directory {
        /// Its absolute path.
        path: PathBuf,
        /// Whether the build works on a copy.
        placement: Placement,
    },
}

/// A further source: always a copy of a directory of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecondarySource {
    /// Its identifier: letters, digits and `_`, less than 128 (API, `ProjectSource`).
    pub identifier: String,
    /// Absolute path of the directory.
    pub path: PathBuf,
}

/// How a local directory gets into the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// The build works on a copy; the directory stays as it is.
    Copy,
    /// The build works in the directory itself.
    InPlace,
}

/// Where the buildspec comes from (buildspec reference, "Buildspec file name and storage location").
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildspecChoice {
    /// A file of the source, by its path relative to the source directory.
    Path(String),
    /// The text itself.
    Inline(String),
}

impl BuildspecChoice {
    /// Reads the `buildspec` member of a project or an override: the text itself where it has
    /// several lines or is a YAML mapping, otherwise the path of a file in the source. `None` for
    /// an empty text, which stands for the default file, and for the ARN of an S3 object, which is
    /// neither.
    pub fn from_member(text: &str) -> Option<Self> {
        if text.is_empty() || text.starts_with("arn:") {
            return None;
        }
        let is_mapping = || {
            matches!(
                serde_yaml::from_str(text),
                Ok(serde_yaml::Value::Mapping(_))
            )
        };
        let inline = text.contains('\n') || is_mapping();
        Some(if inline {
            Self::Inline(text.to_owned())
        } else {
            Self::Path(text.to_owned())
        })
    }
}

/// The default file, in the root of the primary source.
impl Default for BuildspecChoice {
    fn default() -> Self {
        Self::Path("buildspec.yml".to_owned())
    }
}

/// An environment variable (API, `EnvironmentVariable`).
#[derive(Clone, PartialEq, Eq)]
pub struct EnvironmentVariable {
    /// Name, without `=`.
    pub name: String,
    /// What it is set to.
    pub value: VariableValue,
}

/// What a variable is set to (API, `EnvironmentVariable`, member `type`).
#[derive(Clone, PartialEq, Eq)]
pub enum VariableValue {
    /// This text, taken literally.
    Plaintext(String),
    /// The parameter of this name in Parameter Store.
    ParameterStore(String),
    /// A value in Secrets Manager.
    SecretsManager(SecretReference),
}

/// Shows the name only: people put secrets into plain variables.
impl std::fmt::Debug for EnvironmentVariable {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}=***", self.name)
    }
}

/// Shows where the value comes from only.
impl std::fmt::Debug for VariableValue {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Plaintext(_) => "PLAINTEXT",
            Self::ParameterStore(_) => "PARAMETER_STORE",
            Self::SecretsManager(_) => "SECRETS_MANAGER",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buildspec_member_is_a_text_or_a_path() {
        let inline = |text: &str| Some(BuildspecChoice::Inline(text.to_owned()));
        let path = |text: &str| Some(BuildspecChoice::Path(text.to_owned()));
        for (label, text, expected) in [
            (
                "several lines",
                "version: 0.2\nphases: {}",
                inline("version: 0.2\nphases: {}"),
            ),
            (
                "JSON on one line",
                r#"{"version":0.2}"#,
                inline(r#"{"version":0.2}"#),
            ),
            (
                "a mapping on one line",
                "version: 0.2",
                inline("version: 0.2"),
            ),
            ("a file", "ci/release.yml", path("ci/release.yml")),
            ("nothing", "", None),
            ("an S3 object", "arn:aws:s3:::bucket/key.yml", None),
        ] {
            assert_eq!(BuildspecChoice::from_member(text), expected, "{label}");
        }
    }
}
