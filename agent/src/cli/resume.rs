//! `resume`: lets a paused build go on.

use clap::Args;
use executor::protocol::Continuation;
use serde_json::json;

use super::GlobalArgs;
use super::exit::{Exit, Failure, tell};
use super::place::{ServerPlace, text};
use crate::build::PausedBuild;
use crate::data_directory::DataDirectory;

/// Lets a paused build go on
///
/// From a breakpoint it goes on with the rest of the command; after a failure it runs the failed
/// command once more. Then come the rest of the phase, the later phases, reports and artifacts. A
/// failure after which the build was resumed is forgotten. With --endpoint, it is a build of that server's
/// worker.
#[derive(Debug, Args)]
pub(super) struct ResumeArgs {
    /// Build: `project:uuid`, the UUID, or the beginning of either [default: the only paused one]
    build: Option<String>,
    #[command(flatten)]
    server: ServerPlace,
    /// Go on with command N of the list in which the build is paused, from 1; one more than the list
    /// has skips the rest of it. A command with a breakpoint is run to its end first
    #[arg(long, value_name = "N")]
    from_command: Option<usize>,
    /// Let the failure stand: the build goes on as it would have without the pause. A breakpoint ends
    /// with exit status 1
    #[arg(long, conflicts_with = "from_command")]
    give_up: bool,
}

pub(super) async fn run(args: ResumeArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    let config = global.config()?;
    if let Some(client) = args.server.client(&config)? {
        let input = json!({
            "id": args.build,
            "fromCommand": args.from_command,
            "giveUp": args.give_up,
        });
        let resumed = client.own("ResumeBuild", &input).await?;
        announce(text(&resumed, "id"), text(&resumed, "goesOnWith"));
        return Ok(Exit::Success);
    }
    let data = DataDirectory::open(&config.data_directory).map_err(Failure::fault)?;
    let paused = PausedBuild::find(&data, args.build.as_deref()).map_err(Failure::usage)?;
    let with = match args.from_command {
        Some(number) => paused.from_command(number).map_err(Failure::usage)?,
        None if args.give_up => Continuation::GiveUp,
        None => Continuation::Next,
    };
    paused.resume(with).await.map_err(Failure::fault)?;
    announce(&paused.pause.build, &paused.destination(with));
    Ok(Exit::Success)
}

fn announce(build: &str, destination: &str) {
    tell(format_args!("build {build} goes on with {destination}"));
}
