//! The plan: everything the executor has to know of a build, resolved.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{CachePlan, DebugPlan};

/// What one build does inside its container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plan {
    /// Number of the first spool segment the executor writes.
    pub first_segment: u32,
    /// Sequence number of the first spool record the executor writes.
    pub first_sequence: u64,
    /// Number of spool segments that may exist before the build's output is held back; the agent
    /// removes the segments that all its readers have passed.
    pub segment_limit: u32,
    /// Variables set over the image's own, in order; a later entry of the same name wins.
    pub environment: Vec<Variable>,
    /// Absolute path of `CODEBUILD_SRC_DIR`: where the first command starts.
    pub source_directory: String,
    /// Shell that reads every command (buildspec reference, env/shell).
    pub shell: ShellKind,
    /// Whether a command sees what the one before it left (buildspec versions 0.2 and 0.1).
    pub state: StateCarrying,
    /// Program and arguments run to their end before the first command, for images whose ENTRYPOINT
    /// starts a daemon and then runs its arguments; empty for none. A failure fails
    /// `DOWNLOAD_SOURCE`.
    pub entrypoint: Vec<String>,
    /// What is said once when a command calls Docker and finds no daemon; nothing is looked for without it.
    pub docker_hint: Option<String>,
    /// Runtimes to select in `DOWNLOAD_SOURCE`, in order; `None` where the image does not support
    /// the choice the buildspec makes.
    pub runtimes: Option<Vec<RuntimeSelection>>,
    /// The command phases in the order in which they run.
    pub phases: Vec<PhasePlan>,
    /// Names of the variables whose values are reported after `POST_BUILD`.
    pub exported_variables: Vec<String>,
    /// Values that must not appear in the log.
    pub secrets: Vec<Secret>,
    /// Whether base64, URL, JSON and shell-quoted forms of the secrets are hidden too.
    pub mask_encodings: bool,
    /// Where test reports come from.
    pub reports: Reports,
    /// What is cached; none if the buildspec defines no cache.
    pub cache: Option<CachePlan>,
    /// The artifacts to collect, the primary one first.
    pub artifacts: Vec<ArtifactPlan>,
    /// What lets a person into the build; `None` for a build that never waits for one.
    pub debug: Option<DebugPlan>,
    /// Who shall own the collected files on the host.
    pub owner: Owner,
    /// Time the build may still take, in milliseconds, counted from the arrival of the plan.
    pub timeout_millis: u64,
    /// Time between SIGTERM and SIGKILL when a build is ended, in milliseconds.
    pub grace_millis: u64,
}

/// An environment variable. `Debug` shows its name only: the value may be a secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Variable {
    /// Name, without `=`.
    pub name: String,
    /// Value, taken literally.
    pub value: String,
}

impl fmt::Debug for Variable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}=***", self.name)
    }
}

/// A command phase of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Phase {
    /// `DOWNLOAD_SOURCE`: here only the commands of the selected runtimes.
    DownloadSource,
    /// `INSTALL`.
    Install,
    /// `PRE_BUILD`.
    PreBuild,
    /// `BUILD`.
    Build,
    /// `POST_BUILD`.
    PostBuild,
}

impl Phase {
    /// CodeBuild's name of the phase, as in log lines and in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::DownloadSource => "DOWNLOAD_SOURCE",
            Self::Install => "INSTALL",
            Self::PreBuild => "PRE_BUILD",
            Self::Build => "BUILD",
            Self::PostBuild => "POST_BUILD",
        }
    }
}

/// What one phase runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PhasePlan {
    /// Which phase this is.
    pub phase: Phase,
    /// Whether the buildspec has this phase; one it lacks is entered all the same.
    pub in_buildspec: bool,
    /// Linux user that runs the commands; none for root.
    pub run_as: Option<String>,
    /// What a failure leads to.
    pub on_failure: OnFailure,
    /// Commands, run until one fails.
    pub commands: Vec<String>,
    /// Commands run after `commands`, whether those succeeded or not.
    pub finally: Vec<String>,
}

/// The list of a phase to which a command belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CommandList {
    /// `commands`, or the commands of a runtime.
    Commands,
    /// `finally`.
    Finally,
}

/// What follows a failing phase (buildspec reference, phases/on-failure).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnFailure {
    /// Nothing was said: the build ends after `INSTALL` and `PRE_BUILD`, goes on after `BUILD`.
    Standard,
    /// The build ends.
    Abort,
    /// The next phase runs.
    Continue,
    /// The phase is run again while its failure message matches.
    Retry {
        /// How many times, the first run not counted.
        limit: u32,
        /// Regular expression, searched anywhere in the failure message.
        pattern: String,
    },
}

/// The shell that reads the commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ShellKind {
    /// `/bin/sh`.
    Sh,
    /// `/bin/bash`.
    Bash,
}

/// Whether a command starts where the one before it stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StateCarrying {
    /// Buildspec 0.2: working directory and exported variables are carried on.
    Carried,
    /// Buildspec 0.1: every command starts fresh.
    Fresh,
}

/// One runtime chosen through `runtime-versions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuntimeSelection {
    /// Name of the runtime, such as `nodejs`.
    pub name: String,
    /// Chosen version, such as `20`.
    pub version: String,
    /// Whether the buildspec names it, as opposed to another runtime's requirement.
    pub manual: bool,
    /// Value of `VERSION` for its commands, where they install whatever version that names.
    pub version_variable: Option<String>,
    /// Commands that put it in place.
    pub commands: Vec<String>,
}

/// A value that must not appear in a log. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the masking code.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// Where the reports of a build come from (buildspec reference, reports).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reports {
    /// The buildspec names them.
    Configured(Vec<ReportPlan>),
    /// It says nothing of reports: files are recognised by their content (user guide, "Discover test
    /// reports").
    Discovered,
}

/// One report to stage (buildspec reference, reports).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReportPlan {
    /// Name or ARN of the report group; may hold variables.
    pub group: String,
    /// CodeBuild's name of the files' format.
    pub format: String,
    /// Paths and patterns, relative to the base directory.
    pub files: Vec<String>,
    /// Directory, or pattern of directories, below the source directory.
    pub base_directory: Option<String>,
}

/// One artifact to collect (buildspec reference, artifacts).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ArtifactPlan {
    /// Identifier of a secondary artifact; none for the primary one.
    pub identifier: Option<String>,
    /// Paths and patterns, relative to the base directory.
    pub files: Vec<String>,
    /// Patterns of what is left out.
    pub exclude_paths: Vec<String>,
    /// Directory, or pattern of directories, below the source directory.
    pub base_directory: Option<String>,
    /// Whether only the base names of the files are kept.
    pub discard_paths: bool,
    /// Name, evaluated by the shell in the build's environment.
    pub name: Option<String>,
    /// How the files are handed over.
    pub packaging: Packaging,
}

/// How the files of an artifact are handed over (API, `ArtifactPackaging`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Packaging {
    /// As a tree of files.
    #[default]
    None,
    /// As one ZIP archive, with the links inside it followed.
    Zip,
    /// As one ZIP archive in which links that lead to somewhere in it stay links (buildspec reference,
    /// artifacts/enable-symlinks).
    ZipWithLinks,
}

/// A numeric user and group on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Owner {
    /// User id.
    pub user: u32,
    /// Group id.
    pub group: u32,
}
