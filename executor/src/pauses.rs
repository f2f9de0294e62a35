//! The pauses of a build: they begin when a process waits at the session's socket, and end when
//! somebody says how the build goes on. One at a time, in the order in which they came.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use executor::protocol::{Continuation, DebugPlan, Event, Pause, PausePlace, PauseReason, Resume};

use crate::channel::Channel;
use crate::log::Log;
use crate::session::{Answer, Session};

/// The pauses of one build.
#[derive(Debug)]
pub(crate) struct Pauses {
    plan: DebugPlan,
    session: Session,
    /// Where the pause that lasts is told to the agent.
    channel: Channel,
    place: Option<PausePlace>,
    number: u32,
    current: Option<Pause>,
    /// Whether the executor runs a process now that waits for a decision about a failed command.
    is_holding: bool,
    /// When a failure is left as it is.
    until: Option<Instant>,
    decision: Option<Continuation>,
    resume: Option<Resume>,
}

impl Pauses {
    /// Prepares the pauses that the plan allows.
    pub(crate) fn new(plan: DebugPlan, session: Session, channel: Channel) -> Self {
        Self {
            plan,
            session,
            channel,
            place: None,
            number: 0,
            current: None,
            is_holding: false,
            until: None,
            decision: None,
            resume: None,
        }
    }

    /// What to wait for.
    pub(crate) fn sources(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.session.sources()
    }

    /// Takes what has arrived at the socket.
    pub(crate) fn take(&mut self) {
        self.session.take();
    }

    /// Takes an order of the agent. The last one counts.
    pub(crate) fn obey(&mut self, resume: Resume) {
        self.resume = Some(resume);
    }

    /// Says which command is run next; what was decided before is forgotten.
    pub(crate) fn enter(&mut self, place: PausePlace) {
        self.place = Some(place);
        self.decision = None;
    }

    /// Whether a command that has failed is to wait for a person: not one whose breakpoint was given
    /// up.
    pub(crate) fn holds_failures(&self) -> bool {
        self.plan.failure_grace_millis.is_some() && self.decision != Some(Continuation::GiveUp)
    }

    /// How long a failure waits for a person, if it does.
    fn failure_grace(&self) -> Option<Duration> {
        self.plan.failure_grace_millis.map(Duration::from_millis)
    }

    /// Says whether the process that the executor runs next waits for a decision about a failed
    /// command. What was decided at a breakpoint of that command is none.
    pub(crate) fn set_holding(&mut self, is_holding: bool) {
        self.is_holding = is_holding;
        if is_holding {
            self.decision = None;
        }
    }

    /// Number of pauses so far.
    pub(crate) fn count(&self) -> u32 {
        self.number
    }

    /// Whether the build waits.
    pub(crate) fn is_paused(&self) -> bool {
        self.current.is_some()
    }

    /// When the present pause ends by itself.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// What was decided since the last command was entered.
    pub(crate) fn decision(&self) -> Option<Continuation> {
        self.decision
    }

    /// Ends and begins pauses, as far as something has happened. `child` is the process that the
    /// executor runs now.
    pub(crate) fn attend(&mut self, child: Option<i32>, log: &mut Log) -> io::Result<()> {
        let breakpoints = self.plan.breakpoints;
        let holder = child.filter(|_| self.is_holding);
        self.session
            .admit(|process| breakpoints || holder == Some(process));
        if let Some(pause) = &self.current
            && !self.session.is_waiting(pause.process)
        {
            self.end(None, log)?;
        }
        if let Some(with) = self.decided() {
            self.end(Some(with), log)?;
        }
        let Some(process) = self.session.first().filter(|_| self.current.is_none()) else {
            return Ok(());
        };
        let reason = if holder == Some(process) {
            PauseReason::Failure
        } else {
            PauseReason::Breakpoint
        };
        self.begin(process, reason, log)
    }

    /// What somebody, or the time, says about the present pause.
    fn decided(&mut self) -> Option<Continuation> {
        let Some(pause) = &self.current else {
            self.session.take_resuming(Answer::Ignored);
            self.resume = None;
            return None;
        };
        let ordered = self
            .resume
            .take()
            .filter(|resume| resume.pause == pause.number && fits(resume.with, &pause.place));
        let asked = self.session.take_resuming(Answer::Resumed);
        let is_over = self.until.is_some_and(|until| until <= Instant::now());
        ordered
            .map(|resume| resume.with)
            .or(asked.then_some(Continuation::Next))
            .or(is_over.then_some(Continuation::GiveUp))
    }

    fn begin(&mut self, process: i32, reason: PauseReason, log: &mut Log) -> io::Result<()> {
        let Some(place) = self.place else {
            // Nothing of the buildspec runs yet: there is no command to stop at.
            self.session.release(process, Answer::Ignored);
            return Ok(());
        };
        if reason == PauseReason::Failure {
            let grace = self.failure_grace();
            self.until = grace.and_then(|grace| Instant::now().checked_add(grace));
        }
        self.number += 1;
        let pause = Pause {
            number: self.number,
            build: self.plan.build.clone(),
            reason,
            process,
            place,
        };
        // Before anybody learns of it.
        self.channel.tell_pause(&pause)?;
        log.line(&headline(&pause, self.failure_grace().unwrap_or_default()))?;
        for line in &self.plan.invitation {
            log.line(line)?;
        }
        log.event(&Event::Paused(pause.clone()))?;
        self.current = Some(pause);
        Ok(())
    }

    /// Ends the present pause. Without a decision the process has gone by itself.
    fn end(&mut self, with: Option<Continuation>, log: &mut Log) -> io::Result<()> {
        let Some(pause) = self.current.take() else {
            return Ok(());
        };
        self.until = None;
        self.decision = with;
        self.channel.tell_end_of_pause()?;
        log.line(&farewell(&pause, with))?;
        log.event(&Event::Resumed {
            number: pause.number,
            with,
        })?;
        // Last: what the process does next comes after this in the log.
        let answer = match with {
            Some(Continuation::GiveUp) => Answer::GivenUp,
            _ => Answer::Resumed,
        };
        self.session.release(pause.process, answer);
        Ok(())
    }
}

/// Whether a list has the command with which it is to go on, or ends there.
fn fits(with: Continuation, place: &PausePlace) -> bool {
    match with {
        Continuation::Command(index) => index <= place.commands,
        Continuation::Next | Continuation::GiveUp => true,
    }
}

fn headline(pause: &Pause, grace: Duration) -> String {
    let place = pause.place.describe();
    match pause.reason {
        PauseReason::Breakpoint => format!("Paused at a breakpoint in {place}"),
        PauseReason::Failure => {
            let grace = length(grace);
            format!("Paused after the failure of {place}, for at most {grace}")
        }
    }
}

fn farewell(pause: &Pause, with: Option<Continuation>) -> String {
    let PausePlace {
        index, commands, ..
    } = pause.place;
    match (with, pause.reason) {
        (Some(Continuation::Next), PauseReason::Breakpoint) => "Resumed".to_owned(),
        (Some(Continuation::Next), PauseReason::Failure) => {
            format!("Resumed with command {} once more", index + 1)
        }
        (Some(Continuation::Command(next)), _) if next == commands => {
            "Resumed without the rest of the commands".to_owned()
        }
        (Some(Continuation::Command(next)), _) => format!("Resumed with command {}", next + 1),
        (Some(Continuation::GiveUp), PauseReason::Breakpoint) => {
            "Resumed with the failure of the breakpoint".to_owned()
        }
        (Some(Continuation::GiveUp) | None, PauseReason::Failure) => {
            "Resumed with the failure as it is".to_owned()
        }
        (None, PauseReason::Breakpoint) => "Resumed because the breakpoint was ended".to_owned(),
    }
}

/// A length of time in whole minutes where it has several.
fn length(time: Duration) -> String {
    match time.as_secs() {
        1 => "1 second".to_owned(),
        seconds if seconds % 60 == 0 && seconds > 60 => format!("{} minutes", seconds / 60),
        seconds => format!("{seconds} seconds"),
    }
}

#[cfg(test)]
mod tests {
    use executor::protocol::{CommandList, Phase};

    use super::*;

    const PLACE: PausePlace = PausePlace {
        phase: Phase::Build,
        list: CommandList::Commands,
        index: 1,
        commands: 3,
    };

    #[test]
    fn a_pause_says_where_and_how_long() {
        let pause = |reason| Pause {
            number: 1,
            build: "demo:1".to_owned(),
            reason,
            process: 7,
            place: PLACE,
        };
        assert_eq!(
            headline(&pause(PauseReason::Breakpoint), Duration::ZERO),
            "Paused at a breakpoint in command 2 of 3 of BUILD"
        );
        let grace = |seconds| headline(&pause(PauseReason::Failure), Duration::from_secs(seconds));
        let failure = "Paused after the failure of command 2 of 3 of BUILD, for at most";
        assert_eq!(grace(1800), format!("{failure} 30 minutes"));
        assert_eq!(grace(90), format!("{failure} 90 seconds"));
        assert_eq!(grace(60), format!("{failure} 60 seconds"));
        assert_eq!(grace(1), format!("{failure} 1 second"));
    }

    #[test]
    fn a_build_goes_on_with_a_command_that_the_list_has_or_at_its_end() {
        for (with, expected) in [
            (Continuation::Command(0), true),
            (Continuation::Command(3), true),
            (Continuation::Command(4), false),
            (Continuation::Next, true),
            (Continuation::GiveUp, true),
        ] {
            assert_eq!(fits(with, &PLACE), expected, "{with:?}");
        }
    }
}
