//! `builds`: which builds there are, and why one waits.

use std::fmt::Write;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::exit::{Exit, Failure};
use super::place::{Place, PlaceArgs, text};
use super::{GlobalArgs, print};

/// Builds that are listed and looked up at a time, as many as CodeBuild takes.
const AT_ONCE: u32 = 100;

/// Lists builds, the newest first, or explains one
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct BuildsArgs {
    #[command(subcommand)]
    command: Option<BuildsCommand>,
    #[command(flatten)]
    place: PlaceArgs,
    /// Those of one project only
    #[arg(long, value_name = "NAME")]
    project: Option<String>,
    /// How many at most
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Print each build as a JSON object, as `aws codebuild batch-get-builds` shows it
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
    #[arg(value_name = "BUILD")]
    build: String,
    #[command(flatten)]
    place: PlaceArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: BuildsArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    match args.command {
        Some(BuildsCommand::Why(args)) => why(args, global).await,
        None => list(args, global).await,
    }
}

async fn list(args: BuildsArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    let place = args.place.of(global).await?;
    let mut left = args.limit;
    let mut token = Value::Null;
    while left > 0 {
        let count = left.min(AT_ONCE);
        let page = page(&place, args.project.as_deref(), count, token).await?;
        let mut output = String::new();
        for build in lookup(&place, &page["ids"]).await? {
            let line = if args.json {
                build.to_string()
            } else {
                line(&build)
            };
            let _ = writeln!(output, "{line}");
        }
        print(output.as_bytes())?;
        left -= count;
        token = page["nextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    Ok(Exit::Success)
}

async fn page(
    place: &Place,
    project: Option<&str>,
    count: u32,
    token: Value,
) -> Result<Value, Failure> {
    let operation = match project {
        Some(_) => "ListBuildsForProject",
        None => "ListBuilds",
    };
    let input = json!({"projectName": project, "maxResults": count, "nextToken": token});
    Ok(place.codebuild(operation, &input).await?)
}

async fn lookup(place: &Place, ids: &Value) -> Result<Vec<Value>, Failure> {
    if ids.as_array().is_none_or(Vec::is_empty) {
        return Ok(Vec::new());
    }
    let found = place
        .codebuild("BatchGetBuilds", &json!({"ids": ids}))
        .await?;
    Ok(found["builds"].as_array().cloned().unwrap_or_default())
}

/// One build for people: status, id, number, phase or length, start, who.
fn line(build: &Value) -> String {
    let seconds = |member: &str| build[member].as_f64();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "seconds of this age are small"
    )]
    let whole = |seconds: f64| seconds as i64;
    let start = seconds("startTime").map(whole).unwrap_or_default();
    let time = Timestamp::from_second(start)
        .map(|time| time.to_string())
        .unwrap_or_default();
    let stage = match seconds("endTime") {
        Some(end) => format!("{} s", whole(end) - start),
        None => text(build, "currentPhase").to_owned(),
    };
    format!(
        "{:<11}  {}  #{}  {stage}  {time}  {}",
        text(build, "buildStatus"),
        text(build, "id"),
        build["buildNumber"],
        text(build, "initiator"),
    )
}

async fn why(args: WhyArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    let place = args.place.of(global).await?;
    let why = place
        .own("ExplainBuild", &json!({"id": args.build}))
        .await?;
    let output = if args.json {
        format!("{why}\n")
    } else {
        let reasons = why["reasons"].as_array().into_iter().flatten();
        let lines: Vec<_> = reasons.filter_map(Value::as_str).collect();
        lines.join("\n") + "\n"
    };
    print(output.as_bytes())
}
