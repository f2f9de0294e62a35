//! `submit`: starts a build of a server's project.

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::Args;
use serde_json::{Value, json};

use super::client::Client;
use super::{follow, print_json, text};
use crate::cli::build_args::read_text;
use crate::cli::exit::{Exit, Failure};
use crate::cli::print;
use crate::model::json as model_json;

/// Starts a build of a project on a server
#[derive(Debug, Args)]
pub(super) struct SubmitArgs {
    /// Name of the project
    project: String,
    /// Commit, branch, tag or pull request to build
    #[arg(long, value_name = "VERSION")]
    source_version: Option<String>,
    /// Environment variable (repeatable)
    #[arg(short, long = "env", value_name = "NAME=VALUE")]
    environment: Vec<String>,
    /// Overrides as for `aws codebuild start-build --cli-input-json`, JSON or YAML; - reads standard input
    #[arg(long, value_name = "FILE")]
    overrides: Option<PathBuf>,
    /// Show the log until the build is over, and end with the exit code of its outcome
    #[arg(short, long)]
    wait: bool,
    /// Print the build as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: SubmitArgs, client: &Client) -> Result<Exit, Failure> {
    let input = input(&args).map_err(Failure::usage)?;
    let answer = client.codebuild("StartBuild", &input).await?;
    started(client, &answer["build"], args.wait, args.json).await
}

/// Tells which build was started, and waits for it where that is wished.
pub(super) async fn started(
    client: &Client,
    build: &Value,
    wait: bool,
    json: bool,
) -> Result<Exit, Failure> {
    let id = text(build, "id");
    if wait {
        return follow::to_the_end(client, id).await;
    }
    if json {
        return print_json(build);
    }
    print(format!("{id}\n").as_bytes())
}

/// The input of `StartBuild`. Arguments win over the file: they are nearer.
fn input(args: &SubmitArgs) -> anyhow::Result<Value> {
    let mut input = match &args.overrides {
        Some(file) => {
            let read = model_json::from_text(&read_text(file)?).map_err(|error| anyhow!(error));
            read.with_context(|| format!("{}", file.display()))?
        }
        None => json!({}),
    };
    let members = input.as_object_mut();
    let members =
        members.context("the overrides are not an object with the members of StartBuild")?;
    members.insert("projectName".to_owned(), args.project.as_str().into());
    if let Some(version) = &args.source_version {
        members.insert("sourceVersion".to_owned(), version.as_str().into());
    }
    for variable in &args.environment {
        let (name, value) = variable
            .split_once('=')
            .with_context(|| format!("`{variable}` is not NAME=VALUE"))?;
        let variables = members
            .entry("environmentVariablesOverride")
            .or_insert_with(|| json!([]));
        if let Some(variables) = variables.as_array_mut() {
            variables.push(json!({"name": name, "value": value}));
        }
    }
    Ok(input)
}
