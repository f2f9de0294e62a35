//! `logs`: the log of a build of a server.

use clap::Args;

use super::client::Client;
use super::follow::{self, LogReader};
use crate::cli::exit::{Exit, Failure};

/// Shows the log of a build
#[derive(Debug, Args)]
pub(super) struct LogsArgs {
    /// Id of the build: project:uuid
    id: String,
    /// Go on until the build is over, and end with the exit code of its outcome
    #[arg(short, long)]
    follow: bool,
}

pub(super) async fn run(args: LogsArgs, client: &Client) -> Result<Exit, Failure> {
    if args.follow {
        return follow::to_the_end(client, &args.id).await;
    }
    let build = follow::look(client, &args.id).await?;
    LogReader::of(client, &build).print_new().await?;
    Ok(Exit::Success)
}
