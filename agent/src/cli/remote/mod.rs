//! Commands that work on the builds of a server, as a client of its API: a command goes in, operations
//! of CodeBuild are called, what they say is shown.

mod builds;
mod client;
mod follow;
mod logs;
mod retry;
mod stop;
mod submit;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::exit::{Exit, Failure};
use super::{GlobalArgs, print};
use client::{Client, ClientError};

/// Works on the builds of a server, through its API
///
/// Requests are signed with `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, where they are set. A server
/// that speaks HTTPS has to be trusted by this machine, or by the certificates in `AWS_CA_BUNDLE`.
#[derive(Debug, Args)]
pub(super) struct RemoteArgs {
    #[command(subcommand)]
    command: RemoteCommand,
    #[command(flatten)]
    endpoint: EndpointArgs,
}

#[derive(Debug, Subcommand)]
enum RemoteCommand {
    Submit(submit::SubmitArgs),
    Builds(builds::BuildsArgs),
    Logs(logs::LogsArgs),
    Stop(stop::StopArgs),
    Retry(retry::RetryArgs),
}

pub(super) async fn run(args: RemoteArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    let client = &args.endpoint.client(global)?;
    match args.command {
        RemoteCommand::Submit(args) => submit::run(args, client).await,
        RemoteCommand::Builds(args) => builds::run(args, client).await,
        RemoteCommand::Logs(args) => logs::run(args, client).await,
        RemoteCommand::Stop(args) => stop::run(args, client).await,
        RemoteCommand::Retry(args) => retry::run(args, client).await,
    }
}

/// Which server.
#[derive(Debug, Args)]
struct EndpointArgs {
    /// URL of the server
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "BUILDSPEC_AGENT_ENDPOINT",
        default_value = "http://127.0.0.1:8080"
    )]
    endpoint: String,
}

impl EndpointArgs {
    fn client(&self, global: &GlobalArgs) -> Result<Client, Failure> {
        let config = global.config()?;
        Client::new(&self.endpoint, config.region).map_err(Failure::usage)
    }
}

/// What the server refuses is for the user to mend, the rest for whoever runs it.
impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused { .. } | ClientError::Url { .. } => Self::usage(error),
            ClientError::Connection { .. } => Self::fault(error),
        }
    }
}

/// A text of an answer; empty if it is not there.
fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value
        .get(member)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The exit code that a finished build stands for.
fn exit_of(build: &Value) -> Exit {
    match text(build, "buildStatus") {
        "SUCCEEDED" => Exit::Success,
        "FAILED" => Exit::BuildFailed,
        "TIMED_OUT" => Exit::TimedOut,
        "STOPPED" => Exit::Stopped,
        _ => Exit::Environment,
    }
}

/// Prints an answer as one line of JSON.
fn print_json(value: &Value) -> Result<Exit, Failure> {
    print(format!("{value}\n").as_bytes())
}
