//! Pauses: a build that waits for a person, and how it goes on.

use serde::{Deserialize, Serialize};

use super::{CommandList, Phase};

/// What lets a person into a running build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DebugPlan {
    /// Identifier of the build, under which the agent's commands know it.
    pub build: String,
    /// Lines for the log that say how to get into a paused build and how to let it go on.
    pub invitation: Vec<String>,
    /// Whether the build has a debug session: only there does `codebuild-breakpoint` pause it (user
    /// guide, "View a running build in Session Manager").
    pub breakpoints: bool,
    /// How long a build whose command failed waits for a person, in milliseconds; `None` where it
    /// does not wait.
    pub failure_grace_millis: Option<u64>,
}

/// A pause, as it stands in the channel for as long as it lasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pause {
    /// Number of the pause within the build, from 1.
    pub number: u32,
    /// Identifier of the build.
    pub build: String,
    /// Why the build waits.
    pub reason: PauseReason,
    /// The process that waits, by its id in the container. It has the environment, the working
    /// directory and the user of the command.
    pub process: i32,
    /// Where the build stands.
    #[serde(flatten)]
    pub place: PausePlace,
}

/// The command at which a build is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PausePlace {
    /// Its phase.
    pub phase: Phase,
    /// The list of the phase in which it stands.
    pub list: CommandList,
    /// Its place in that list, from 0.
    pub index: usize,
    /// Number of commands of the list.
    pub commands: usize,
}

impl PausePlace {
    /// The place for a person, who counts from 1: `command 2 of 3 of BUILD`.
    pub fn describe(&self) -> String {
        let list = match self.list {
            CommandList::Commands => "",
            CommandList::Finally => "finally of ",
        };
        format!(
            "command {} of {} of {list}{}",
            self.index + 1,
            self.commands,
            self.phase.name()
        )
    }
}

/// Why a build is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PauseReason {
    /// A command called `codebuild-breakpoint`.
    Breakpoint,
    /// A command failed.
    Failure,
}

/// Ends a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resume {
    /// Number of the pause that is meant: an order that comes too late ends no other one.
    pub pause: u32,
    /// How the build goes on.
    pub with: Continuation,
}

/// How a paused build goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Continuation {
    /// From a breakpoint with the rest of its command; after a failure with the failed command, once
    /// more.
    Next,
    /// With this command of the list, from 0, after the command with the breakpoint has ended. The
    /// number of commands stands for the end of the list. A failed command is forgotten.
    Command(usize),
    /// Not: the failure stands, and a breakpoint ends with exit status 1.
    GiveUp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_counts_commands_from_one() {
        let mut place = PausePlace {
            phase: Phase::PreBuild,
            list: CommandList::Commands,
            index: 1,
            commands: 3,
        };
        assert_eq!(place.describe(), "command 2 of 3 of PRE_BUILD");
        place.list = CommandList::Finally;
        assert_eq!(place.describe(), "command 2 of 3 of finally of PRE_BUILD");
    }
}
