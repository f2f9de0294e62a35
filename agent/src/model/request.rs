//! The build request: everything a build was asked to be, complete and immutable.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    ArtifactDestination, BuildId, ComputeConfiguration, ComputeType, DockerServer, EnvironmentType,
    EnvironmentVariable, ImagePullCredentialsType, LogsConfig, PipelineJob, ProjectCache,
    ProjectSource, RegistryCredential,
};

/// A build to run. All overrides are already applied: nothing later asks where a value came from.
/// Serialises in a form of this program's own, for its store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BuildRequest {
    /// Identity of the build.
    pub id: BuildId,
    /// Number of the build within its project, from 1.
    pub build_number: u64,
    /// Which attempt at the build this is, from 1: a machine that is lost before the first command
    /// has the build run anew.
    #[serde(default = "first")]
    pub attempt: u32,
    /// Who asked for it.
    pub initiator: String,
    /// Region in its ARNs and of the AWS services it uses.
    pub region: String,
    /// Account in its ARNs.
    pub account: String,
    /// Where the source comes from.
    pub source: SourceLocation,
    /// Commit, branch, tag, pull request or S3 object version of the source.
    pub source_version: Option<String>,
    /// Further sources, each beside the primary one.
    pub secondary_sources: Vec<SecondarySource>,
    /// Where the buildspec comes from.
    pub buildspec: BuildspecChoice,
    /// A partial buildspec merged over it.
    pub patch: Option<NamedText>,
    /// Kind of machine.
    pub environment_type: EnvironmentType,
    /// Image of the build container.
    pub image: String,
    /// How much of the machine it gets; all of it if nothing is said.
    pub compute_type: Option<ComputeType>,
    /// What `ATTRIBUTE_BASED_COMPUTE` asks for.
    pub compute_configuration: Option<ComputeConfiguration>,
    /// ARN of the fleet whose machines run it.
    pub fleet: Option<String>,
    /// Whether the container is privileged (API, `privilegedMode`).
    pub privileged_mode: bool,
    /// The server on which builds of the project build images.
    pub docker_server: Option<DockerServer>,
    /// Credentials of the image's registry.
    pub registry_credential: Option<RegistryCredential>,
    /// Who pulls the image.
    pub image_pull_credentials_type: Option<ImagePullCredentialsType>,
    /// `bucket/key` or ARN of a certificate that is trusted.
    pub certificate: Option<String>,
    /// Names of variables whose values must not appear in the log.
    pub masked_variables: Vec<String>,
    /// Variables of the request, which win over the buildspec's; a later entry wins over an
    /// earlier one of the same name.
    pub environment_variables: Vec<EnvironmentVariable>,
    /// How long the build may run, from the container's start.
    pub timeout: Duration,
    /// How long it may wait before that.
    pub queued_timeout: Duration,
    /// Where artifacts go.
    pub artifacts: ArtifactDestination,
    /// What it keeps for later builds.
    pub cache: ProjectCache,
    /// Where its log goes.
    pub logs: LogsConfig,
    /// ARN of the role it acts with; without one it gets no credentials.
    pub service_role: Option<String>,
    /// ARN or alias of the key that encrypts artifacts.
    pub encryption_key: Option<String>,
    /// Whether breakpoints hold it.
    pub debug_session: bool,
    /// How long it waits for a person after a command has failed; without it, it does not wait.
    #[serde(default)]
    pub keep_on_failure: Option<Duration>,
    /// How often it is run again if it fails.
    pub auto_retry_limit: u32,
    /// The network it is in on AWS, given back as it came.
    pub vpc_config: Option<Value>,
    /// File systems it mounts on AWS, given back as they came.
    pub file_system_locations: Vec<Value>,
    /// The job of a pipeline whose work it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<PipelineJob>,
}

fn first() -> u32 {
    1
}

impl BuildRequest {
    /// Whether the place its source comes from is to show how the build stands (API, `reportBuildStatus`).
    pub fn reports_build_status(&self) -> bool {
        let SourceLocation::Project(source) = &self.source else {
            return false;
        };
        source.report_build_status == Some(true) && source.source_type.shows_build_status()
    }

    /// A digest of everything that makes two requests the same one, sent twice: all but identity and
    /// number.
    pub fn fingerprint(&self) -> String {
        let mut parameters = serde_json::json!(self);
        if let Some(parameters) = parameters.as_object_mut() {
            parameters.remove("id");
            parameters.remove("build_number");
        }
        let digest = Sha256::digest(parameters.to_string().as_bytes());
        digest.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

/// A text and the name under which people know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedText {
    /// Name of its file.
    pub name: String,
    /// The text.
    pub text: String,
}

/// Where a source comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SourceLocation {
    /// A directory of this machine.
    Directory {
        /// Its absolute path.
        path: PathBuf,
        /// Whether the build works on a copy.
        placement: Placement,
    },
    /// What a project or an override names: a repository, an object in S3, or nothing.
    Project(ProjectSource),
}

/// A further source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondarySource {
    /// Its identifier: letters, digits and `_`, less than 128 (API, `ProjectSource`).
    pub identifier: String,
    /// Where it comes from; a directory is always copied.
    pub location: SourceLocation,
    /// Its version, as that of the primary one.
    pub version: Option<String>,
}

impl SourceLocation {
    /// The directory of this machine that it is, if it is one.
    pub fn directory(&self) -> Option<&Path> {
        match self {
            Self::Directory { path, .. } => Some(path),
            Self::Project(_) => None,
        }
    }

    /// Whether the build works in the directory itself.
    pub fn is_in_place(&self) -> bool {
        matches!(
            self,
            Self::Directory {
                placement: Placement::InPlace,
                ..
            }
        )
    }
}

/// How a local directory gets into the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Placement {
    /// The build works on a copy; the directory stays as it is.
    Copy,
    /// The build works in the directory itself.
    InPlace,
}

/// Where the buildspec comes from (buildspec reference, "Buildspec file name and storage location").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum BuildspecChoice {
    /// A file of the source, by its path relative to the source directory.
    Path(String),
    /// The text itself.
    Inline(String),
    /// An object in S3, by its ARN.
    S3(String),
}

impl BuildspecChoice {
    /// Reads the `buildspec` member of a project or an override: the text itself where it has
    /// several lines or is a YAML mapping, the ARN of an S3 object, otherwise the path of a file in
    /// the source. `None` for an empty text, which stands for the default file.
    pub fn from_member(text: &str) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        if text.starts_with("arn:") && !text.contains('\n') {
            return Some(Self::S3(text.to_owned()));
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
            (
                "an S3 object",
                "arn:aws:s3:::bucket/key.yml",
                Some(BuildspecChoice::S3(
                    "arn:aws:s3:::bucket/key.yml".to_owned(),
                )),
            ),
        ] {
            assert_eq!(BuildspecChoice::from_member(text), expected, "{label}");
        }
    }
}
