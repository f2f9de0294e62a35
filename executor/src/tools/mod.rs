//! The programs that CodeBuild puts into every build container. They are names of the executor: called by one
//! of them, it is that program.

mod breakpoint;
mod files;
mod git_credential;
mod glob_search;
mod hash_files;
mod tests_run;

use std::io::{self, Write};
use std::process::ExitCode;

use executor::protocol::channel;

/// What went wrong, for a person.
#[derive(Debug, thiserror::Error)]
enum ToolError {
    /// It was called in a way it does not know.
    #[error("{0}")]
    Usage(String),
    /// A pattern takes no file of the directory.
    #[error("{0}: {1}")]
    Pattern(String, executor::globs::PatternError),
    /// There is nothing to do it with.
    #[error("{0}")]
    Nothing(String),
    /// Something of the system failed.
    #[error("{0}: {1}")]
    System(String, #[source] io::Error),
}

impl ToolError {
    /// An error of the system in doing something.
    fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |error| Self::System(what, error)
    }
}

/// Waits in the place of a failed command until somebody has decided how the build goes on.
pub(crate) fn hold() -> ExitCode {
    breakpoint::hold().into()
}

type Tool = fn(&[String]) -> Result<u8, ToolError>;

/// Runs the tool of this name; `None` if there is none.
pub(crate) fn run(name: &str, arguments: &[String]) -> Option<ExitCode> {
    let tool: Tool = match name {
        "codebuild-breakpoint" => breakpoint::pause,
        "codebuild-glob-search" => glob_search::search,
        "codebuild-hash-files" => hash_files::hash,
        "codebuild-resume" => breakpoint::resume,
        "codebuild-tests-run" => tests_run::run,
        channel::GIT_CREDENTIAL_HELPER => git_credential::answer,
        _ => return None,
    };
    let code = tool(arguments).unwrap_or_else(|error| {
        let code = if matches!(error, ToolError::Usage(_)) {
            2
        } else {
            1
        };
        // If nobody can read it, the exit code still tells.
        drop(writeln!(io::stderr(), "{name}: {error}"));
        code
    });
    Some(ExitCode::from(code))
}

/// Prints lines; a reader that goes away is no error.
fn print_lines(lines: impl IntoIterator<Item = String>) -> Result<u8, ToolError> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut lines = lines.into_iter();
    let printed = lines.try_for_each(|line| writeln!(out, "{line}"));
    match printed.and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(ToolError::System("standard output".to_owned(), error))
        }
        _ => Ok(0),
    }
}
