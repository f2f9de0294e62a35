//! `retry`: the same build once more.

use clap::Args;
use serde_json::json;

use super::GlobalArgs;
use super::exit::{Exit, Failure};
use super::place::{self, PlaceArgs};

/// Queues a build again, with everything it was asked to be, and prints the new id
#[derive(Debug, Args)]
pub(super) struct RetryArgs {
    /// The build, as project:uuid
    #[arg(value_name = "BUILD")]
    build: String,
    #[command(flatten)]
    place: PlaceArgs,
    /// Token by which a repeated request is known for five minutes
    #[arg(long, value_name = "TOKEN")]
    idempotency_token: Option<String>,
    /// Show the log until the new build is over, and end with the exit code of its outcome
    #[arg(short, long)]
    wait: bool,
    /// Print the new build as a JSON object
    #[arg(long, conflicts_with = "wait")]
    json: bool,
}

pub(super) async fn run(args: RetryArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    let place = args.place.of(global).await?;
    let input = json!({"id": args.build, "idempotencyToken": args.idempotency_token});
    let answer = place.codebuild("RetryBuild", &input).await?;
    place::started(&place, &answer["build"], args.wait, args.json).await
}
