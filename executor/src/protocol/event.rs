//! Events: what the executor reports through the spool.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{CommandList, Continuation, Pause, Phase};

/// One lifecycle record of the spool. Its time is the record's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    tag = "type"
)]
pub enum Event {
    /// A phase was entered. `DOWNLOAD_SOURCE` is not reported here: the agent has entered it.
    PhaseStarted {
        /// Which phase.
        phase: Phase,
    },
    /// A command was started.
    CommandStarted {
        /// Phase it belongs to.
        phase: Phase,
        /// List it stands in.
        list: CommandList,
        /// Place in that list, from 0.
        index: usize,
        /// Run of the phase, from 0; more than 0 after `on-failure: RETRY`.
        attempt: u32,
        /// Beginning of its first line, masked: enough to recognise it.
        command: String,
    },
    /// The command started last has ended.
    CommandEnded {
        /// How it ended.
        exit: Exit,
        /// What it used.
        usage: CommandUsage,
    },
    /// The build waits for a person.
    Paused(Pause),
    /// The build goes on after a pause.
    Resumed {
        /// Number of the pause.
        number: u32,
        /// What was said; `None` if the process that waited has ended by itself.
        with: Option<Continuation>,
    },
    /// A phase was left. A phase that is run again is left once, after its last run.
    PhaseEnded {
        /// Which phase.
        phase: Phase,
        /// How it ended.
        status: Status,
        /// Why, when it did not succeed.
        context: Option<PhaseContext>,
    },
    /// The values of the exported variables, taken after `POST_BUILD`; unset names are left out,
    /// and secrets are hidden.
    Exported {
        /// Names and values, in the buildspec's order.
        variables: Vec<(String, String)>,
    },
    /// One artifact lies complete in the channel.
    ArtifactCollected {
        /// Index in [`Plan::artifacts`](super::Plan::artifacts).
        index: usize,
        /// The evaluated name, where the plan has one, with secrets hidden.
        name: Option<String>,
        /// Number of files.
        files: u64,
        /// Their size together, in bytes.
        bytes: u64,
        /// The archive they were packed into, where the plan wants one.
        archive: Option<ArchiveSums>,
    },
    /// One artifact could not be collected; those after it are not tried. The code is
    /// `BUILD_TIMED_OUT` where the time of the build was up.
    ArtifactFailed {
        /// Index in [`Plan::artifacts`](super::Plan::artifacts).
        index: usize,
        /// Why, in CodeBuild's words where it has them.
        context: PhaseContext,
    },
    /// The files of one report lie in the channel.
    ReportStaged {
        /// Number of the report within the build, from 0.
        index: usize,
        /// The report group as the buildspec names it, its variables replaced; masked.
        group: String,
        /// CodeBuild's name of the files' format.
        format: String,
        /// Whether the report was discovered instead of configured.
        discovered: bool,
        /// Number of files; 0 if none was found.
        files: u64,
        /// Why not all files are there, if they are not.
        problem: Option<String>,
    },
    /// The build waits for an answer to the question in the channel, [`Order::Cache`](super::Order::Cache).
    CacheWanted,
    /// A kept cache was restored.
    CacheRestored {
        /// Its name among those of the project.
        entry: String,
    },
    /// A cache lies complete in the channel, to be kept once the container is gone.
    CacheSaved {
        /// The name it shall have among those of the project.
        entry: String,
        /// Number of files, links and directories.
        files: u64,
        /// Size of the files together.
        bytes: u64,
    },
    /// The last record: all processes of the build are gone. A build that is ended while artifacts
    /// are collected is `TIMED_OUT` or `STOPPED` without upload.
    Ended {
        /// How the build stands before `UPLOAD_ARTIFACTS`.
        status: Status,
        /// Whether `UPLOAD_ARTIFACTS` is to be attempted (phase transitions of the buildspec
        /// reference).
        upload: bool,
    },
}

/// A packed artifact (API, `BuildArtifacts`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveSums {
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal digits.
    pub sha256: String,
    /// Its MD5, in hexadecimal digits.
    pub md5: String,
}

/// How a build or a phase ended (API, `StatusType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// All went well.
    Succeeded,
    /// The build's author has something to mend.
    Failed,
    /// The runner, its machine or a service it needs failed.
    Fault,
    /// The build's time was up.
    TimedOut,
    /// Somebody stopped it.
    Stopped,
}

impl Status {
    /// CodeBuild's name of the status.
    pub fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Fault => "FAULT",
            Self::TimedOut => "TIMED_OUT",
            Self::Stopped => "STOPPED",
        }
    }
}

/// Why a phase did not succeed (API, `PhaseContext`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PhaseContext {
    /// CodeBuild's code, such as `COMMAND_EXECUTION_ERROR`; may be empty.
    pub status_code: String,
    /// One sentence for a person; may be empty.
    pub message: String,
}

impl PhaseContext {
    /// Makes a context from its two parts.
    pub fn new(status_code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            status_code: status_code.into(),
            message: message.into(),
        }
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Exit {
    /// It returned this status.
    Status(i32),
    /// This signal ended it.
    Signal(i32),
}

impl Exit {
    /// Whether the status is 0.
    pub fn is_success(self) -> bool {
        self == Self::Status(0)
    }
}

/// CodeBuild's words, which are those of Go's `os/exec`: `exit status 1`, `signal: killed`.
impl fmt::Display for Exit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Status(status) => write!(formatter, "exit status {status}"),
            Self::Signal(number) => match signal_text(number) {
                Some(text) => write!(formatter, "signal: {text}"),
                None => write!(formatter, "signal: signal {number}"),
            },
        }
    }
}

/// The words Go uses for a Linux signal.
fn signal_text(number: i32) -> Option<&'static str> {
    const TEXTS: [&str; 31] = [
        "hangup",
        "interrupt",
        "quit",
        "illegal instruction",
        "trace/breakpoint trap",
        "aborted",
        "bus error",
        "floating point exception",
        "killed",
        "user defined signal 1",
        "segmentation fault",
        "user defined signal 2",
        "broken pipe",
        "alarm clock",
        "terminated",
        "stack fault",
        "child exited",
        "continued",
        "stopped (signal)",
        "stopped",
        "stopped (tty input)",
        "stopped (tty output)",
        "urgent I/O condition",
        "CPU time limit exceeded",
        "file size limit exceeded",
        "virtual timer expired",
        "profiling timer expired",
        "window changed",
        "I/O possible",
        "power failure",
        "bad system call",
    ];
    let index = usize::try_from(number).ok()?.checked_sub(1)?;
    TEXTS.get(index).copied()
}

/// What one command used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandUsage {
    /// Time from start to end, in milliseconds.
    pub wall_millis: u64,
    /// Processor time of the command and the children it waited for, in milliseconds.
    pub processor_millis: u64,
    /// Largest resident size of one of its processes, in bytes.
    pub peak_memory_bytes: u64,
    /// Bytes it wrote to the log.
    pub logged_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_reads_as_in_codebuilds_log() {
        assert_eq!(Exit::Status(127).to_string(), "exit status 127");
        assert_eq!(Exit::Signal(9).to_string(), "signal: killed");
        assert_eq!(Exit::Signal(15).to_string(), "signal: terminated");
        assert_eq!(Exit::Signal(31).to_string(), "signal: bad system call");
        assert_eq!(Exit::Signal(40).to_string(), "signal: signal 40");
        assert_eq!(Exit::Signal(0).to_string(), "signal: signal 0");
    }
}
