//! The subcommand `remove`: removes what containers have left on the host, for an agent that is
//! not root there.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use executor::removal;

/// Removes files and whole directories.
pub(crate) fn remove(paths: &[&str]) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for path in paths {
        if let Err(error) = removal::remove_tree(Path::new(path)) {
            // If nobody can read it, the exit code still tells.
            drop(writeln!(io::stderr(), "cannot remove {path}: {error}"));
            code = ExitCode::FAILURE;
        }
    }
    code
}
