//! `submit`: a build for whichever worker has room.

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::Args;
use serde_json::{Value, json};

use super::build_args::BuildArgs;
use super::exit::{Exit, Failure};
use super::place::{self, Place, PlaceArgs};
use super::{GlobalArgs, data_directory};
use crate::config::Config;
use crate::model::{ArtifactDirectory, ArtifactPackaging};
use crate::store::{AtLimit, IdempotencyToken, NewBuild, Operation};

/// Queues a build, and prints its id
///
/// Takes what `run` takes; the build waits in the store for a worker. A source or artifact directory is
/// one of the worker's machine. With --endpoint, it is a build of a project that the server knows
/// (--project), and the other arguments override what the project says.
#[derive(Debug, Args)]
pub(super) struct SubmitArgs {
    #[command(flatten)]
    build: BuildArgs,
    #[command(flatten)]
    place: PlaceArgs,
    /// Directory for the artifacts; without it they go where the project says
    #[arg(short, long, value_name = "DIR")]
    artifacts: Option<PathBuf>,
    /// How artifacts are stored there where the overrides say nothing
    #[arg(long, value_enum, default_value_t, requires = "artifacts")]
    packaging: ArtifactPackaging,
    /// Builds with a higher one go first
    #[arg(long, allow_negative_numbers = true)]
    priority: Option<i32>,
    /// Token by which a repeated submission is known for five minutes
    #[arg(long, value_name = "TOKEN")]
    idempotency_token: Option<String>,
    /// Refuse the build instead of queueing it when its project has as many as it may; servers always do
    #[arg(long)]
    reject_at_limit: bool,
    /// Show the log until the build is over, and end with the exit code of its outcome
    #[arg(short, long)]
    wait: bool,
    /// Print the build as a JSON object
    #[arg(long, conflicts_with = "wait")]
    json: bool,
}

pub(super) async fn run(args: SubmitArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    let config = global.config()?;
    let (wait, json) = (args.wait, args.json);
    if let Some(client) = args.place.server(&config)? {
        let input = args.start_build().map_err(Failure::usage)?;
        let place = Place::Server(client);
        let answer = place.codebuild("StartBuild", &input).await?;
        return place::started(&place, &answer["build"], wait, json).await;
    }
    let place = args.place.open(&config).await?;
    let id = args.queue(&config).await?;
    let build = place::look(&place, &id).await?;
    place::started(&place, &build, wait, json).await
}

impl SubmitArgs {
    /// The input of a server's `StartBuild`.
    fn start_build(&self) -> anyhow::Result<Value> {
        for (argument, is_given) in [
            ("--artifacts", self.artifacts.is_some()),
            ("--priority", self.priority.is_some()),
        ] {
            if is_given {
                return Err(anyhow!("{argument} is not for builds of a server"));
            }
        }
        let mut input = self.build.start_build()?;
        if let Some(token) = &self.idempotency_token {
            input["idempotencyToken"] = json!(token);
        }
        Ok(input)
    }

    /// Queues the build in the store, and gives its id.
    async fn queue(self, config: &Config) -> Result<String, Failure> {
        let directory = self.artifacts.map(std::path::absolute).transpose();
        let artifacts = directory
            .map_err(Failure::usage)?
            .map(|root| ArtifactDirectory {
                root,
                packaging: self.packaging,
            });
        let request = self.build.request(config, artifacts);
        let request = request.map_err(Failure::usage)?;
        let data = data_directory(config)?;
        let store = self.place.store().open(&data, config).await?;
        let token = self.idempotency_token.map(|token| IdempotencyToken {
            operation: Operation::StartBuild,
            token,
            fingerprint: request.fingerprint(),
        });
        let build = NewBuild {
            request,
            priority: self.priority.unwrap_or_default(),
            at_limit: if self.reject_at_limit {
                AtLimit::Reject
            } else {
                AtLimit::Queue
            },
        };
        let submitted = store.submit(build, token).await;
        let submitted = submitted.context("the build is not queued");
        Ok(submitted.map_err(Failure::fault)?.build.id.to_string())
    }
}
