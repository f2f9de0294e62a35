//! `submit`: a build for whichever worker has room.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::build_args::BuildArgs;
use super::exit::{Exit, Failure};
use super::store_args::StoreArgs;
use super::{GlobalArgs, data_directory, print};
use crate::model::{ArtifactDirectory, ArtifactPackaging};
use crate::store::{AtLimit, IdempotencyToken, NewBuild, Operation};

/// Queues a build, and prints its id
///
/// Takes what `run` takes; the build waits in the store for a worker. A source or artifact directory is
/// one of the worker's machine.
#[derive(Debug, Args)]
pub(super) struct SubmitArgs {
    #[command(flatten)]
    build: BuildArgs,
    #[command(flatten)]
    store: StoreArgs,
    /// Directory for the artifacts; without it they go where the project says
    #[arg(short, long, value_name = "DIR")]
    artifacts: Option<PathBuf>,
    /// How artifacts are stored there where the overrides say nothing
    #[arg(long, value_enum, default_value_t, requires = "artifacts")]
    packaging: ArtifactPackaging,
    /// Builds with a higher one go first
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    priority: i32,
    /// Token by which a repeated submission is known for five minutes
    #[arg(long, value_name = "TOKEN")]
    idempotency_token: Option<String>,
    /// Refuse the build instead of queueing it when its project has as many as it may
    #[arg(long)]
    reject_at_limit: bool,
    /// Print the record of the build as a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: SubmitArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    let config = global.config()?;
    let directory = args.artifacts.map(std::path::absolute).transpose();
    let artifacts = directory
        .map_err(Failure::usage)?
        .map(|root| ArtifactDirectory {
            root,
            packaging: args.packaging,
        });
    let request = args.build.request(&config, artifacts);
    let request = request.map_err(Failure::usage)?;
    let store = args.store.open(&data_directory(&config)?, &config).await?;
    let token = args.idempotency_token.map(|token| IdempotencyToken {
        operation: Operation::StartBuild,
        token,
        fingerprint: request.fingerprint(),
    });
    let build = NewBuild {
        request,
        priority: args.priority,
        at_limit: if args.reject_at_limit {
            AtLimit::Reject
        } else {
            AtLimit::Queue
        },
    };
    let submitted = store.submit(build, token).await;
    let build = submitted
        .context("the build is not queued")
        .map_err(Failure::fault)?
        .build;
    let line = if args.json {
        build.record.to_string()
    } else {
        build.id.to_string()
    };
    print(format!("{line}\n").as_bytes())
}
