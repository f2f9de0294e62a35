//! `gc`: removes what dead agents left behind.

use std::fmt::Write;
use std::path::Path;

use clap::Args;

use super::exit::{Exit, Failure};
use super::{GlobalArgs, print};
use crate::build::{Tools, servers, stop_idle_server};
use crate::worker::housekeeping;

/// Removes containers and workspaces whose agent died, and caches for which there is no room
///
/// Finds leftovers by their labels and by the locks that living agents hold. Touches nothing that
/// belongs to a running build or to another data directory. Of the caches those go that were not used
/// for the longest time, until the others are within `cache.limit_mib`.
#[derive(Debug, Args)]
pub(super) struct GcArgs {
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object for each leftover build
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: GcArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    let tools = global.tools(global.config()?).await?;
    let mut output = String::new();
    for leftover in housekeeping::leftovers(&tools)
        .await
        .map_err(Failure::fault)?
    {
        if !args.dry_run {
            housekeeping::remove(&leftover, &tools, &tools.config.image)
                .await
                .map_err(Failure::fault)?;
        }
        let containers = leftover.containers.len();
        if args.json {
            let line = serde_json::json!({
                "build": leftover.build.to_string(),
                "containers": leftover.containers.iter().map(|container| &container.id).collect::<Vec<_>>(),
                "directory": leftover.has_directory(),
                "removed": !args.dry_run,
            });
            let _ = writeln!(output, "{line}");
        } else {
            let verb = if args.dry_run {
                "would remove"
            } else {
                "removed"
            };
            let directory = if leftover.has_directory() {
                " and its directory"
            } else {
                ""
            };
            let _ = writeln!(
                output,
                "{verb} build {}: {containers} container(s){directory}",
                leftover.build
            );
        }
    }
    caches(&args, &tools, &mut output)
        .await
        .map_err(Failure::fault)?;
    stop_servers(&tools, &args, &mut output).await?;
    if output.is_empty() && !args.json {
        output.push_str("nothing to remove\n");
    }
    print(output.as_bytes())
}

/// Removes caches that no build finds any more, and those for which there is no room.
async fn caches(args: &GcArgs, tools: &Tools, output: &mut String) -> anyhow::Result<()> {
    let verb = if args.dry_run {
        "would remove"
    } else {
        "removed"
    };
    let mut tell = |path: &Path, bytes: u64| {
        let path = path.display().to_string();
        let _ = if args.json {
            let line = serde_json::json!({"cache": path, "bytes": bytes, "removed": !args.dry_run});
            writeln!(output, "{line}")
        } else {
            writeln!(output, "{verb} cache {path}: {bytes} bytes")
        };
    };
    if args.dry_run {
        for entry in tools.cache.excess()? {
            tell(&entry.path, entry.bytes);
        }
    } else {
        housekeeping::discard_excess(tools)?;
    }
    for trash in tools.cache.trash()? {
        if !args.dry_run {
            housekeeping::remove_trash(&trash, tools, &tools.config.image).await?;
        }
        tell(&trash.path, trash.bytes);
    }
    Ok(())
}

/// Stops the Docker servers that an agent left running which died.
async fn stop_servers(tools: &Tools, args: &GcArgs, output: &mut String) -> Result<(), Failure> {
    for server in servers(tools).await.map_err(Failure::fault)? {
        let stopped = args.dry_run
            || stop_idle_server(&server, tools)
                .await
                .map_err(Failure::fault)?;
        if !stopped {
            continue;
        }
        let project = server.project();
        if args.json {
            let line = serde_json::json!({"dockerServer": project, "removed": !args.dry_run});
            let _ = writeln!(output, "{line}");
        } else {
            let verb = if args.dry_run {
                "would remove, if it is idle,"
            } else {
                "removed"
            };
            let _ = writeln!(output, "{verb} the Docker server of project {project}");
        }
    }
    Ok(())
}
