//! The phases of a build as they come and go.

use jiff::Timestamp;

use crate::model::{BuildPhase, PhaseContext, PhaseType, Status};

/// The phases entered so far; the last one is the present one.
#[derive(Debug)]
pub(super) struct Phases {
    entered: Vec<BuildPhase>,
}

impl Phases {
    /// A build that was submitted and found a place at once: it is in `PROVISIONING`.
    pub(super) fn provisioning() -> Self {
        let now = Timestamp::now();
        let mut phases = Self::none();
        phases.enter(PhaseType::Submitted, now);
        phases.enter(PhaseType::Queued, now);
        phases.enter(PhaseType::Provisioning, now);
        phases
    }

    /// The phases entered so far.
    pub(super) fn so_far(&self) -> &[BuildPhase] {
        &self.entered
    }

    /// No phase at all.
    pub(super) fn none() -> Self {
        Self {
            entered: Vec::new(),
        }
    }

    /// Every phase with the time at which it was entered.
    pub(super) fn entered(&self) -> impl Iterator<Item = (PhaseType, Timestamp)> {
        self.entered
            .iter()
            .map(|phase| (phase.phase_type, phase.start_time))
    }

    /// The present phase.
    pub(super) fn current(&self) -> PhaseType {
        self.entered
            .last()
            .map_or(PhaseType::Submitted, |phase| phase.phase_type)
    }

    /// Whether `FINALIZING` follows: not before `DOWNLOAD_SOURCE`, nor after a build was cut off.
    pub(super) fn reaches_finalizing(&self) -> bool {
        self.entered.last().is_some_and(|phase| {
            phase.phase_type >= PhaseType::DownloadSource
                && !matches!(phase.phase_status, Some(Status::Stopped | Status::TimedOut))
        })
    }

    /// When the build was submitted.
    pub(super) fn start_time(&self) -> Timestamp {
        self.entered
            .first()
            .map_or_else(Timestamp::now, |phase| phase.start_time)
    }

    /// Enters a phase; the one before it succeeded unless it was left otherwise. Entering the
    /// present phase changes nothing.
    pub(super) fn enter(&mut self, phase: PhaseType, time: Timestamp) {
        if self
            .entered
            .last()
            .is_some_and(|current| current.phase_type == phase)
        {
            return;
        }
        self.leave(Status::Succeeded, None, time);
        // A phase starts when the one before it ends.
        let time = self
            .entered
            .last()
            .and_then(|before| before.end_time)
            .unwrap_or(time);
        self.entered.push(BuildPhase {
            phase_type: phase,
            phase_status: None,
            start_time: time,
            end_time: None,
            duration_in_seconds: None,
            contexts: Vec::new(),
        });
    }

    /// Leaves the present phase, unless that was done. Tells whether there was one to be left.
    pub(super) fn leave(
        &mut self,
        status: Status,
        context: Option<PhaseContext>,
        time: Timestamp,
    ) -> bool {
        let Some(phase) = self
            .entered
            .last_mut()
            .filter(|phase| phase.end_time.is_none())
        else {
            return false;
        };
        phase.phase_status = Some(status);
        phase.end_time = Some(time);
        phase.duration_in_seconds = Some(time.duration_since(phase.start_time).as_secs());
        phase.contexts = match (phase.phase_type, status) {
            (PhaseType::Submitted | PhaseType::Queued, Status::Succeeded)
            | (_, Status::Stopped) => Vec::new(),
            _ => vec![context.unwrap_or_else(|| PhaseContext::new("", ""))],
        };
        true
    }

    /// Ends the build and gives all its phases. `COMPLETED` is entered and never left.
    pub(super) fn complete(mut self, time: Timestamp) -> Vec<BuildPhase> {
        self.enter(PhaseType::Completed, time);
        self.entered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn phases_look_as_in_the_api() {
        let mut phases = Phases {
            entered: Vec::new(),
        };
        phases.enter(PhaseType::Queued, at(0));
        phases.enter(PhaseType::Provisioning, at(1));
        phases.enter(PhaseType::Build, at(3));
        phases.leave(
            Status::Failed,
            Some(PhaseContext::new("CODE", "why")),
            at(8),
        );
        let phases = phases.complete(at(8));
        let summary: Vec<_> = phases
            .iter()
            .map(|p| {
                (
                    p.phase_type,
                    p.phase_status,
                    p.duration_in_seconds,
                    p.contexts.len(),
                )
            })
            .collect();
        assert_eq!(
            summary,
            [
                (PhaseType::Queued, Some(Status::Succeeded), Some(1), 0),
                (PhaseType::Provisioning, Some(Status::Succeeded), Some(2), 1),
                (PhaseType::Build, Some(Status::Failed), Some(5), 1),
                (PhaseType::Completed, None, None, 0),
            ]
        );
        assert_eq!(phases[2].contexts, [PhaseContext::new("CODE", "why")]);
    }

    #[test]
    fn a_stopped_phase_has_no_context() {
        let mut phases = Phases {
            entered: Vec::new(),
        };
        phases.enter(PhaseType::Build, at(0));
        phases.leave(Status::Stopped, None, at(1));
        assert_eq!(phases.complete(at(1))[0].contexts, []);
    }
}
