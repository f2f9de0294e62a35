//! What follows a phase.

use regex_lite::Regex;

use crate::protocol::{OnFailure, Phase, Status};

/// What follows a phase that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// The next phase, or after the last one the artifacts.
    NextPhase,
    /// The same phase again.
    SamePhase,
    /// The end of the build: no further phase, no artifacts.
    End,
}

/// A phase that has ended.
#[derive(Debug, Clone, Copy)]
pub struct EndedPhase<'a> {
    /// Which phase.
    pub phase: Phase,
    /// How it ended.
    pub status: Status,
    /// The message of its context.
    pub message: &'a str,
    /// Which run of the phase this was, from 0.
    pub attempt: u32,
}

impl EndedPhase<'_> {
    /// What follows (user guide, build phase transitions; buildspec reference, phases/on-failure).
    ///
    /// Not established by a public source, and decided here: after `ABORT` nothing is uploaded;
    /// `RETRY` repeats the phase in place, and when all its runs have failed the build goes on as
    /// if nothing had been said.
    pub fn followed_by(&self, on_failure: &OnFailure) -> Follow {
        match self.status {
            Status::Succeeded => return Follow::NextPhase,
            Status::Failed => {}
            Status::Fault | Status::TimedOut | Status::Stopped => return Follow::End,
        }
        match on_failure {
            OnFailure::Abort => Follow::End,
            OnFailure::Continue => Follow::NextPhase,
            OnFailure::Retry { limit, pattern }
                if self.attempt < *limit && is_match(pattern, self.message) =>
            {
                Follow::SamePhase
            }
            OnFailure::Standard | OnFailure::Retry { .. } => match self.phase {
                Phase::DownloadSource | Phase::Install | Phase::PreBuild => Follow::End,
                Phase::Build | Phase::PostBuild => Follow::NextPhase,
            },
        }
    }
}

/// Whether `pattern` is found anywhere in `message`, which may have several lines. A pattern that
/// is not a regular expression matches nothing.
fn is_match(pattern: &str, message: &str) -> bool {
    Regex::new(&format!("(?s:{pattern})")).is_ok_and(|regex| regex.is_match(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry(limit: u32, pattern: &str) -> OnFailure {
        OnFailure::Retry {
            limit,
            pattern: pattern.to_owned(),
        }
    }

    #[test]
    fn what_follows_a_failure_depends_on_phase_and_on_failure() {
        use Follow::{End, NextPhase, SamePhase};
        use Phase::{Build, DownloadSource, Install, PostBuild, PreBuild};
        let message = "Error while executing command: x\ny. Reason: exit status 1";
        for (phase, on_failure, attempt, expected) in [
            (DownloadSource, OnFailure::Standard, 0, End),
            (Install, OnFailure::Standard, 0, End),
            (PreBuild, OnFailure::Standard, 0, End),
            (Build, OnFailure::Standard, 0, NextPhase),
            (PostBuild, OnFailure::Standard, 0, NextPhase),
            (Build, OnFailure::Abort, 0, End),
            (PostBuild, OnFailure::Abort, 0, End),
            (Install, OnFailure::Continue, 0, NextPhase),
            (PreBuild, OnFailure::Continue, 0, NextPhase),
            (Install, retry(2, ".*"), 0, SamePhase),
            (Install, retry(2, ".*"), 1, SamePhase),
            (Install, retry(2, ".*"), 2, End),
            (Build, retry(2, ".*"), 2, NextPhase),
            (Build, retry(0, ".*"), 0, NextPhase),
            (Build, retry(1, "status [12]$"), 0, SamePhase),
            (Build, retry(1, "x.y"), 0, SamePhase),
            (Build, retry(1, "status 2"), 0, NextPhase),
            (Build, retry(1, "("), 0, NextPhase),
        ] {
            let ended = EndedPhase {
                phase,
                status: Status::Failed,
                message,
                attempt,
            };
            assert_eq!(
                ended.followed_by(&on_failure),
                expected,
                "{phase:?} {on_failure:?} {attempt}"
            );
        }
    }

    #[test]
    fn only_a_failure_asks_on_failure() {
        for (status, expected) in [
            (Status::Succeeded, Follow::NextPhase),
            (Status::TimedOut, Follow::End),
            (Status::Stopped, Follow::End),
            (Status::Fault, Follow::End),
        ] {
            let ended = EndedPhase {
                phase: Phase::Build,
                status,
                message: "",
                attempt: 0,
            };
            assert_eq!(ended.followed_by(&retry(9, "")), expected, "{status:?}");
        }
    }
}
