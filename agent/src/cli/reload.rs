//! SIGHUP: the configuration is read again, and what can change while the process runs does.

use std::convert::Infallible;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::exit::{Failure, tell};
use super::telling::Telling;
use super::{GlobalArgs, logging};
use crate::config::Config;
use crate::worker::Worker;

/// What follows the configuration.
pub(super) struct Reload<'a> {
    global: &'a GlobalArgs,
    /// The configuration as it counts now.
    present: Config,
    hangups: Signal,
    telling: &'a Telling,
    worker: Option<&'a Worker>,
}

impl<'a> Reload<'a> {
    /// From now on, SIGHUP ends the process no more.
    pub(super) fn new(
        global: &'a GlobalArgs,
        present: Config,
        telling: &'a Telling,
        worker: Option<&'a Worker>,
    ) -> Result<Self, Failure> {
        Ok(Self {
            global,
            present,
            hangups: signal(SignalKind::hangup()).map_err(Failure::fault)?,
            telling,
            worker,
        })
    }

    /// Reads the configuration again whenever it is asked to. `adjust` applies the flags over it.
    pub(super) async fn follow(mut self, adjust: impl Fn(&mut Config)) -> Infallible {
        loop {
            // The signals of a process end with it.
            self.hangups.recv().await;
            match self.global.read_config() {
                Ok(mut config) => {
                    adjust(&mut config);
                    self.take(config);
                }
                Err(error) => tell(format_args!(
                    "the configuration stays as it was: {}",
                    error.in_one_line()
                )),
            }
        }
    }

    fn take(&mut self, config: Config) {
        let fixed = self.present.fixed_changes(&config);
        if let Some(worker) = self.worker {
            worker.follow(&config);
        }
        // Whoever is told goes on being told: a new beginning would wait for the answer of the slowest.
        let present = &self.present;
        if (&present.events, &present.commit_status) != (&config.events, &config.commit_status) {
            self.telling.follow(&config);
        }
        logging::follow(&config);
        if fixed.is_empty() {
            tell("the configuration was read again");
        } else {
            tell(format_args!(
                "the configuration was read again; a restart is needed for: {}",
                fixed.join(", ")
            ));
        }
        self.present = self.present.with_changes(config);
    }
}
