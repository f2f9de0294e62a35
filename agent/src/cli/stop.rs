//! `stop`: ends builds.

use std::fmt::Write;

use clap::Args;
use serde_json::json;

use super::exit::{Exit, Failure, tell};
use super::place::{PlaceArgs, text};
use super::{GlobalArgs, print};

/// Stops builds: waiting ones at once, running ones through their worker
///
/// Prints the id and the status of each. Ends with 2 if one of them does not exist.
#[derive(Debug, Args)]
pub(super) struct StopArgs {
    /// The builds, as project:uuid
    #[arg(required = true, value_name = "BUILD")]
    builds: Vec<String>,
    #[command(flatten)]
    place: PlaceArgs,
    /// Print each build as a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: StopArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    let place = args.place.of(global).await?;
    let mut output = String::new();
    let mut exit = Exit::Success;
    for id in &args.builds {
        let stopped = place.codebuild("StopBuild", &json!({"id": id})).await;
        match stopped {
            Ok(stopped) if args.json => {
                let _ = writeln!(output, "{}", stopped["build"]);
            }
            Ok(stopped) => {
                let _ = writeln!(output, "{id} {}", text(&stopped["build"], "buildStatus"));
            }
            // One that is not there keeps nobody from stopping the others.
            Err(error) if error.is_not_found() => {
                tell(format_args!("error: {error}"));
                exit = Exit::Invalid;
            }
            Err(error) => {
                print(output.as_bytes())?;
                return Err(error.into());
            }
        }
    }
    print(output.as_bytes())?;
    Ok(exit)
}
