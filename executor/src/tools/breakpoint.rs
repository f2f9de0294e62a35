//! `codebuild-breakpoint` and `codebuild-resume`: outside of a debug session both do nothing (user guide, "View a
//! running build in Session Manager").

use super::{ToolError, print_lines};

/// Would pause the build.
pub(super) fn pause(arguments: &[String]) -> Result<u8, ToolError> {
    no_session("codebuild-breakpoint", arguments)
}

/// Would let a paused build go on.
pub(super) fn resume(arguments: &[String]) -> Result<u8, ToolError> {
    no_session("codebuild-resume", arguments)
}

fn no_session(name: &str, arguments: &[String]) -> Result<u8, ToolError> {
    if !arguments.is_empty() {
        return Err(ToolError::Usage(format!("usage: {name}")));
    }
    print_lines([format!(
        "{name}: ignored, because this build has no debug session"
    )])
}
