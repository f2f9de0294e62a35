//! `stop`: ends builds of a store.

use std::fmt::Write;

use clap::Args;

use super::exit::{Exit, Failure, tell};
use super::store_args::StoreArgs;
use super::{GlobalArgs, data_directory, print};
use crate::model::BuildId;

/// Stops builds: waiting ones at once, running ones through their worker
///
/// Prints the id and the status of each. Ends with 2 if one of them does not exist.
#[derive(Debug, Args)]
pub(super) struct StopArgs {
    /// The builds, as project:uuid
    #[arg(required = true)]
    builds: Vec<BuildId>,
    #[command(flatten)]
    store: StoreArgs,
}

pub(super) async fn run(args: StopArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    let config = global.config()?;
    let data = data_directory(&config)?;
    let store = args.store.open(&data, &config).await?;
    let mut output = String::new();
    let mut exit = Exit::Success;
    for id in &args.builds {
        if let Some(build) = store.stop(id).await.map_err(Failure::fault)? {
            let _ = writeln!(output, "{id} {}", build.status);
        } else {
            tell(format_args!("error: there is no build {id}"));
            exit = Exit::Invalid;
        }
    }
    print(output.as_bytes())?;
    Ok(exit)
}
