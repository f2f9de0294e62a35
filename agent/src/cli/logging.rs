//! The agent's own messages.

use std::io::{self, IsTerminal};
use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;

use super::LogFormat;
use crate::config::{self, Config};

/// Puts another filter in the place of the present one.
type Refilter = Box<dyn Fn(EnvFilter) + Send + Sync>;

/// Set once the messages are written.
static REFILTER: OnceLock<Refilter> = OnceLock::new();

/// Writes messages to standard error from now on, warnings and errors unless `RUST_LOG` says otherwise.
pub(super) fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let logging = tracing_subscriber::fmt()
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    // Without a subscriber there is nothing to filter.
    let refilter: Refilter = match format {
        LogFormat::Text => {
            let logging = logging.with_env_filter(filter).with_filter_reloading();
            let handle = logging.reload_handle();
            logging.init();
            Box::new(move |filter| drop(handle.reload(filter)))
        }
        LogFormat::Json => {
            let logging = logging.json().with_env_filter(filter);
            let logging = logging.with_filter_reloading();
            let handle = logging.reload_handle();
            logging.init();
            Box::new(move |filter| drop(handle.reload(filter)))
        }
    };
    REFILTER.get_or_init(|| refilter);
}

/// Shows the messages that the configuration names, unless `RUST_LOG` says which.
pub(super) fn follow(config: &Config) {
    if config::process_environment("RUST_LOG").is_some() {
        return;
    }
    if let (Some(refilter), Ok(filter)) = (REFILTER.get(), EnvFilter::try_new(&config.log)) {
        refilter(filter);
    }
}
