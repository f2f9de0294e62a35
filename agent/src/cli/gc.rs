//! `gc`: removes what dead agents left behind.

use std::fmt::Write;
use std::path::Path;

use clap::Args;

use super::exit::{Exit, Failure};
use super::{GlobalArgs, print};
use crate::build::{Tools, servers, stop_idle_server};
use crate::logs::ExpiredLogs;
use crate::worker::housekeeping;

/// Removes containers and workspaces whose agent died, and caches, mirrors and logs that are too many
///
/// Finds leftovers by their labels and by the locks that living agents hold. Touches nothing that
/// belongs to a running build or to another data directory, and leaves builds that `recover` can take
/// up for 24 hours since anything happened to them. Of the caches those go that were not used for the
/// longest time, until the others are within `cache.limit_mib`; of the logs those that are older than
/// `retention.logs_days`, and the oldest until the others are within `retention.logs_limit_gib`. A worker does the
/// same by itself.
#[derive(Debug, Args)]
pub(super) struct GcArgs {
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Remove builds that `recover` can take up too
    #[arg(long)]
    all: bool,
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
        let is_kept = !args.all && leftover.is_awaited();
        if !args.dry_run && !is_kept {
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
                "recoverable": leftover.is_awaited(),
                "removed": !args.dry_run && !is_kept,
            });
            let _ = writeln!(output, "{line}");
        } else {
            let verb = if is_kept {
                "kept for `recover`:"
            } else if args.dry_run {
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
    mirrors(&args, &tools, &mut output).map_err(Failure::fault)?;
    logs(&args, &tools, &mut output)
        .await
        .map_err(Failure::fault)?;
    stop_servers(&tools, &args, &mut output).await?;
    layers(&args, &tools, &mut output)
        .await
        .map_err(Failure::fault)?;
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

/// Removes mirrors of repositories that nobody uses any more, and those for which there is no room.
fn mirrors(args: &GcArgs, tools: &Tools, output: &mut String) -> anyhow::Result<()> {
    for mirror in housekeeping::evict_mirrors(tools, args.dry_run)? {
        let (path, bytes) = (mirror.directory.display().to_string(), mirror.size_bytes);
        if args.json {
            let line =
                serde_json::json!({"mirror": path, "bytes": bytes, "removed": !args.dry_run});
            let _ = writeln!(output, "{line}");
        } else {
            let verb = if args.dry_run {
                "would remove"
            } else {
                "removed"
            };
            let _ = writeln!(output, "{verb} mirror {path}: {bytes} bytes");
        }
    }
    Ok(())
}

/// Removes kept logs that are too old or too many.
async fn logs(args: &GcArgs, tools: &Tools, output: &mut String) -> anyhow::Result<()> {
    let ExpiredLogs { streams, bytes } = housekeeping::expire_logs(tools, args.dry_run).await?;
    if streams == 0 {
        return Ok(());
    }
    if args.json {
        let line = serde_json::json!({"logs": streams, "bytes": bytes, "removed": !args.dry_run});
        let _ = writeln!(output, "{line}");
    } else {
        let verb = if args.dry_run {
            "would remove"
        } else {
            "removed"
        };
        let _ = writeln!(output, "{verb} {streams} log(s): {bytes} bytes");
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

/// Drops layers of images that no build has used for long.
async fn layers(args: &GcArgs, tools: &Tools, output: &mut String) -> anyhow::Result<()> {
    let verb = if args.dry_run {
        "would remove"
    } else {
        "removed"
    };
    for volume in housekeeping::drop_idle_layers(tools, args.dry_run).await? {
        let _ = if args.json {
            let line = serde_json::json!({"layers": volume, "removed": !args.dry_run});
            writeln!(output, "{line}")
        } else {
            writeln!(output, "{verb} the layers in volume {volume}")
        };
    }
    Ok(())
}
