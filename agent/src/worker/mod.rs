//! Builds of the store, run on this machine: leases come in, one task runs each build, one outcome goes
//! back for each.
//!
//! The store decides who may run what. A build that this worker has lost – it was cut off from the
//! store for longer than its leases hold – is stopped and its container removed as soon as the
//! worker hears of it, and nothing of it can be written any more.

mod disk;
pub mod housekeeping;
mod leased;
mod machine;
mod outcomes;
mod record;
pub mod recovery;
mod reporter;
mod running;
mod taking_up;
mod watching;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::fcntl::Flock;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::build::Tools;
use crate::config::{Config, WorkerConfig};
use crate::logs::{Moment, Permit};
use crate::store::{AgentDescription, Lease, Offer, Resources, Store};
use outcomes::Outcomes;
use running::Running;

/// Time before the store is asked again after it failed.
const AFTER_FAILURE: Duration = Duration::from_secs(2);

/// What a worker is told from outside.
#[derive(Debug, Clone, Default)]
pub struct Orders {
    /// It takes nothing new, and ends with its last build or when its time for that is up.
    pub drain: CancellationToken,
    /// It ends at once. Its builds go on alone, for the next worker on this machine to join.
    pub let_go: CancellationToken,
}

/// Why a worker cannot work.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// Another one works with this data directory.
    #[error("another worker uses the data directory {}", directory.display())]
    Taken {
        /// The directory.
        directory: std::path::PathBuf,
    },
    /// The data directory or the machine cannot be used.
    #[error("cannot prepare the worker")]
    Prepare(#[source] std::io::Error),
}

/// A worker: the one of its data directory.
#[derive(Debug)]
pub struct Worker {
    node: Arc<Node>,
    _lock: Flock<std::fs::File>,
}

/// What every task of a worker knows.
#[derive(Debug)]
struct Node {
    store: Arc<dyn Store>,
    tools: Tools,
    agent: AgentDescription,
    /// What follows the configuration.
    live: watch::Sender<Live>,
    /// Why nothing new is taken, if so.
    closed: watch::Sender<Option<String>>,
    /// Whether it waits for builds: none is being leased, and all that were have their places.
    is_waiting: AtomicBool,
    running: Running,
    outcomes: Outcomes,
}

/// What a worker offers and how it lives, as its configuration says at present.
#[derive(Debug)]
struct Live {
    config: WorkerConfig,
    agent: AgentDescription,
}

impl Worker {
    /// Prepares a worker of this machine.
    pub fn new(store: Arc<dyn Store>, tools: Tools) -> Result<Self, WorkerError> {
        let lock = machine::lock(tools.data.root()).map_err(WorkerError::Prepare)?;
        let lock = lock.ok_or_else(|| WorkerError::Taken {
            directory: tools.data.root().to_owned(),
        })?;
        let agent = machine::describe(&tools.config, &tools.data).map_err(WorkerError::Prepare)?;
        let outcomes = Outcomes::open(tools.data.root()).map_err(WorkerError::Prepare)?;
        let live = Live {
            config: tools.config.worker.clone(),
            agent: agent.clone(),
        };
        let node = Node {
            live: watch::Sender::new(live),
            store,
            tools,
            agent,
            closed: watch::Sender::new(None),
            is_waiting: AtomicBool::new(false),
            running: Running::default(),
            outcomes,
        };
        Ok(Self {
            node: Arc::new(node),
            _lock: lock,
        })
    }

    /// Its identity.
    pub fn id(&self) -> &str {
        &self.node.agent.id
    }

    /// Tells how many builds of the smallest usual size it could begin now, for whoever brings it work.
    pub fn vacancies(&self) -> Arc<dyn Fn() -> u32 + Send + Sync> {
        let node = Arc::clone(&self.node);
        Arc::new(move || node.vacancies())
    }

    /// From now on it offers what this configuration says, and lives by it. Builds that run go on.
    pub fn follow(&self, config: &Config) {
        self.node.live.send_modify(|live| {
            machine::offer(&mut live.agent, &config.worker);
            live.config = config.worker.clone();
        });
    }

    /// Works until it is told not to.
    pub async fn work(&self, orders: &Orders) {
        let node = &self.node;
        let mut builds = JoinSet::new();
        // What runs again needs the place of what was left.
        watching::reap(node).await;
        let mut around = JoinSet::new();
        taking_up::take_up(node, &mut builds, &mut around).await;
        around.spawn(watching::heartbeat(Arc::clone(node)));
        around.spawn(watching::stops(Arc::clone(node)));
        around.spawn(watching::sweep(Arc::clone(node)));
        around.spawn(watching::housekeeping(Arc::clone(node)));
        let leasing = lease(node, &mut builds, orders);
        orders.let_go.run_until_cancelled(leasing).await;
        node.is_waiting.store(false, Ordering::Relaxed);
        node.closed
            .send_replace(Some("it is being shut down".to_owned()));
        orders
            .let_go
            .run_until_cancelled(drain(node, &mut builds))
            .await;
        // Whatever is left runs on without this process.
        let left = builds.len();
        builds.shutdown().await;
        around.shutdown().await;
        if left > 0 {
            tracing::info!("{left} builds go on without this worker");
        } else if let Err(error) = node.store.farewell(&node.agent.id).await {
            tracing::warn!("the store does not know that this worker has ended: {error:#}");
        }
    }
}

/// Leases builds for as long as there is room, and waits for both. A call that takes a lease is never
/// given up half way: a lease that nobody knows of would hold its build up.
async fn lease(node: &Arc<Node>, builds: &mut JoinSet<()>, orders: &Orders) {
    let mut work = node.store.changes().work;
    let mut live = node.live.subscribe();
    while !orders.drain.is_cancelled() {
        while let Some(ended) = builds.try_join_next() {
            report(ended);
        }
        work.mark_unchanged();
        let pause = match take(node).await {
            Ok(Some((lease, permit))) => {
                // It has its place before the next one is looked for.
                let (entered, has_entered) = oneshot::channel();
                builds.spawn(leased::run(Arc::clone(node), lease, permit, entered));
                drop(has_entered.await);
                continue;
            }
            Ok(None) => node.config().poll(),
            Err(error) => {
                tracing::warn!("cannot lease a build, trying again: {error:#}");
                AFTER_FAILURE
            }
        };
        node.is_waiting.store(true, Ordering::Relaxed);
        tokio::select! {
            () = orders.drain.cancelled() => {}
            // The store may call at any time that there is something new.
            Ok(()) = work.changed() => {}
            Ok(()) = live.changed() => {}
            Some(ended) = builds.join_next() => report(ended),
            () = sleep(pause) => {}
        }
        node.is_waiting.store(false, Ordering::Relaxed);
    }
}

/// Takes a build for which there is room, if there is one, with the permission to write what it yields.
async fn take(node: &Node) -> anyhow::Result<Option<(Lease, Permit)>> {
    let worker = node.config();
    let held = node.running.held();
    if worker
        .concurrent_builds
        .is_some_and(|most| held.builds >= most)
    {
        return Ok(None);
    }
    disk::look(node).await?;
    let agent = node.description();
    let free = agent.capacity.without(held.resources);
    if agent.closed.is_some() || free == Resources::NONE {
        return Ok(None);
    }
    let offer = Offer {
        free,
        agent,
        life: worker.lease(),
        patience: worker.patience(),
    };
    let (asked, permit) = (Moment::now(), Permit::unconfirmed());
    permit.confirm(asked, offer.life);
    let lease = node.store.lease(&offer).await?;
    Ok(lease.map(|lease| (lease, permit)))
}

/// Lets running builds go on for a while, and then asks them to stop.
async fn drain(node: &Node, builds: &mut JoinSet<()>) {
    let limit = node.config().drain();
    if timeout(limit, join_all(builds)).await.is_err() {
        tracing::warn!(
            "{} builds did not end in time, they are let go",
            builds.len()
        );
    }
}

async fn join_all(builds: &mut JoinSet<()>) {
    while let Some(ended) = builds.join_next().await {
        report(ended);
    }
}

/// A panic of a build's task is ours, and shows where it is joined.
fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!("the task of a build panicked: {error}");
    }
}

impl Node {
    /// How many builds of the smallest usual size could begin now.
    fn vacancies(&self) -> u32 {
        let held = self.running.held();
        let most = self.config().concurrent_builds;
        let left = most.map_or(u32::MAX, |most| most.saturating_sub(held.builds));
        let free = self.live.borrow().agent.capacity.without(held.resources);
        let is_waiting = self.is_waiting.load(Ordering::Relaxed);
        if !is_waiting || left == 0 || free == Resources::NONE || self.closed.borrow().is_some() {
            return 0;
        }
        let smallest = Resources::SMALLEST;
        let places = (free.processors_milli / smallest.processors_milli)
            .min(free.memory_mib / smallest.memory_mib);
        places.max(1).min(left)
    }

    /// This agent as it stands.
    fn description(&self) -> AgentDescription {
        AgentDescription {
            closed: self.closed.borrow().clone(),
            ..self.live.borrow().agent.clone()
        }
    }

    /// How it lives at present.
    fn config(&self) -> WorkerConfig {
        self.live.borrow().config.clone()
    }
}
