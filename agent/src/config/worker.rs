//! Settings of a worker: what it offers, and how it lives with the store and the machine.

use std::time::Duration;

use serde::Deserialize;

/// Settings of `worker`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkerConfig {
    /// Fleets it belongs to, by name. Default: none.
    pub fleets: Vec<String>,
    /// Whether it runs builds that name no fleet. Default: yes, unless it belongs to a fleet.
    pub on_demand: Option<bool>,
    /// Processors that builds may take together; more than the machine has lets more builds share them.
    /// Default: the machine's.
    pub processors: Option<u32>,
    /// Memory that builds may take together, in MiB. Default: the machine's.
    pub memory_mib: Option<u32>,
    /// Whether builds that want more than that run with all of it, instead of waiting for a larger
    /// machine. Default: yes.
    pub shrink_builds: bool,
    /// How many builds run at once at most. Default: as many as processors and memory allow.
    pub concurrent_builds: Option<u32>,
    /// How long a build stays with a worker that gives no sign of life, in seconds; it gives one after
    /// a third of that. Default: 30.
    pub lease_secs: u32,
    /// How long running builds may go on after SIGTERM, in seconds. Default: 3600.
    pub drain_secs: u32,
    /// Time between two looks at the queue when nobody calls, in seconds. Default: 10.
    pub poll_secs: u32,
    /// How long a build that is too large for what is free lets smaller ones overtake, in seconds.
    /// Default: 300.
    pub patience_secs: u32,
    /// Free space below which nothing new is taken, in MiB, on the disk of the data directory.
    /// Default: 1024.
    pub disk_floor_mib: u32,
    /// Time between two searches for leftovers, in seconds. Default: 600.
    pub housekeeping_secs: u32,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            fleets: Vec::new(),
            on_demand: None,
            processors: None,
            memory_mib: None,
            shrink_builds: true,
            concurrent_builds: None,
            lease_secs: 30,
            drain_secs: 3600,
            poll_secs: 10,
            patience_secs: 300,
            disk_floor_mib: 1024,
            housekeeping_secs: 600,
        }
    }
}

impl WorkerConfig {
    /// How long a lease holds; at least three seconds.
    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_secs.max(3).into())
    }

    /// Time between two signs of life.
    pub fn heartbeat(&self) -> Duration {
        self.lease() / 3
    }

    /// How long running builds may go on after SIGTERM.
    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_secs.into())
    }

    /// Time between two looks at the queue when nobody calls.
    pub fn poll(&self) -> Duration {
        Duration::from_secs(self.poll_secs.max(1).into())
    }

    /// How long large builds let others overtake.
    pub fn patience(&self) -> Duration {
        Duration::from_secs(self.patience_secs.into())
    }

    /// Time between two searches for leftovers.
    pub fn housekeeping(&self) -> Duration {
        Duration::from_secs(self.housekeeping_secs.max(1).into())
    }

    /// Whether it runs builds that name no fleet.
    pub fn is_on_demand(&self) -> bool {
        self.on_demand.unwrap_or(self.fleets.is_empty())
    }
}
