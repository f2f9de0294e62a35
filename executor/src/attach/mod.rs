//! `executor attach`: a shell for a person, in the place of a process of the build. The agent starts
//! it with the engine's `exec`, so that it begins with more rights than the build has; it gives them
//! up before it starts anything.
//!
//! The pseudo-terminal is made here and not by the engine: so it belongs to the user of the shell, the
//! shell is hung up when the person's connection breaks, and what the shell writes reaches the agent
//! in frames that nothing in the container can forge.

mod pseudo_terminal;
mod target;

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, ExitCode};

use executor::protocol::{WindowSize, channel};
use nix::sys::prctl;

use self::pseudo_terminal::PseudoTerminal;
use self::target::Target;

/// The shells that are tried; the last one is there in any image that can be built in.
const SHELLS: [&str; 2] = ["/bin/bash", "/bin/sh"];

/// There is no shell.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step}: {source}")]
struct AttachError {
    step: &'static str,
    source: io::Error,
}

fn failed<E: Into<io::Error>>(step: &'static str) -> impl FnOnce(E) -> AttachError {
    move |error| AttachError {
        step,
        source: error.into(),
    }
}

/// Runs a shell with the user, the environment and the directory of a process, in a terminal window
/// of this size. Standard input brings [`TerminalInput`](executor::protocol::TerminalInput).
pub(crate) fn attach(process: i32, size: WindowSize) -> ExitCode {
    let code = run(process, size).unwrap_or_else(|error| {
        // If nobody can read it, the exit code still tells.
        drop(write!(io::stderr(), "{error}\r\n"));
        channel::EXIT_NOT_ATTACHED
    });
    u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from)
}

fn run(process: i32, size: WindowSize) -> Result<i32, AttachError> {
    // Processes of the build may run as the same user. They read no keys here.
    prctl::set_dumpable(false).map_err(failed("close the terminal to other processes"))?;
    let target = Target::open(process).map_err(failed("find the paused process"))?;
    target
        .take_its_place()
        .map_err(failed("become the user of the command"))?;
    let environment = target
        .environment()
        .map_err(failed("read the environment of the command"))?;
    if let Err(error) = target.enter_directory() {
        drop(write!(
            io::stderr(),
            "cannot enter the directory of the command: {error}\r\n"
        ));
    }
    let command = shell(environment);
    let terminal = PseudoTerminal::start(command, size).map_err(failed("start a shell"))?;
    terminal.serve().map_err(failed("use the terminal"))
}

fn shell(environment: Vec<(OsString, OsString)>) -> Command {
    let is_there = |path: &&&str| Path::new(path).exists();
    let program = SHELLS.iter().find(is_there).unwrap_or(&SHELLS[1]);
    let mut command = Command::new(program);
    command.env_clear().envs(environment);
    // The kind of the person's terminal, which the engine has passed on.
    if let Some(kind) = env::var_os("TERM") {
        command.env("TERM", kind);
    }
    command
}
