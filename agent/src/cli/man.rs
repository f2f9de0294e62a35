//! `man`: the manual pages.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, CommandFactory};
use clap_mangen::Man;

use super::exit::{Exit, Failure};
use super::{Cli, print};

/// Prints the manual page of the program, or writes one for each command
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Existing directory for the pages of all commands
    directory: Option<PathBuf>,
}

pub(super) fn run(args: ManArgs) -> Result<Exit, Failure> {
    if let Some(directory) = args.directory {
        clap_mangen::generate_to(Cli::command(), &directory)
            .with_context(|| format!("cannot write manual pages to {}", directory.display()))
            .map_err(Failure::fault)?;
        return Ok(Exit::Success);
    }
    let mut page = Vec::new();
    Man::new(Cli::command())
        .render(&mut page)
        .map_err(Failure::fault)?;
    print(&page)
}
