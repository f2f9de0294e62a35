//! Answers to CodePipeline, within its limits.

use std::collections::HashMap;

use aws_sdk_codepipeline::types::FailureType;

/// Characters of a summary at most (API, `ExecutionSummary`).
const SUMMARY_LENGTH: usize = 2048;

/// Characters of the message of a failure at most (API, `Message`).
const MESSAGE_LENGTH: usize = 5000;

/// A job that is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Success {
    /// Identity of the build.
    pub build: String,
    /// What people read of it.
    pub summary: String,
    /// The variables it has exported.
    pub variables: Vec<(String, String)>,
}

impl Success {
    pub(super) fn summary(&self) -> String {
        cut(&self.summary, SUMMARY_LENGTH)
    }

    /// Those whose names CodePipeline knows as such (API, `OutputVariablesKey`).
    pub(super) fn variables(&self) -> HashMap<String, String> {
        let is_letter =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'@' | b'-' | b'_');
        let known = self.variables.iter();
        let known = known.filter(|(name, _)| !name.is_empty() && name.bytes().all(is_letter));
        known.cloned().collect()
    }
}

/// A job that has failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Whose fault it is.
    pub kind: FailureKind,
    /// Why.
    pub message: String,
    /// Identity of the build, if there was one.
    pub build: Option<String>,
}

impl Failure {
    pub(super) fn message(&self) -> String {
        cut(&self.message, MESSAGE_LENGTH)
    }
}

/// Kinds of failures (API, `FailureType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The build failed.
    Job,
    /// Source, buildspec or configuration are not right.
    Configuration,
    /// Something is not open to the build.
    Permission,
    /// The agent or its machine failed.
    System,
}

impl From<FailureKind> for FailureType {
    fn from(kind: FailureKind) -> Self {
        match kind {
            FailureKind::Job => Self::JobFailed,
            FailureKind::Configuration => Self::ConfigurationError,
            FailureKind::Permission => Self::PermissionError,
            FailureKind::System => Self::SystemUnavailable,
        }
    }
}

/// The beginning of a text.
fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_stay_within_the_limits() {
        let success = Success {
            build: "demo:1".to_owned(),
            summary: "ä".repeat(3000),
            variables: [("A_1", "x"), ("no good", "y"), ("", "z")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
        };
        assert_eq!(success.summary().chars().count(), SUMMARY_LENGTH);
        let expected = HashMap::from([("A_1".to_owned(), "x".to_owned())]);
        assert_eq!(success.variables(), expected);
    }
}
