//! Why a build ends before its steps are through.

use super::resolve::RejectedBuildspec;
use crate::model::{PhaseContext, Status};
use crate::source::SourceFailure;

/// The author's mistakes and ours, kept apart.
#[derive(Debug)]
pub enum Abort {
    /// The build's author has something to mend.
    Failed {
        /// What the phase says, in CodeBuild's words where it has them.
        context: PhaseContext,
        /// The error behind it, where there is one.
        cause: Option<anyhow::Error>,
    },
    /// The same, in the buildspec.
    Rejected(Box<RejectedBuildspec>),
    /// A source cannot be had as it is asked for.
    Source(Box<SourceFailure>),
    /// The agent, its machine or a service it needs failed.
    Fault(anyhow::Error),
    /// Somebody stopped it.
    Stopped,
}

impl<E: Into<anyhow::Error>> From<E> for Abort {
    fn from(error: E) -> Self {
        Self::Fault(error.into())
    }
}

impl Abort {
    /// A failure that is nothing but what the phase says.
    pub(super) fn failed(status_code: &str, message: impl Into<String>) -> Self {
        Self::Failed {
            context: PhaseContext::new(status_code, message),
            cause: None,
        }
    }

    /// Status and context of the phase in which the build was aborted.
    pub(super) fn phase_end(&self) -> (Status, Option<PhaseContext>) {
        match self {
            Self::Failed { context, .. } => (Status::Failed, Some(context.clone())),
            Self::Rejected(rejected) => (
                Status::Failed,
                Some(PhaseContext::new(
                    "YAML_FILE_ERROR",
                    rejected.message.clone(),
                )),
            ),
            Self::Source(failure) => (
                Status::Failed,
                Some(PhaseContext::new("CLIENT_ERROR", failure.to_string())),
            ),
            Self::Fault(error) => (
                Status::Fault,
                Some(PhaseContext::new(
                    "INTERNAL_SERVICE_ERROR",
                    format!("{error:#}"),
                )),
            ),
            Self::Stopped => (Status::Stopped, None),
        }
    }
}
