//! The shell of the build: the script around each command, and what one command leaves to the
//! next.
//!
//! CodeBuild runs every command as a script `/codebuild/output/tmp/script.sh` in which the text of
//! the command starts at line 4, and keeps the exported variables in `env.sh` and the working
//! directory in `dir.txt` beside it; the error messages of shells in public logs show that much.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use executor::protocol::{Plan, ShellKind, StateCarrying};
use nix::unistd::{self, Gid, Uid};

use crate::places::Places;
use crate::sys::Identity;
use crate::untrusted;

/// Added to the end of PATH: CodeBuild's programs, and last, as in CodeBuild, the user's.
const PROGRAMS: &str = "/codebuild/readonly/bin:/codebuild/user/bin";

/// Longest path that is taken from `dir.txt`, in bytes.
const LONGEST_DIRECTORY: u64 = 64 * 1024;

/// Longest answer to a question, in bytes. As JSON it fits into one event, whatever is escaped.
const LONGEST_ANSWER: u64 = 128 * 1024;

/// How much of `env.sh` is searched for a name, in bytes.
const LONGEST_SEARCHED: u64 = 1024 * 1024;

/// Runs commands one after the other in the same state.
#[derive(Debug)]
pub(crate) struct Shell {
    program: &'static str,
    state: PathBuf,
    start: PathBuf,
    directory: PathBuf,
    carrying: StateCarrying,
    environment: BTreeMap<OsString, OsString>,
    /// `VERSION` of the runtime that is being selected.
    version: Option<String>,
}

impl Shell {
    /// Prepares the shell a plan asks for; `inherited` are the image's own variables.
    pub(crate) fn new(
        plan: &Plan,
        places: &Places,
        inherited: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Self {
        let mut environment: BTreeMap<OsString, OsString> = inherited.into_iter().collect();
        for variable in &plan.environment {
            environment.insert(variable.name.clone().into(), variable.value.clone().into());
        }
        environment.insert("HOME".into(), "/root".into());
        let path = environment.entry("PATH".into()).or_default();
        if !path.is_empty() {
            path.push(":");
        }
        path.push(PROGRAMS);
        Self {
            program: match plan.shell {
                ShellKind::Sh => "/bin/sh",
                ShellKind::Bash => "/bin/bash",
            },
            state: places.state.clone(),
            start: PathBuf::from(&plan.source_directory),
            directory: PathBuf::from(&plan.source_directory),
            carrying: plan.state,
            environment,
            version: None,
        }
    }

    /// Sets `VERSION` for the commands of a runtime, or takes it back. It is not part of the state
    /// that commands leave to each other.
    pub(crate) fn set_version(&mut self, version: Option<&str>) {
        self.version = version.map(str::to_owned);
    }

    /// Path of the shell's program.
    pub(crate) fn program(&self) -> &'static str {
        self.program
    }

    /// Writes the script of a command and gives what starts it, without standard output.
    pub(crate) fn command(&mut self, task: &Task<'_>) -> Result<Command, StateError> {
        if self.carrying == StateCarrying::Fresh {
            self.directory.clone_from(&self.start);
        }
        self.prepare_state(task.identity)?;
        let script = self.state.join("script.sh");
        untrusted::replace(&script, 0o644, &self.script(task)).map_err(|source| StateError {
            operation: "write",
            path: script.clone(),
            source,
        })?;
        let mut command = self.plain(self.program);
        command.arg(&script);
        Ok(command)
    }

    /// A program in the environment of the build, without arguments and standard output.
    pub(crate) fn plain(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .stdin(Stdio::null())
            .env_clear()
            .envs(&self.environment);
        command
    }

    /// Takes over the directory in which the last command has ended. If it has recorded none (by
    /// `exit` or `exec`), the one before stays.
    pub(crate) fn remember_directory(&mut self) {
        if self.carrying == StateCarrying::Carried
            && let Ok(mut directory) =
                untrusted::read(&self.state.join("dir.txt"), LONGEST_DIRECTORY)
            && directory.pop() == Some(b'\n')
            && directory.starts_with(b"/")
        {
            self.directory = PathBuf::from(OsString::from_vec(directory));
        }
    }

    /// Whether a variable may be set: by the image, by the plan or by a command of the build.
    pub(crate) fn may_know(&self, name: &str) -> bool {
        let given = || self.environment.contains_key(std::ffi::OsStr::new(name));
        let state =
            untrusted::read(&self.state.join("env.sh"), LONGEST_SEARCHED).unwrap_or_default();
        state.len() as u64 == LONGEST_SEARCHED
            || given()
            || String::from_utf8_lossy(&state).contains(name)
    }

    /// What the last question was answered.
    pub(crate) fn answer(&self) -> io::Result<Vec<u8>> {
        untrusted::read(&self.state.join("answer"), LONGEST_ANSWER)
    }

    fn script(&self, task: &Task<'_>) -> Vec<u8> {
        let directory = quoted(self.directory.as_os_str().as_bytes());
        let environment = quoted(self.state.join("env.sh").as_os_str().as_bytes());
        let succeeding = u8::from(task.succeeding);
        let mut script = b"cd -- ".to_vec();
        script.extend_from_slice(&directory);
        script.extend_from_slice(match task.purpose {
            // A directory that is gone is what the person may want to see.
            Purpose::Hold => b" || cd /\nset -a\n. ".as_slice(),
            Purpose::Command | Purpose::Question => b" || exit\nset -a\n. ",
        });
        script.extend_from_slice(&environment);
        // On the same line, so that the text of the command starts at line 4.
        script.extend_from_slice(format!("; CODEBUILD_BUILD_SUCCEEDING={succeeding}").as_bytes());
        if let Some(version) = &self.version {
            script.extend_from_slice(b"; VERSION=");
            script.extend_from_slice(&quoted(version.as_bytes()));
        }
        script.extend_from_slice(format!("\n{}\n", task.text).as_bytes());
        if task.purpose == Purpose::Command {
            // The blank line ends a command whose last character is a backslash. `>|` writes even
            // after `set -C`.
            script.extend_from_slice(b"\nCODEBUILD_LAST_EXIT=$?\n");
            if self.version.is_some() {
                script.extend_from_slice(b"unset VERSION\n");
            }
            script.extend_from_slice(b"export -p >| ");
            script.extend_from_slice(&environment);
            script.extend_from_slice(b"\npwd >| ");
            let directory = self.state.join("dir.txt");
            script.extend_from_slice(&quoted(directory.as_os_str().as_bytes()));
            script.extend_from_slice(b"\nexit $CODEBUILD_LAST_EXIT\n");
        }
        script
    }

    /// Makes the state files that are missing, and gives them to the user who has to write them.
    fn prepare_state(&self, identity: Option<&Identity>) -> Result<(), StateError> {
        let (user, group) = identity.map_or((Uid::from_raw(0), Gid::from_raw(0)), |identity| {
            (identity.user, identity.group)
        });
        for name in ["env.sh", "dir.txt", "answer"] {
            let path = self.state.join(name);
            let keep = self.carrying == StateCarrying::Carried && name == "env.sh";
            let made = untrusted::open(&path, 0o600).and_then(|file| {
                if !keep {
                    file.set_len(0)?;
                }
                if Uid::effective().is_root() {
                    unistd::fchown(&file, Some(user), Some(group))?;
                }
                Ok(())
            });
            made.map_err(|source| StateError {
                operation: "open",
                path,
                source,
            })?;
        }
        Ok(())
    }
}

/// The state of the shell cannot be kept, usually because its directory is full or was removed by
/// the build. Reads as the same error of a Go program, as all of CodeBuild's reasons do.
#[derive(Debug, thiserror::Error)]
#[error("{operation} {}: {}", path.display(), crate::reason::text(source))]
pub(crate) struct StateError {
    operation: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// What is run.
#[derive(Debug)]
pub(crate) struct Task<'a> {
    /// Text for the shell.
    pub(crate) text: &'a str,
    /// Whether what it leaves is kept.
    pub(crate) purpose: Purpose,
    /// Value of `CODEBUILD_BUILD_SUCCEEDING`.
    pub(crate) succeeding: bool,
    /// Who runs it; none for root.
    pub(crate) identity: Option<&'a Identity>,
}

/// Why something is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// It is a command of the build: variables and directory go on to the next one.
    Command,
    /// It is a question of the executor: it leaves nothing but its answer.
    Question,
    /// It keeps the state of a failed command alive for a person.
    Hold,
}

/// The path to which a question writes its answer, for the shell.
pub(crate) fn answer_path(places: &Places) -> String {
    String::from_utf8_lossy(&quoted(places.state.join("answer").as_os_str().as_bytes()))
        .into_owned()
}

/// The text of a [`Purpose::Hold`]: the shell becomes a process that waits.
pub(crate) fn holding_text(places: &Places) -> String {
    let program = quoted(places.program().as_os_str().as_bytes());
    format!("exec {} hold", String::from_utf8_lossy(&program))
}

/// A text in single quotes.
fn quoted(text: &[u8]) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for byte in text {
        match byte {
            b'\'' => quoted.extend_from_slice(br"'\''"),
            _ => quoted.push(*byte),
        }
    }
    quoted.push(b'\'');
    quoted
}

/// Makes the directory for the state, if the agent has mounted none.
pub(crate) fn make_state_directory(places: &Places) -> io::Result<()> {
    fs::create_dir_all(&places.state)
}
