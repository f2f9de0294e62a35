//! `stop`: ends a build of a server.

use clap::Args;
use serde_json::json;

use super::client::Client;
use super::{print_json, text};
use crate::cli::exit::{Exit, Failure, tell};

/// Stops a build
#[derive(Debug, Args)]
pub(super) struct StopArgs {
    /// Id of the build: project:uuid
    id: String,
    /// Print the build as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: StopArgs, client: &Client) -> Result<Exit, Failure> {
    let stopped = client
        .codebuild("StopBuild", &json!({"id": args.id}))
        .await?;
    let build = &stopped["build"];
    if args.json {
        return print_json(build);
    }
    let state = if build["buildComplete"] == true {
        text(build, "buildStatus")
    } else {
        "is being stopped"
    };
    tell(format_args!("{}: {state}", args.id));
    Ok(Exit::Success)
}
