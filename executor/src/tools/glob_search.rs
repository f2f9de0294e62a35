//! `codebuild-glob-search`: prints the files below the working directory that patterns match (user
//! guide, "Use the codebuild-glob-search CLI command").

use std::env;

use super::{ToolError, files, print_lines};

/// Prints one path a line, in order, relative to the working directory.
pub(super) fn search(patterns: &[String]) -> Result<u8, ToolError> {
    if patterns.is_empty() {
        return Err(ToolError::Usage(
            "usage: codebuild-glob-search PATTERN...".to_owned(),
        ));
    }
    let base = env::current_dir().map_err(ToolError::system("working directory"))?;
    let found = files::matching(&base, patterns)?;
    print_lines(found.iter().map(|path| path.display().to_string()))
}
