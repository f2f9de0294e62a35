//! `retry`: the same build once more.

use anyhow::{Context, anyhow};
use clap::Args;

use super::exit::{Exit, Failure};
use super::store_args::StoreArgs;
use super::{GlobalArgs, data_directory, print};
use crate::model::{BuildId, BuildRequest};
use crate::store::{AtLimit, IdempotencyToken, NewBuild, Operation};

/// Queues a build again, with everything it was asked to be, and prints the new id
#[derive(Debug, Args)]
pub(super) struct RetryArgs {
    /// The build, as project:uuid
    build: BuildId,
    #[command(flatten)]
    store: StoreArgs,
    /// Token by which a repeated request is known for five minutes
    #[arg(long, value_name = "TOKEN")]
    idempotency_token: Option<String>,
}

pub(super) async fn run(args: RetryArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    let config = global.config()?;
    let data = data_directory(&config)?;
    let store = args.store.open(&data, &config).await?;
    let found = store.builds(std::slice::from_ref(&args.build)).await;
    let unknown = || Failure::usage(anyhow!("there is no build {}", args.build));
    let build = found.map_err(Failure::fault)?.pop().ok_or_else(unknown)?;
    let token = args.idempotency_token.map(|token| IdempotencyToken {
        operation: Operation::RetryBuild,
        token,
        fingerprint: args.build.to_string(),
    });
    let again = NewBuild {
        request: BuildRequest {
            id: BuildId::new(args.build.project.clone()),
            ..build.request
        },
        priority: 0,
        at_limit: AtLimit::Queue,
    };
    let submitted = store.submit(again, token).await;
    let submitted = submitted.context("the build is not queued");
    let id = submitted.map_err(Failure::fault)?.build.id;
    print(format!("{id}\n").as_bytes())
}
