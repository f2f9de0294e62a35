//! `builds`: what is in the store, and why a build waits.

use std::fmt::Write;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use serde_json::json;

use super::exit::{Exit, Failure};
use super::store_args::StoreArgs;
use super::{GlobalArgs, data_directory, print};
use crate::model::{BuildId, ProjectName};
use crate::store::{Answer, Order, PageRequest, Resources, StoredBuild, Waiting};

/// Lists the builds of a store, newest first, or explains one
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct BuildsArgs {
    #[command(subcommand)]
    command: Option<BuildsCommand>,
    #[command(flatten)]
    store: StoreArgs,
    /// Those of one project only
    #[arg(long, value_name = "NAME")]
    project: Option<ProjectName>,
    /// How many at most
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    limit: u32,
    /// Print each build's record as a JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum BuildsCommand {
    Why(WhyArgs),
}

/// Explains where a build stands: what it waits for, or where it runs
#[derive(Debug, Args)]
struct WhyArgs {
    /// The build, as project:uuid
    build: BuildId,
    #[command(flatten)]
    store: StoreArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: BuildsArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    match args.command {
        Some(BuildsCommand::Why(args)) => why(args, global).await,
        None => Box::pin(list(args, global)).await,
    }
}

async fn list(args: BuildsArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    let config = global.config()?;
    let data = data_directory(&config)?;
    let store = args.store.open(&data, &config).await?;
    let page = PageRequest {
        limit: args.limit,
        ..PageRequest::first(Order::Descending)
    };
    let listed = store.list_builds(args.project.as_ref(), &page).await;
    let ids = listed.map_err(Failure::fault)?.entries;
    let mut output = String::new();
    for build in store.builds(&ids).await.map_err(Failure::fault)? {
        let _ = writeln!(output, "{}", line(&build, args.json));
    }
    print(output.as_bytes())
}

fn line(build: &StoredBuild, json: bool) -> String {
    if json {
        return build.record.to_string();
    }
    let StoredBuild {
        id, number, status, ..
    } = build;
    let phase = build.record["currentPhase"].as_str().unwrap_or_default();
    format!("{id} {number} {status} {phase}")
}

async fn why(args: WhyArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    let config = global.config()?;
    let data = data_directory(&config)?;
    let store = args.store.open(&data, &config).await?;
    let why = store.why(&args.build).await.map_err(Failure::fault)?;
    let unknown = || Failure::usage(anyhow!("there is no build {}", args.build));
    let why = why.ok_or_else(unknown)?;
    let lines = sentences(&why.answer);
    let output = if args.json {
        let state = state(&why.answer);
        let object = json!({"build": why.build.to_string(), "state": state, "reasons": lines});
        format!("{object}\n")
    } else {
        lines.join("\n") + "\n"
    };
    print(output.as_bytes())
}

fn state(answer: &Answer) -> &'static str {
    match answer {
        Answer::Over { .. } => "over",
        Answer::Running { .. } => "running",
        Answer::Waiting { .. } => "waiting",
    }
}

/// The answer for a person, one sentence a line.
fn sentences(answer: &Answer) -> Vec<String> {
    match answer {
        Answer::Over { status } => vec![format!("it is over: {status}")],
        Answer::Running {
            agent,
            attempt,
            since,
            is_stopping,
        } => {
            let mut lines = vec![format!(
                "it runs on worker {agent} since {since}, attempt {attempt}"
            )];
            if *is_stopping {
                lines.push("it was asked to stop".to_owned());
            }
            lines
        }
        Answer::Waiting {
            since,
            until,
            ahead,
            reasons,
        } => {
            let mut lines = vec![format!(
                "it waits since {since}, and may until {until}, behind {ahead} builds that need the same"
            )];
            lines.extend(reasons.iter().map(sentence));
            if reasons.is_empty() {
                lines.push("a worker can take it at any moment".to_owned());
            }
            lines
        }
    }
}

fn sentence(waiting: &Waiting) -> String {
    match waiting {
        Waiting::NoAgent {
            environment_type,
            fleet,
        } => {
            let fleet = fleet.as_ref().map_or_else(
                || "builds without a fleet".to_owned(),
                |fleet| format!("builds of fleet {fleet}"),
            );
            format!(
                "no living worker runs {fleet} of type {}",
                json!(environment_type)
            )
        }
        Waiting::TooLarge { needs, largest } => format!(
            "it needs {}, and the largest worker for it has {}",
            amount(*needs),
            amount(*largest)
        ),
        Waiting::ConcurrentLimit { limit, running } => {
            format!("its project may run {limit} builds at once, and runs {running}")
        }
        Waiting::Closed { agent, reason } => {
            format!("worker {agent} takes nothing new: {reason}")
        }
        Waiting::Busy { agents, running } => {
            format!("{agents} workers that could run it run {running} builds")
        }
    }
}

fn amount(resources: Resources) -> String {
    let Resources {
        processors_milli,
        memory_mib,
    } = resources;
    format!(
        "{} processors and {memory_mib} MiB",
        processors_milli / 1000
    )
}
