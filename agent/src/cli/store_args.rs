//! The store that a command works on.

use std::sync::Arc;

use clap::Args;

use super::exit::Failure;
use crate::config::{self, Config};
use crate::data_directory::DataDirectory;
use crate::events::Announcer;
use crate::store::{self, Store};

#[derive(Debug, Args)]
pub(super) struct StoreArgs {
    /// Store of projects and builds: sqlite:PATH or postgres://… [default: store.db in the data directory]
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "BUILDSPEC_AGENT_STORE",
        hide_env_values = true
    )]
    store: Option<String>,
}

impl StoreArgs {
    /// The store with this address; without one, the variable's, or the usual one.
    pub(super) fn of(address: Option<String>) -> Self {
        Self {
            store: address.or_else(|| config::process_environment("BUILDSPEC_AGENT_STORE")),
        }
    }

    /// Opens the store, which is made if needed. What is done to builds through it is told to those whom the
    /// configuration names.
    pub(super) async fn open(
        &self,
        data: &DataDirectory,
        config: &Config,
    ) -> Result<Arc<dyn Store>, Failure> {
        let usual = || format!("sqlite:{}", data.root().join("store.db").display());
        let address = self.store.clone().unwrap_or_else(usual);
        let opened = Box::pin(store::open(&address)).await;
        let store = opened.map_err(Failure::fault)?;
        store.set_herald(Arc::new(Announcer::new(config)));
        Ok(store)
    }
}
