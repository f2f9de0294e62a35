//! The record of a build (API, `Build` and `BuildPhase`).

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::{BuildId, PhaseContext, Report, Status};

/// What is known of a build once it is over. Serialises as the API's `Build`; members for which
/// there is no value are left out.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Build {
    /// `project:uuid`.
    pub id: BuildId,
    /// Number of the build within its project, from 1.
    pub build_number: u64,
    /// Whether it is over.
    pub build_complete: bool,
    /// How it ended.
    pub build_status: Status,
    /// When it was submitted.
    #[serde(serialize_with = "seconds")]
    pub start_time: Timestamp,
    /// When it was over.
    #[serde(serialize_with = "seconds")]
    pub end_time: Timestamp,
    /// The commit of the primary source, once it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved_source_version: Option<String>,
    /// Its phases, in order.
    pub phases: Vec<BuildPhase>,
    /// The values of the buildspec's `exported-variables`.
    pub exported_environment_variables: Vec<ExportedVariable>,
    /// What it yielded, the primary artifact first.
    pub artifacts: Vec<Artifact>,
    /// ARNs of its reports.
    pub report_arns: Vec<String>,
    /// The reports themselves, which the API gives by their ARNs.
    pub reports: Vec<Report>,
}

/// One phase of a build.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildPhase {
    /// Which phase.
    pub phase_type: PhaseType,
    /// How it ended; `COMPLETED` has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase_status: Option<Status>,
    /// When it was entered.
    #[serde(serialize_with = "seconds")]
    pub start_time: Timestamp,
    /// When it was left; `COMPLETED` never is.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "optional_seconds"
    )]
    pub end_time: Option<Timestamp>,
    /// Its length in whole seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_in_seconds: Option<i64>,
    /// Why it ended as it did: one empty context for a good phase from `PROVISIONING` on, none for
    /// the phases before it and for a stopped one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contexts: Vec<PhaseContext>,
}

/// The phases of a build, in the order in which they come (API, `BuildPhaseType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PhaseType {
    /// The request was accepted.
    Submitted,
    /// The build waited for a place.
    Queued,
    /// Image and container were prepared.
    Provisioning,
    /// Source, buildspec, variables and runtimes were prepared.
    DownloadSource,
    /// `install` of the buildspec.
    Install,
    /// `pre_build` of the buildspec.
    PreBuild,
    /// `build` of the buildspec.
    Build,
    /// `post_build` of the buildspec.
    PostBuild,
    /// Artifacts were collected and stored.
    UploadArtifacts,
    /// The container was removed.
    Finalizing,
    /// The build is over.
    Completed,
}

impl PhaseType {
    /// CodeBuild's name of the phase.
    pub fn name(self) -> &'static str {
        match self {
            Self::Submitted => "SUBMITTED",
            Self::Queued => "QUEUED",
            Self::Provisioning => "PROVISIONING",
            Self::DownloadSource => "DOWNLOAD_SOURCE",
            Self::Install => "INSTALL",
            Self::PreBuild => "PRE_BUILD",
            Self::Build => "BUILD",
            Self::PostBuild => "POST_BUILD",
            Self::UploadArtifacts => "UPLOAD_ARTIFACTS",
            Self::Finalizing => "FINALIZING",
            Self::Completed => "COMPLETED",
        }
    }
}

impl From<executor::protocol::Phase> for PhaseType {
    fn from(phase: executor::protocol::Phase) -> Self {
        use executor::protocol::Phase;
        match phase {
            Phase::DownloadSource => Self::DownloadSource,
            Phase::Install => Self::Install,
            Phase::PreBuild => Self::PreBuild,
            Phase::Build => Self::Build,
            Phase::PostBuild => Self::PostBuild,
        }
    }
}

/// A variable of the buildspec's `exported-variables` and its value after `POST_BUILD`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExportedVariable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// A stored artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    /// Identifier of a secondary artifact; the primary one has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_identifier: Option<String>,
    /// Where it lies: a directory, or the archive itself.
    pub location: String,
    /// Its files, relative to the location, sorted; none of an archive.
    pub files: Vec<String>,
    /// SHA-256 of the archive, in hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256sum: Option<String>,
    /// MD5 of the archive, in hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub md5sum: Option<String>,
}

/// Times are JSON numbers: seconds since 1970, whole milliseconds.
#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of this age fit a double exactly"
)]
pub(super) fn seconds<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_millisecond() as f64 / 1000.0)
}

#[expect(
    clippy::ref_option,
    reason = "serde hands over a reference to the field"
)]
fn optional_seconds<S: Serializer>(
    time: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => seconds(time, serializer),
        None => serializer.serialize_none(),
    }
}
