//! `keys`: who may use the API.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::json;

use super::exit::{Exit, Failure, tell};
use super::store_args::StoreArgs;
use super::{GlobalArgs, data_directory, print};
use crate::api::{self, AccessKey, GuardedOverride, NewKey, Role};
use crate::config::Config;
use crate::data_directory::DataDirectory;
use crate::store::{Kind, Resource, Store};
use crate::vault::Vault;

/// Issues, lists and deletes access keys for the API
///
/// Clients of AWS use them as they use AWS's own, as `AWS_ACCESS_KEY_ID` and
/// `AWS_SECRET_ACCESS_KEY`. Secrets are sealed in the store with the key file `vault.key` of the data directory.
#[derive(Debug, Args)]
pub(super) struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
    #[command(flatten)]
    store: StoreArgs,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Issues a key and prints it; its secret is not shown again
    Create(CreateArgs),
    /// Lists the keys, without their secrets
    List,
    /// Deletes a key; servers forget it within five seconds
    Delete {
        /// Id of the key
        id: String,
    },
}

#[derive(Debug, Args)]
struct CreateArgs {
    /// Who it is for; builds started with it have this initiator
    #[arg(long)]
    name: String,
    /// What its holder may do
    #[arg(long, value_enum, default_value = "start")]
    role: Role,
    /// Overrides that a `start` key may use although they decide what runs and with which rights
    #[arg(long, value_enum, value_delimiter = ',', value_name = "OVERRIDE")]
    may_override: Vec<GuardedOverride>,
    /// Let a `start` key enter builds that are paused (`attach`, `resume`), which an `admin` key may
    #[arg(long)]
    may_attach: bool,
    /// How many hours it holds; it then has a session token as well [default: for ever]
    #[arg(long, value_name = "HOURS", value_parser = clap::value_parser!(u64).range(1..=87_600))]
    valid_for: Option<u64>,
}

pub(super) async fn run(args: KeysArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    let config = global.config()?;
    let data = data_directory(&config)?;
    let store = args.store.open(&data, &config).await?;
    match args.command {
        KeysCommand::Create(create) => {
            let vault = open_vault(&config, &data)?;
            issue(create, store.as_ref(), &vault, args.json).await
        }
        KeysCommand::List => list(store.as_ref(), args.json).await,
        KeysCommand::Delete { id } => {
            let deleted = store.delete_resource(Kind::AccessKey, &id).await;
            if deleted.map_err(Failure::fault)? {
                return Ok(Exit::Success);
            }
            Err(Failure::usage(anyhow!("there is no access key {id}")))
        }
    }
}

/// The vault of the configuration.
pub(super) fn open_vault(config: &Config, data: &DataDirectory) -> Result<Vault, Failure> {
    Vault::open(&vault_key(config, data))
        .context("secrets cannot be sealed")
        .map_err(Failure::fault)
}

/// Where the vault's key is.
pub(super) fn vault_key(config: &Config, data: &DataDirectory) -> PathBuf {
    let usual = || data.root().join("vault.key");
    config.server.vault_key.clone().unwrap_or_else(usual)
}

async fn issue(
    args: CreateArgs,
    store: &dyn Store,
    vault: &Vault,
    json: bool,
) -> Result<Exit, Failure> {
    let new = NewKey {
        name: args.name,
        role: args.role,
        may_override: args.may_override.into_iter().collect(),
        may_attach: args.may_attach,
        valid_for: args.valid_for.map(Duration::from_hours),
    };
    let key = api::issue_key(store, vault, new)
        .await
        .map_err(Failure::fault)?;
    let token = key.session_token.as_ref().map(ExposeSecret::expose_secret);
    let secret = key.secret_access_key.expose_secret();
    let mut output = String::new();
    if json {
        // The form in which AWS's `credential_process` prints keys.
        let _ = writeln!(
            output,
            "{}",
            json!({
                "Version": 1,
                "AccessKeyId": key.access_key_id,
                "SecretAccessKey": secret,
                "SessionToken": token,
                "Expiration": key.expires.map(|time| time.to_string()),
            })
        );
    } else {
        let _ = writeln!(output, "AWS_ACCESS_KEY_ID={}", key.access_key_id);
        let _ = writeln!(output, "AWS_SECRET_ACCESS_KEY={secret}");
        if let Some(token) = token {
            let _ = writeln!(output, "AWS_SESSION_TOKEN={token}");
        }
        tell("keep it safe: the secret is not shown again");
    }
    print(output.as_bytes())
}

async fn list(store: &dyn Store, json: bool) -> Result<Exit, Failure> {
    let keys = api::list_keys(store).await.map_err(Failure::fault)?;
    let mut output = String::new();
    for (resource, key) in keys {
        let _ = writeln!(output, "{}", line(&resource, &key, json));
    }
    print(output.as_bytes())
}

fn line(resource: &Resource, key: &AccessKey, json: bool) -> String {
    let time = |millis: i64| {
        Timestamp::from_millisecond(millis)
            .map(|time| time.to_string())
            .ok()
    };
    let expires = key.expires_millis.and_then(time);
    if json {
        return json!({
            "accessKeyId": resource.name,
            "name": key.name,
            "role": key.role,
            "mayOverride": key.may_override,
            "mayAttach": key.may_attach,
            "created": resource.created_at.to_string(),
            "expires": expires,
        })
        .to_string();
    }
    let role = format!("{:?}", key.role).to_lowercase();
    let end = expires.map_or(String::new(), |time| format!("  until {time}"));
    format!("{}  {role:<5}  {}{end}", resource.name, key.name)
}
