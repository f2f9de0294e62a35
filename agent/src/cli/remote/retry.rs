//! `retry`: runs a build of a server again.

use clap::Args;
use serde_json::json;

use super::client::Client;
use super::submit::started;
use crate::cli::exit::{Exit, Failure};

/// Runs a build again, with everything as it was
#[derive(Debug, Args)]
pub(super) struct RetryArgs {
    /// Id of the build: project:uuid
    id: String,
    /// Show the log until the new build is over, and end with the exit code of its outcome
    #[arg(short, long)]
    wait: bool,
    /// Print the new build as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: RetryArgs, client: &Client) -> Result<Exit, Failure> {
    let answer = client
        .codebuild("RetryBuild", &json!({"id": args.id}))
        .await?;
    started(client, &answer["build"], args.wait, args.json).await
}
