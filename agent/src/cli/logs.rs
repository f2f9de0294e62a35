//! `logs`: the log of a build.

use clap::Args;

use super::GlobalArgs;
use super::exit::{Exit, Failure};
use super::place::{self, LogReader, PlaceArgs};

/// Shows the log of a build
///
/// It is kept on the machine that ran the build, for as many days as the configuration says.
#[derive(Debug, Args)]
pub(super) struct LogsArgs {
    /// The build, as project:uuid
    #[arg(value_name = "BUILD")]
    build: String,
    #[command(flatten)]
    place: PlaceArgs,
    /// Go on until the build is over, tell its phases, and end with the exit code of its outcome
    #[arg(short, long)]
    follow: bool,
}

pub(super) async fn run(args: LogsArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    let place = args.place.of(global).await?;
    if args.follow {
        return place::to_the_end(&place, &args.build).await;
    }
    let build = place::look(&place, &args.build).await?;
    let mut log = LogReader::of(&place, &build);
    log.print_new().await?;
    if build["buildComplete"] == true {
        log.tell_if_missing(&args.build);
    }
    Ok(Exit::Success)
}
