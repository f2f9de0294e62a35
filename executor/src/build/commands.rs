//! Runs the commands of a list, one after the other, until one fails.

use std::borrow::Cow;
use std::path::Path;

use executor::protocol::{CommandList, CommandUsage, Event, Exit, Phase, PhaseContext, Status};

use super::Build;
use crate::grant;
use crate::reason;
use crate::shell::{Purpose, Task};
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
        }
    }
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
        let identity = self.identity(place.run_as);
        for (index, command) in commands.iter().enumerate() {
            if let Some(ending) = self.supervisor.look()? {
                return Ok(ListEnd::Cut(ending));
            }
            let shown = self.supervisor.log.mask(command);
            self.line(&format!("Running command {shown}"))?;
            self.event(&Event::CommandStarted {
                phase: place.phase,
                list: place.list,
                index,
                attempt: place.attempt,
                command: beginning(&shown),
            })?;
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
            if !exit.is_success() {
                self.line(&format!(
                    "Command did not exit successfully {shown} {reason}"
                ))?;
                if let Some(kills) = self.memory.take_kills() {
                    self.line(&kills)?;
                }
                return Ok(ListEnd::Failed(execution_error(&shown, &reason)));
            }
        }
        Ok(ListEnd::Succeeded)
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
