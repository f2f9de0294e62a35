//! `builds`: the builds of a server.

use std::fmt::Write;

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::client::Client;
use super::text;
use crate::cli::exit::{Exit, Failure};
use crate::cli::print;

/// Lists the builds of a server, the newest first
#[derive(Debug, Args)]
pub(super) struct BuildsArgs {
    /// Only those of this project
    #[arg(long, value_name = "NAME")]
    project: Option<String>,
    /// How many at most
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
    limit: u32,
    /// Print each build as a line of JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: BuildsArgs, client: &Client) -> Result<Exit, Failure> {
    let limit = args.limit;
    let listed = if let Some(project) = args.project {
        let input = json!({"projectName": project, "maxResults": limit});
        client.codebuild("ListBuildsForProject", &input).await?
    } else {
        let input = json!({"maxResults": limit});
        client.codebuild("ListBuilds", &input).await?
    };
    let is_empty = listed["ids"].as_array().is_none_or(Vec::is_empty);
    if is_empty {
        return Ok(Exit::Success);
    }
    let found = client
        .codebuild("BatchGetBuilds", &json!({"ids": listed["ids"]}))
        .await?;
    let mut output = String::new();
    for build in found["builds"].as_array().into_iter().flatten() {
        let line = if args.json {
            build.to_string()
        } else {
            line(build)
        };
        let _ = writeln!(output, "{line}");
    }
    print(output.as_bytes())
}

/// One build for people: status, id, phase or length, start, who.
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
