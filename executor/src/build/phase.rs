//! Runs one phase: its commands, what always follows them, and all of it again where the
//! buildspec says so.

use executor::protocol::{CommandList, Event, OnFailure, Phase, PhaseContext, PhasePlan, Status};
use executor::transitions::{EndedPhase, Follow};

use super::Build;
use super::commands::{ListEnd, Place};
use crate::supervisor::Fault;

impl Build<'_> {
    /// Runs a phase: how it ended, and what follows.
    pub(super) fn phase(&mut self, plan: &PhasePlan) -> Result<(Status, Follow), Fault> {
        self.line(&format!("Entering phase {}", plan.phase.name()))?;
        self.event(&Event::PhaseStarted { phase: plan.phase })?;
        let succeeding = self.succeeding;
        let mut attempt = 0;
        loop {
            self.succeeding = succeeding;
            let (status, context) = self.attempt(plan, attempt)?.outcome();
            let message = context.as_ref().map_or("", |context| &context.message);
            let ended = EndedPhase {
                phase: plan.phase,
                status,
                message,
                attempt,
            };
            let follow = ended.followed_by(&plan.on_failure);
            if follow == Follow::SamePhase {
                attempt += 1;
                self.announce_retry(plan, attempt, message)?;
                continue;
            }
            if plan.phase == Phase::PostBuild && status == Status::Succeeded {
                self.save_cache()?;
            }
            self.end_of_phase(plan, status, context)?;
            return Ok((status, follow));
        }
    }

    /// Runs `commands`, and `finally` whether they succeeded or not. Of two failures the first
    /// one counts; a build that has to end skips what is left.
    fn attempt(&mut self, plan: &PhasePlan, attempt: u32) -> Result<ListEnd, Fault> {
        let place = |list| Place {
            phase: plan.phase,
            list,
            attempt,
            run_as: plan.run_as.as_deref(),
        };
        let first = self.commands(place(CommandList::Commands), &plan.commands)?;
        match &first {
            ListEnd::Succeeded => {}
            ListEnd::Failed(_) => self.succeeding = false,
            ListEnd::Cut(_) => return Ok(first),
        }
        let second = self.commands(place(CommandList::Finally), &plan.finally)?;
        if let ListEnd::Failed(_) = &second {
            self.succeeding = false;
        }
        Ok(match (first, second) {
            (ListEnd::Failed(_), ListEnd::Cut(ending)) => ListEnd::Cut(ending),
            (ListEnd::Failed(context), _) => ListEnd::Failed(context),
            (_, second) => second,
        })
    }

    fn announce_retry(
        &mut self,
        plan: &PhasePlan,
        attempt: u32,
        message: &str,
    ) -> Result<(), Fault> {
        let OnFailure::Retry { limit, .. } = plan.on_failure else {
            return Ok(());
        };
        let name = plan.phase.name();
        self.line(&format!(
            "Retrying phase {name} ({attempt} of {limit}): {message}"
        ))
    }

    fn end_of_phase(
        &mut self,
        plan: &PhasePlan,
        status: Status,
        context: Option<PhaseContext>,
    ) -> Result<(), Fault> {
        self.supervisor
            .log
            .phase_ended(plan.phase, status, context)
            .map_err(Fault::Spool)
    }
}
