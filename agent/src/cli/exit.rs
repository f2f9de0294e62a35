//! How the program ends.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use crate::build::ResolveError;
use crate::credentials::CredentialsError;
use crate::docker::DockerError;

/// The documented exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// 0: the build, or whatever was asked for, succeeded.
    Success,
    /// 1: the build failed.
    BuildFailed,
    /// 2: wrong usage, an invalid buildspec or an invalid configuration.
    Invalid,
    /// 3: the environment failed: Docker, network, disk, AWS.
    Environment,
    /// 4: the build's time was up.
    TimedOut,
    /// 5: the build was stopped.
    Stopped,
    /// Any: what a shell has returned that somebody was given.
    Shell(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::BuildFailed => 1,
            Exit::Invalid => 2,
            Exit::Environment => 3,
            Exit::TimedOut => 4,
            Exit::Stopped => 5,
            Exit::Shell(code) => code,
        })
    }
}

/// Why a command could not be carried out.
#[derive(Debug)]
pub(super) struct Failure {
    exit: Exit,
    message: String,
    remedy: Option<&'static str>,
}

impl Failure {
    /// The user asked for something that cannot be.
    pub(super) fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self::new(Exit::Invalid, &error.into())
    }

    /// Something around the program failed.
    pub(super) fn fault(error: impl Into<anyhow::Error>) -> Self {
        Self::new(Exit::Environment, &error.into())
    }

    fn new(exit: Exit, error: &anyhow::Error) -> Self {
        let remedy = error.chain().find_map(|cause| {
            if cause.is::<CredentialsError>() {
                return Some(CredentialsError::remedy());
            }
            let docker = cause
                .downcast_ref::<DockerError>()
                .and_then(DockerError::remedy);
            docker.or_else(|| {
                cause
                    .downcast_ref::<ResolveError>()
                    .and_then(ResolveError::remedy)
            })
        });
        Self {
            exit,
            message: format!("{error:#}"),
            remedy,
        }
    }

    /// Tells the user, and gives the exit code.
    pub(super) fn report(&self) -> Exit {
        tell(format_args!("error: {}", self.message));
        if let Some(remedy) = self.remedy {
            tell(format_args!("help: {remedy}"));
        }
        self.exit
    }
}

/// Writes a line for a person to standard error. Control characters are shown as escapes: names and
/// messages in it may come out of a container.
pub(super) fn tell(line: impl Display) {
    let line = line.to_string();
    let shown = line
        .chars()
        .fold(String::with_capacity(line.len()), |mut shown, character| {
            match character {
                '\n' | '\t' => shown.push(character),
                _ if character.is_control() => shown.extend(character.escape_default()),
                _ => shown.push(character),
            }
            shown
        });
    tell_rendered(shown);
}

/// Writes a line that may hold terminal colours, and that we made ourselves.
pub(super) fn tell_rendered(line: impl Display) {
    // Nobody reads it: nobody to tell.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
