//! Runs the commands of a list, one after the other, until one fails.

use std::borrow::Cow;
use std::path::Path;

use executor::protocol::{
    CommandList, CommandUsage, Continuation, Event, Exit, PausePlace, Phase, PhaseContext, Status,
};

use super::Build;
use crate::grant;
use crate::reason;
use crate::shell::{Purpose, Task, holding_text};
use crate::supervisor::{Fault, Run};
use crate::sys::Identity;
use crate::users;
use crate::watch::Ending;

/// Longest message of a phase context, in bytes. Commands can be as long as a buildspec.
const LONGEST_MESSAGE: usize = 64 * 1024;

/// Most characters of a command in an event.
const MOST_CHARACTERS: usize = 200;

/// Where a list of commands stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// Its phase.
    pub(super) phase: Phase,
    /// Which list of the phase it is.
    pub(super) list: CommandList,
    /// Which run of the phase this is, from 0.
    pub(super) attempt: u32,
    /// User that runs the commands; none for root.
    pub(super) run_as: Option<&'a str>,
}

impl Place<'_> {
    /// The place of one command of the list.
    fn at(&self, index: usize, commands: &[String]) -> PausePlace {
        PausePlace {
            phase: self.phase,
            list: self.list,
            index,
            commands: commands.len(),
        }
    }
}

/// How a list of commands has ended.
#[derive(Debug)]
pub(super) enum ListEnd {
    /// All commands succeeded.
    Succeeded,
    /// One failed; the rest was not run.
    Failed(PhaseContext),
    /// The build had to end.
    Cut(Ending),
}

impl ListEnd {
    /// The status it gives its phase, and the reason.
    pub(super) fn outcome(self) -> (Status, Option<PhaseContext>) {
        match self {
            Self::Succeeded => (Status::Succeeded, None),
            Self::Failed(context) => (Status::Failed, Some(context)),
            Self::Cut(Ending::TimedOut) => (Status::TimedOut, Some(timed_out())),
            Self::Cut(Ending::Stopped) => (Status::Stopped, None),
            Self::Cut(Ending::Killed) => (Status::Fault, Some(killed())),
        }
    }
}

/// The context of a phase in which the engine ended the container.
fn killed() -> PhaseContext {
    let message = "the build container was stopped from outside: the Docker engine was restarted or shut down, or \
        somebody stopped the container";
    PhaseContext::new("INTERNAL_SERVICE_ERROR", message)
}

/// The context of a phase in which the time was up.
pub(super) fn timed_out() -> PhaseContext {
    PhaseContext::new("BUILD_TIMED_OUT", "Build has timed out. ")
}

impl Build<'_> {
    /// Runs a list of commands.
    pub(super) fn commands(
        &mut self,
        place: Place<'_>,
        commands: &[String],
    ) -> Result<ListEnd, Fault> {
        if commands.is_empty() {
            return Ok(ListEnd::Succeeded);
        }
        let mut identity = self.identity(place.run_as);
        let mut index = 0;
        while let Some(command) = commands.get(index) {
            if let Some(ending) = self.supervisor.look()? {
                return Ok(ListEnd::Cut(ending));
            }
            let here = place.at(index, commands);
            let shown = self.announce_command(here, place.attempt, command)?;
            let (exit, usage, reason) = match self.command(command, &identity)? {
                Command::Ended(exit, usage) => (exit, usage, exit.to_string()),
                Command::NotStarted(reason) => {
                    // What a shell returns for a program it cannot start.
                    (Exit::Status(126), CommandUsage::default(), reason)
                }
                Command::Cut(ending, exit, usage) => {
                    self.command_ended(exit, usage)?;
                    return Ok(ListEnd::Cut(ending));
                }
            };
            self.command_ended(exit, usage)?;
            self.tell_of_docker()?;
            if exit.is_success() {
                index = self.after_success(index);
                continue;
            }
            self.announce_failure(&shown, &reason)?;
            index = match self.after_failure(index, &identity)? {
                AfterFailure::Command(next) => next,
                AfterFailure::Stands => {
                    return Ok(ListEnd::Failed(execution_error(&shown, &reason)));
                }
                AfterFailure::Cut(ending) => return Ok(ListEnd::Cut(ending)),
            };
            // The person may have made the user that was missing.
            identity = self.identity(place.run_as);
        }
        Ok(ListEnd::Succeeded)
    }

    /// Says which command is run; gives its text with the secrets hidden.
    fn announce_command(
        &mut self,
        here: PausePlace,
        attempt: u32,
        command: &str,
    ) -> Result<String, Fault> {
        if let Some(pauses) = self.supervisor.pauses() {
            pauses.enter(here);
        }
        let shown = self.supervisor.log.mask(command);
        self.line(&format!("Running command {shown}"))?;
        self.event(&Event::CommandStarted {
            phase: here.phase,
            list: here.list,
            index: here.index,
            attempt,
            command: beginning(&shown),
        })?;
        Ok(shown)
    }

    fn announce_failure(&mut self, shown: &str, reason: &str) -> Result<(), Fault> {
        self.line(&format!(
            "Command did not exit successfully {shown} {reason}"
        ))?;
        match self.memory.take_kills() {
            Some(kills) => self.line(&kills),
            None => Ok(()),
        }
    }

    /// The command that follows one that has succeeded. At a breakpoint in it, somebody may have
    /// said which.
    fn after_success(&mut self, index: usize) -> usize {
        match self
            .supervisor
            .pauses()
            .and_then(|pauses| pauses.decision())
        {
            Some(Continuation::Command(next)) => next,
            _ => index + 1,
        }
    }

    /// Waits for a person to decide what follows a command that has failed, where the plan says so.
    fn after_failure(
        &mut self,
        index: usize,
        identity: &Result<Option<Identity>, String>,
    ) -> Result<AfterFailure, Fault> {
        let pauses = self.supervisor.pauses();
        if !pauses.is_some_and(|pauses| pauses.holds_failures()) {
            return Ok(AfterFailure::Stands);
        }
        // Without the command's user there is still root's view of the place.
        let identity = identity.as_ref().ok().and_then(Option::as_ref);
        let task = Task {
            text: &holding_text(&self.places),
            purpose: Purpose::Hold,
            succeeding: self.succeeding,
            identity,
        };
        // A state that cannot be kept has nothing to show.
        let Ok(command) = self.shell.command(&task) else {
            return Ok(AfterFailure::Stands);
        };
        let decided = self.supervisor.hold(command, identity.cloned())?;
        Ok(match decided {
            Ok(Continuation::Next) => AfterFailure::Command(index),
            Ok(Continuation::Command(next)) => AfterFailure::Command(next),
            Ok(Continuation::GiveUp) => AfterFailure::Stands,
            Err(ending) => AfterFailure::Cut(ending),
        })
    }

    fn command(
        &mut self,
        text: &str,
        identity: &Result<Option<Identity>, String>,
    ) -> Result<Command, Fault> {
        let identity = match identity {
            Ok(identity) => identity.as_ref(),
            Err(reason) => return Ok(Command::NotStarted(reason.clone())),
        };
        let task = Task {
            text,
            purpose: Purpose::Command,
            succeeding: self.succeeding,
            identity,
        };
        let command = match self.shell.command(&task) {
            Ok(command) => command,
            Err(error) => return Ok(Command::NotStarted(error.to_string())),
        };
        Ok(match self.supervisor.run(command, identity.cloned())? {
            Run::Ended(exit, usage) => {
                self.shell.remember_directory();
                Command::Ended(exit, usage)
            }
            Run::NotStarted(error) => {
                let (program, reason) = (self.shell.program(), reason::text(&error));
                Command::NotStarted(format!("fork/exec {program}: {reason}"))
            }
            Run::Cut(ending, exit, usage) => Command::Cut(ending, exit, usage),
        })
    }

    /// The user who runs a list of commands, with the sources given to it; an error is the reason
    /// why none of them can be started.
    fn identity(&mut self, name: Option<&str>) -> Result<Option<Identity>, String> {
        let Some(name) = name else { return Ok(None) };
        let found = users::find(&self.root, name)
            .map_err(|error| format!("open /etc/passwd: {}", reason::text(&error)))?;
        let identity = found.ok_or_else(|| format!("user: unknown user {name}"))?;
        let source = Path::new(&self.plan.source_directory);
        grant::sources(&self.places, source, &identity)
            .map_err(|error| format!("chown {}: {}", source.display(), reason::text(&error)))?;
        Ok(Some(identity))
    }

    /// Says once what a build lacks that called Docker in vain.
    fn tell_of_docker(&mut self) -> Result<(), Fault> {
        if !self.supervisor.log.take_docker_call() {
            return Ok(());
        }
        let hint = self.plan.docker_hint.clone().unwrap_or_default();
        self.line(&hint)
    }

    fn command_ended(&mut self, exit: Exit, usage: CommandUsage) -> Result<(), Fault> {
        self.supervisor.log.end_of_output().map_err(Fault::Spool)?;
        self.event(&Event::CommandEnded { exit, usage })
    }
}

/// The beginning of a command's first line.
fn beginning(command: &str) -> String {
    let line = command.lines().next().unwrap_or_default();
    line.chars().take(MOST_CHARACTERS).collect()
}

/// What follows a command that has failed.
enum AfterFailure {
    /// This command of the list.
    Command(usize),
    /// The failure of the list.
    Stands,
    /// The end of the build.
    Cut(Ending),
}

/// How one command has ended.
enum Command {
    Ended(Exit, CommandUsage),
    NotStarted(String),
    Cut(Ending, Exit, CommandUsage),
}

/// The context of a phase in which a command failed. `command` is masked.
pub(super) fn execution_error(command: &str, reason: &str) -> PhaseContext {
    let command = shortened(command);
    PhaseContext::new(
        "COMMAND_EXECUTION_ERROR",
        format!("Error while executing command: {command}. Reason: {reason}"),
    )
}

fn shortened(text: &str) -> Cow<'_, str> {
    if text.len() <= LONGEST_MESSAGE {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(LONGEST_MESSAGE);
    Cow::Owned(format!("{}...", &text[..end]))
}
