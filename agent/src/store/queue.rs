//! What agents offer, what builds need, and the leases between them.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::report::NewReport;
use crate::model::{BuildId, BuildRequest, ComputeType, EnvironmentType, Status};

/// What a build takes of a machine, or what a machine has to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// Thousandths of a processor.
    pub processors_milli: u32,
    /// Memory in MiB.
    pub memory_mib: u32,
}

impl Resources {
    /// Nothing.
    pub const NONE: Self = Self {
        processors_milli: 0,
        memory_mib: 0,
    };

    /// What builds take that do not say how much: as much as the smallest general type.
    pub const SMALLEST: Self = Self {
        processors_milli: 2000,
        memory_mib: 4096,
    };

    /// Whether `wanted` is there.
    pub fn hold(self, wanted: Self) -> bool {
        wanted.processors_milli <= self.processors_milli && wanted.memory_mib <= self.memory_mib
    }

    /// No more than there is.
    #[must_use]
    pub fn at_most(self, there: Self) -> Self {
        Self {
            processors_milli: self.processors_milli.min(there.processors_milli),
            memory_mib: self.memory_mib.min(there.memory_mib),
        }
    }

    /// Both together.
    #[must_use]
    pub fn with(self, more: Self) -> Self {
        Self {
            processors_milli: self.processors_milli.saturating_add(more.processors_milli),
            memory_mib: self.memory_mib.saturating_add(more.memory_mib),
        }
    }

    /// What is left without `taken`; nothing is less than nothing.
    #[must_use]
    pub fn without(self, taken: Self) -> Self {
        Self {
            processors_milli: self.processors_milli.saturating_sub(taken.processors_milli),
            memory_mib: self.memory_mib.saturating_sub(taken.memory_mib),
        }
    }
}

/// What an agent must have to run a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// Environment type, which says the architecture as well.
    pub environment_type: EnvironmentType,
    /// Name of the fleet whose agents may run it; `None` for any that run builds without one.
    pub fleet: Option<String>,
    /// How much of the machine it takes.
    pub resources: Resources,
}

impl Needs {
    /// What a request needs. One that does not say how much of the machine gets the smallest
    /// general type's part.
    pub fn of(request: &BuildRequest) -> Self {
        let wanted = request.compute_configuration.as_ref();
        let of_type = request.compute_type.unwrap_or(ComputeType::Small);
        let processors = of_type
            .processors()
            .or(wanted.and_then(|wanted| wanted.v_cpu));
        let memory_gib = of_type
            .memory_gib()
            .or(wanted.and_then(|wanted| wanted.memory));
        Self {
            environment_type: request.environment_type,
            fleet: request.fleet.as_deref().map(fleet_name),
            resources: Resources {
                processors_milli: processors.unwrap_or(2).saturating_mul(1000),
                memory_mib: memory_gib.unwrap_or(4).saturating_mul(1024),
            },
        }
    }
}

/// The name of a fleet, from its ARN (`arn:aws:codebuild:REGION:ACCOUNT:fleet/NAME:UUID`) or as it is.
fn fleet_name(fleet: &str) -> String {
    let name = fleet.rsplit_once("fleet/").map_or(fleet, |(_, name)| name);
    name.split(':').next().unwrap_or_default().to_owned()
}

/// An agent as it shows itself to others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentDescription {
    /// Its identity, the same after a restart.
    pub id: String,
    /// Name of its machine.
    pub host: String,
    /// Version of the program.
    pub version: String,
    /// Environment types it runs.
    pub environment_types: Vec<EnvironmentType>,
    /// Fleets it belongs to.
    pub fleets: Vec<String>,
    /// Whether it runs builds that name no fleet.
    pub on_demand: bool,
    /// How much it has when nothing runs.
    pub capacity: Resources,
    /// Whether builds that want more than it has run on it with all that it has.
    pub shrinks: bool,
    /// Why it takes nothing new, if it does not: it is being shut down, or its disk is full.
    pub closed: Option<String>,
}

impl AgentDescription {
    /// What a build would take of it if nothing else ran; `None` if it cannot run it.
    pub fn share(&self, needs: &Needs) -> Option<Resources> {
        if !self.routes(needs) {
            return None;
        }
        if self.shrinks {
            return Some(needs.resources.at_most(self.capacity));
        }
        let fits = self.capacity.hold(needs.resources);
        fits.then_some(needs.resources)
    }

    /// Whether builds of this environment type and fleet come to it.
    pub fn routes(&self, needs: &Needs) -> bool {
        let is_in_fleet = match &needs.fleet {
            Some(fleet) => self.fleets.contains(fleet),
            None => self.on_demand,
        };
        is_in_fleet && self.environment_types.contains(&needs.environment_type)
    }
}

/// An agent that asks for a build.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Who asks.
    pub agent: AgentDescription,
    /// How much it has left.
    pub free: Resources,
    /// How long the lease holds without a heartbeat.
    pub life: Duration,
    /// How long a build that fits the agent, but not what is free of it, lets others overtake.
    pub patience: Duration,
}

/// Which attempt at a build may write: the latest one only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fence {
    /// The build.
    pub build: BuildId,
    /// The attempt, from 1.
    pub attempt: u32,
    /// The agent that has the lease.
    pub agent: String,
}

/// A build that an agent may run.
#[derive(Debug, Clone, PartialEq)]
pub struct Lease {
    /// By what its writes are known.
    pub fence: Fence,
    /// What the build takes of the agent.
    pub resources: Resources,
    /// What the build was asked to be.
    pub request: BuildRequest,
    /// Its record so far.
    pub record: Value,
}

/// A lease that an agent still has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldLease {
    /// By what its writes are known.
    pub fence: Fence,
    /// Whether somebody asked for the build to be stopped.
    pub is_stopping: bool,
    /// Whether a command of it had started.
    pub has_started: bool,
}

/// Whether commands of a build have run that its agent gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandsRan {
    /// None has, for certain.
    No,
    /// What was written down of its progress decides.
    MaybeSo,
}

/// The outcome of a build.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// How it ended.
    pub status: Status,
    /// Its record.
    pub record: Value,
    /// Its reports.
    pub reports: Vec<NewReport>,
    /// Groups of these reports that are made unless they exist: names and bodies.
    pub report_groups: Vec<(String, Value)>,
}

/// What a sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sweep {
    /// Builds that waited for too long.
    pub timed_out: u32,
    /// Leases of lost agents: their builds wait again, or have ended.
    pub lost: u32,
}

/// How much was forgotten because it was over long ago.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Builds.
    pub builds: usize,
    /// Reports.
    pub reports: usize,
    /// Agents that gave no sign of life.
    pub agents: usize,
}

impl Forgotten {
    /// Whether there was nothing to forget.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Where a build stands and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// The build.
    pub build: BuildId,
    /// The answer.
    pub answer: Answer,
}

/// Where a build stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is over.
    Over {
        /// How it ended.
        status: String,
    },
    /// It runs.
    Running {
        /// Where.
        agent: String,
        /// Which attempt.
        attempt: u32,
        /// Since when.
        since: Timestamp,
        /// Whether it was asked to stop.
        is_stopping: bool,
    },
    /// It waits.
    Waiting {
        /// Since when.
        since: Timestamp,
        /// Until when it may.
        until: Timestamp,
        /// How many builds are before it among those that need the same; counted up to 1000.
        ahead: u32,
        /// For what; more than one thing can be.
        reasons: Vec<Waiting>,
    },
}

/// What a build waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waiting {
    /// No living agent runs its environment type and fleet.
    NoAgent {
        /// What it needs.
        environment_type: EnvironmentType,
        /// The fleet it names.
        fleet: Option<String>,
    },
    /// Agents run its kind, and all are too small.
    TooLarge {
        /// What it needs.
        needs: Resources,
        /// What the largest of them has.
        largest: Resources,
    },
    /// Its project has as many builds as it may.
    ConcurrentLimit {
        /// The limit.
        limit: u64,
        /// Running builds of the project.
        running: u64,
    },
    /// Agents that could run it take nothing new.
    Closed {
        /// The agent.
        agent: String,
        /// Why.
        reason: String,
    },
    /// Agents that could run it are busy with builds.
    Busy {
        /// How many agents.
        agents: u32,
        /// How many builds they run.
        running: u64,
    },
}
