//! `attach`: a shell in the container of a paused build.

use anyhow::{Context, anyhow};
use clap::Args;
use serde_json::json;
use tokio::task::JoinSet;

use super::exit::{Exit, Failure, tell};
use super::place::{Client, ServerPlace, text};
use super::{GlobalArgs, signals, terminal};
use crate::build::PausedBuild;

/// Opens a shell where a build is paused
///
/// The build is paused at a breakpoint (`run --debug-session`, or `debugSessionEnabled` of `StartBuild`)
/// or after a failure (`run --keep-on-failure`). The shell has the environment, the working directory and
/// the user of the command. Leaving it does not resume the build: see `resume`. Ends with the exit code of
/// the shell, or with 125 if none could be started.
///
/// With --endpoint, the shell is opened on the machine of that server, in a build of its worker; the
/// access key has to be one of an admin, or one with --may-attach.
#[derive(Debug, Args)]
pub(super) struct AttachArgs {
    /// Build: `project:uuid`, the UUID, or the beginning of either [default: the only paused one]
    build: Option<String>,
    #[command(flatten)]
    server: ServerPlace,
}

pub(super) async fn run(args: AttachArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    if !terminal::is_there() {
        return Err(Failure::usage(anyhow!(
            "a shell needs a terminal on standard input and output"
        )));
    }
    let config = global.config()?;
    let mut tasks = JoinSet::new();
    let stop = signals::stop_token(&mut tasks)?;
    let shell = async {
        if let Some(client) = args.server.client(&config)? {
            return elsewhere(&client, args.build.as_deref()).await;
        }
        let tools = global.tools(config).await?;
        let paused = PausedBuild::find(&tools.data, args.build.as_deref());
        let paused = paused.map_err(Failure::usage)?;
        announce(&paused.pause.build, &paused.pause.place.describe());
        let code = terminal::run_shell(&tools.engine, &paused).await;
        code.map_err(Failure::fault)
    };
    match stop.run_until_cancelled(shell).await {
        Some(code) => Ok(Exit::Shell(code?)),
        None => Ok(Exit::Stopped),
    }
}

fn announce(build: &str, place: &str) {
    tell(format_args!(
        "build {build} is paused at {place}; `buildspec-agent resume` lets it go on"
    ));
}

/// A shell that the server opens.
async fn elsewhere(client: &Client, build: Option<&str>) -> Result<u8, Failure> {
    let pause = client.own("DescribePause", &json!({"id": build})).await?;
    announce(text(&pause, "id"), text(&pause, "place"));
    let size = terminal::size();
    let input = json!({
        "id": pause["id"],
        "rows": size.rows,
        "columns": size.columns,
        "terminal": terminal::kind(),
    });
    let connection = client.attach(&input).await?;
    let code = terminal::run_remote_shell(connection).await;
    code.context("the shell on the server has broken off")
        .map_err(Failure::fault)
}
