//! `codebuild-breakpoint` and `codebuild-resume`: they pause and resume a build that has a debug session; outside
//! of one both do nothing (user guide, "View a running build in Session Manager").

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

use super::{ToolError, print_lines};
use crate::places::Places;
use crate::session::{Answer, Request};

/// Pauses the build until somebody resumes it.
pub(super) fn pause(arguments: &[String]) -> Result<u8, ToolError> {
    no_arguments("codebuild-breakpoint", arguments)?;
    match ask(Request::Breakpoint)? {
        Some(Answer::Resumed) => Ok(0),
        Some(Answer::GivenUp) => Ok(1),
        Some(Answer::Ignored) | None => ignored("codebuild-breakpoint"),
    }
}

/// Lets a paused build go on.
pub(super) fn resume(arguments: &[String]) -> Result<u8, ToolError> {
    no_arguments("codebuild-resume", arguments)?;
    match ask(Request::Resume)? {
        Some(Answer::Resumed | Answer::GivenUp) => Ok(0),
        Some(Answer::Ignored) => {
            print_lines(["codebuild-resume: ignored, because this build is not paused".to_owned()])
        }
        None => ignored("codebuild-resume"),
    }
}

/// Waits in the state of a failed command until somebody has decided how the build goes on. What it
/// returns does not matter: the executor knows the decision.
pub(super) fn hold() -> u8 {
    match ask(Request::Breakpoint) {
        Ok(Some(_)) => 0,
        Ok(None) | Err(_) => 1,
    }
}

fn no_arguments(name: &str, arguments: &[String]) -> Result<(), ToolError> {
    if arguments.is_empty() {
        Ok(())
    } else {
        Err(ToolError::Usage(format!("usage: {name}")))
    }
}

fn ignored(name: &str) -> Result<u8, ToolError> {
    print_lines([format!(
        "{name}: ignored, because this build has no debug session"
    )])
}

/// Asks the executor, and waits for its answer; `None` where there is no session.
fn ask(request: Request) -> Result<Option<Answer>, ToolError> {
    let failed = |error| ToolError::System("cannot reach the debug session".to_owned(), error);
    let places = Places::of_this_program().map_err(failed)?;
    let mut stream = match UnixStream::connect(places.session()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        connected => connected.map_err(failed)?,
    };
    let mut answer = [0];
    let answered = stream
        .write_all(&[request.byte()])
        .and_then(|()| stream.read_exact(&mut answer));
    answered.map_err(failed)?;
    let answers = [Answer::Ignored, Answer::Resumed, Answer::GivenUp];
    let found = answers.into_iter().find(|one| one.byte() == answer[0]);
    found
        .map(Some)
        .ok_or_else(|| failed(io::ErrorKind::InvalidData.into()))
}
