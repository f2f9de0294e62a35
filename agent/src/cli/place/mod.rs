//! Where the builds are that a command works on: in a store that this process opens, or on a server.
//! Either way the command calls CodeBuild's operations, and shows what they say.

mod client;
mod follow;

use std::sync::Arc;

use anyhow::anyhow;
use clap::Args;
use serde_json::Value;

use super::build_args::user_name;
use super::exit::{Exit, Failure};
use super::store_args::StoreArgs;
use super::{GlobalArgs, data_directory, print, server};
use crate::api::{Direct, DirectError};
use crate::config::{self, Config};
pub(super) use client::{Client, ClientError, ShellConnection};
pub(super) use follow::{LogReader, look, to_the_end};

/// Which builds a command works on.
#[derive(Debug, Args)]
pub(super) struct PlaceArgs {
    #[command(flatten)]
    server: ServerPlace,
    /// Store of projects and builds: sqlite:PATH or postgres://… [env: `BUILDSPEC_AGENT_STORE`]
    /// [default: store.db in the data directory]
    #[arg(long, value_name = "ADDRESS", conflicts_with = "endpoint")]
    store: Option<String>,
}

/// The server whose builds a command works on, if it is not this machine.
#[derive(Debug, Args)]
pub(super) struct ServerPlace {
    /// URL of a server: its builds are meant, and requests to it are signed with AWS's variables for
    /// access keys, where they are set [env: `BUILDSPEC_AGENT_ENDPOINT`]
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
}

impl ServerPlace {
    /// A client of the server that the flag or the variable names.
    pub(super) fn client(&self, config: &Config) -> Result<Option<Client>, Failure> {
        let given = self.endpoint.clone();
        let named = given.or_else(|| config::process_environment("BUILDSPEC_AGENT_ENDPOINT"));
        let client = named.map(|endpoint| Client::new(&endpoint, config.region.clone()));
        client.transpose().map_err(Failure::usage)
    }
}

impl PlaceArgs {
    /// Opens the place. What the command line says wins over what variables say.
    pub(super) async fn open(&self, config: &Config) -> Result<Place, Failure> {
        if self.store.is_none()
            && let Some(client) = self.server.client(config)?
        {
            return Ok(Place::Server(client));
        }
        let data = data_directory(config)?;
        let store = StoreArgs::of(self.store.clone())
            .open(&data, config)
            .await?;
        let settings = server::settings(config);
        let direct = Direct::new(settings, Arc::clone(&store), &data, &user_name());
        Ok(Place::Here(direct))
    }

    /// Opens the place of a command.
    pub(super) async fn of(&self, global: &GlobalArgs) -> Result<Place, Failure> {
        self.open(&global.config()?).await
    }

    /// The store, where the builds are not those of a server.
    pub(super) fn store(&self) -> StoreArgs {
        StoreArgs::of(self.store.clone())
    }

    /// The server, if the builds are those of one.
    pub(super) fn server(&self, config: &Config) -> Result<Option<Client>, Failure> {
        if self.store.is_some() {
            return Ok(None);
        }
        self.server.client(config)
    }
}

/// Where builds are.
#[derive(Debug)]
pub(super) enum Place {
    /// In a store that this process has opened.
    Here(Direct),
    /// On a server.
    Server(Client),
}

/// Why an operation gave no output.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlaceError {
    /// The server, or the way to it.
    #[error(transparent)]
    Server(#[from] ClientError),
    /// The store, or what it says.
    #[error(transparent)]
    Here(#[from] DirectError),
}

impl PlaceError {
    /// Whether it is said that there is no such thing.
    pub(super) fn is_not_found(&self) -> bool {
        const NOT_FOUND: &str = "ResourceNotFoundException";
        match self {
            Self::Server(ClientError::Refused { code, .. }) => code == NOT_FOUND,
            Self::Here(DirectError::Refused { code, .. }) => *code == NOT_FOUND,
            _ => false,
        }
    }
}

/// What is refused is for the user to mend, the rest for whoever runs store or server.
impl From<PlaceError> for Failure {
    fn from(error: PlaceError) -> Self {
        match error {
            PlaceError::Here(DirectError::Fault { .. }) => Self::fault(error),
            PlaceError::Here(error) => Self::usage(error),
            PlaceError::Server(error) => error.into(),
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused { .. } | ClientError::Url { .. } => Self::usage(error),
            ClientError::Connection { .. } => Self::fault(error),
        }
    }
}

impl Place {
    /// Calls an operation of CodeBuild.
    pub(super) async fn codebuild(
        &self,
        operation: &str,
        input: &Value,
    ) -> Result<Value, PlaceError> {
        self.call("CodeBuild_20161006", operation, input).await
    }

    /// Calls an operation of CloudWatch Logs.
    pub(super) async fn logs(&self, operation: &str, input: &Value) -> Result<Value, PlaceError> {
        self.call("Logs_20140328", operation, input).await
    }

    /// Calls an operation of this program's own.
    pub(super) async fn own(&self, operation: &str, input: &Value) -> Result<Value, PlaceError> {
        self.call("BuildspecAgent_20261101", operation, input).await
    }

    async fn call(
        &self,
        service: &str,
        operation: &str,
        input: &Value,
    ) -> Result<Value, PlaceError> {
        let target = format!("{service}.{operation}");
        match self {
            Self::Here(direct) => Ok(direct.call(&target, input).await?),
            Self::Server(client) => Ok(client.call(&target, input).await?),
        }
    }
}

/// Tells which build was started, and waits for it where that is wished.
pub(super) async fn started(
    place: &Place,
    build: &Value,
    wait: bool,
    json: bool,
) -> Result<Exit, Failure> {
    let id = text(build, "id");
    if wait {
        return to_the_end(place, id).await;
    }
    if json {
        return print(format!("{build}\n").as_bytes());
    }
    print(format!("{id}\n").as_bytes())
}

/// A text of an answer; empty if it is not there.
pub(super) fn text<'a>(value: &'a Value, member: &str) -> &'a str {
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

/// A build that there is not.
fn unknown(id: &str) -> Failure {
    Failure::usage(anyhow!(
        "ResourceNotFoundException: Build {id} does not exist"
    ))
}
