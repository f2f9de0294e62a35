//! `attach`: a shell in the container of a paused build.

use anyhow::anyhow;
use clap::Args;
use tokio::task::JoinSet;

use super::exit::{Exit, Failure, tell};
use super::{GlobalArgs, signals, terminal};
use crate::build::PausedBuild;

/// Opens a shell where a build is paused
///
/// The build is paused at a breakpoint (`run --debug-session`) or after a failure (`run
/// --keep-on-failure`). The shell has the environment, the working directory and the user of the
/// command. Leaving it does not resume the build: see `resume`. Ends with the exit code of the
/// shell, or with 125 if none could be started.
#[derive(Debug, Args)]
pub(super) struct AttachArgs {
    /// Build: `project:uuid`, the UUID, or the beginning of either [default: the only paused one]
    build: Option<String>,
}

pub(super) async fn run(args: AttachArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    if !terminal::is_there() {
        return Err(Failure::usage(anyhow!(
            "a shell needs a terminal on standard input and output"
        )));
    }
    let config = global.config()?;
    let tools = global.tools(config).await?;
    let paused = PausedBuild::find(&tools.data, args.build.as_deref()).map_err(Failure::usage)?;
    tell(format_args!(
        "build {} is paused at {}; `buildspec-agent resume` lets it go on",
        paused.pause.build,
        paused.pause.place.describe()
    ));
    let mut tasks = JoinSet::new();
    let stop = signals::stop_token(&mut tasks)?;
    let shell = terminal::run_shell(&tools.engine, &paused);
    match stop.run_until_cancelled(shell).await {
        Some(Ok(code)) => Ok(Exit::Shell(code)),
        Some(Err(error)) => Err(Failure::fault(error)),
        None => Ok(Exit::Stopped),
    }
}
