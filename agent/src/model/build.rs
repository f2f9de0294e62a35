//! The record of a build (API, `Build` and `BuildPhase`).

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{BuildId, LogsLocation, PhaseContext, Report, Status, moment};

/// What is known of a build once it is over. Serialises as the API's `Build`; members for which
/// there is no value are left out.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
    #[serde(serialize_with = "seconds", deserialize_with = "from_seconds")]
    pub start_time: Timestamp,
    /// When it was over.
    #[serde(serialize_with = "seconds", deserialize_with = "from_seconds")]
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
    /// Where its log is, if it leaves this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<LogsLocation>,
}

/// One phase of a build.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildPhase {
    /// Which phase.
    pub phase_type: PhaseType,
    /// How it ended; `COMPLETED` has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase_status: Option<Status>,
    /// When it was entered.
    #[serde(serialize_with = "seconds", deserialize_with = "from_seconds")]
    pub start_time: Timestamp,
    /// When it was left; `COMPLETED` never is.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "moment")]
    pub end_time: Option<Timestamp>,
    /// Its length in whole seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_in_seconds: Option<i64>,
    /// Why it ended as it did: one empty context for a good phase from `PROVISIONING` on, none for
    /// the phases before it and for a stopped one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contexts: Vec<PhaseContext>,
}

/// The phases of a build, in the order in which they come (API, `BuildPhaseType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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

    /// The phase that follows it where it has succeeded.
    pub fn next(self) -> Option<Self> {
        match self {
            Self::Submitted => Some(Self::Queued),
            Self::Queued => Some(Self::Provisioning),
            Self::Provisioning => Some(Self::DownloadSource),
            Self::DownloadSource => Some(Self::Install),
            Self::Install => Some(Self::PreBuild),
            Self::PreBuild => Some(Self::Build),
            Self::Build => Some(Self::PostBuild),
            Self::PostBuild => Some(Self::UploadArtifacts),
            Self::UploadArtifacts => Some(Self::Finalizing),
            Self::Finalizing => Some(Self::Completed),
            Self::Completed => None,
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedVariable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// A stored artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
pub(super) fn seconds<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(moment::seconds(*time))
}

/// Reads what [`seconds`] writes.
pub(super) fn from_seconds<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Timestamp, D::Error> {
    let time = moment::deserialize(deserializer)?;
    time.ok_or_else(|| serde::de::Error::custom("a time is missing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_is_read_as_it_was_written() {
        let at = |millis| Timestamp::from_millisecond(millis).unwrap();
        let ended = BuildPhase {
            phase_type: PhaseType::Build,
            phase_status: Some(Status::Failed),
            start_time: at(1_700_000_000_123),
            end_time: Some(at(1_700_000_001_999)),
            duration_in_seconds: Some(1),
            contexts: vec![PhaseContext::new("CODE", "why")],
        };
        let last = BuildPhase {
            phase_type: PhaseType::Completed,
            phase_status: None,
            end_time: None,
            duration_in_seconds: None,
            contexts: Vec::new(),
            ..ended.clone()
        };
        for phase in [ended, last] {
            let json = serde_json::to_string(&phase).unwrap();
            assert_eq!(serde_json::from_str::<BuildPhase>(&json).unwrap(), phase);
        }
    }
}
