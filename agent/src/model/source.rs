//! Sources of projects and overrides (API, `ProjectSource` and what belongs to it).

use serde::{Deserialize, Serialize};

/// Where a source comes from (API, `ProjectSource`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProjectSource {
    /// What kind of place it is.
    #[serde(rename = "type")]
    pub source_type: SourceType,
    /// Clone URL, or `bucket/key.zip` or `bucket/folder/` for S3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Commits of history that are fetched; all for 0, for more than 25 and if nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_clone_depth: Option<u32>,
    /// Whether submodules are fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_submodules_config: Option<GitSubmodulesConfig>,
    /// The buildspec: its text, its path in the source or the ARN of an S3 object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buildspec: Option<String>,
    /// Which credentials are used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<SourceAuth>,
    /// Whether the git host is told how builds end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report_build_status: Option<bool>,
    /// How that is worded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_status_config: Option<BuildStatusConfig>,
    /// Whether certificates are not checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub insecure_ssl: Option<bool>,
    /// Identifier of a secondary source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_identifier: Option<String>,
}

impl ProjectSource {
    /// A source of which only the type is known.
    pub fn of_type(source_type: SourceType) -> Self {
        Self {
            source_type,
            location: None,
            git_clone_depth: None,
            git_submodules_config: None,
            buildspec: None,
            auth: None,
            report_build_status: None,
            build_status_config: None,
            insecure_ssl: None,
            source_identifier: None,
        }
    }
}

/// What kind of place a source comes from (API, `SourceType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SourceType {
    /// AWS `CodeCommit`.
    Codecommit,
    /// An input artifact of a pipeline.
    Codepipeline,
    /// GitHub.
    Github,
    /// GitLab.com.
    Gitlab,
    /// A GitLab server of one's own.
    GitlabSelfManaged,
    /// An object or a folder in S3.
    S3,
    /// Bitbucket.
    Bitbucket,
    /// A GitHub Enterprise server.
    GithubEnterprise,
    /// None: the buildspec is all there is.
    NoSource,
}

impl SourceType {
    /// Whether it is a git repository.
    pub fn is_git(self) -> bool {
        !matches!(self, Self::Codepipeline | Self::S3 | Self::NoSource)
    }

    /// Whether the place can show how a build ended (API, `reportBuildStatus`).
    pub fn shows_build_status(self) -> bool {
        self.is_git() && self != Self::Codecommit
    }
}

/// API, `GitSubmodulesConfig`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GitSubmodulesConfig {
    /// Whether submodules are fetched.
    pub fetch_submodules: bool,
}

/// API, `SourceAuth`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceAuth {
    /// What kind of credentials these are.
    #[serde(rename = "type")]
    pub auth_type: SourceAuthType,
    /// ARN of the connection or the secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
}

/// API, `SourceAuthType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SourceAuthType {
    /// The stored credentials of the git host.
    Oauth,
    /// A connection of AWS `CodeConnections`.
    Codeconnections,
    /// A secret in Secrets Manager.
    SecretsManager,
}

/// How a commit status is worded (API, `BuildStatusConfig`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildStatusConfig {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// Where it leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_url: Option<String>,
}

/// Which version of a secondary source is built (API, `ProjectSourceVersion`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProjectSourceVersion {
    /// Which source.
    pub source_identifier: String,
    /// Commit, branch, tag, pull request or S3 object version.
    pub source_version: String,
}
