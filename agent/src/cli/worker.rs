//! `worker`: builds of a store, run on this machine.

use std::sync::Arc;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::exit::{Exit, Failure, tell};
use super::intake_args::{self, IntakeArgs};
use super::reload::Reload;
use super::store_args::StoreArgs;
use super::telling::Telling;
use super::{GlobalArgs, data_directory};
use crate::intake::Intakes;
use crate::worker::{Orders, Worker};

/// Runs builds of a store on this machine, as many at once as there is room for
///
/// SIGTERM or SIGINT drains: nothing new is taken, running builds go on until they end or the drain
/// limit of the configuration is over. A second one, or `--hand-over`, ends the worker at once: its
/// builds go on alone, and the next worker with this data directory takes them up. SIGHUP reads the
/// configuration again: what the worker offers and how it lives, who is told of builds and which messages
/// are shown follow at once, whatever else has changed is named and needs a restart.
#[derive(Debug, Args)]
pub(super) struct WorkerArgs {
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    intake: IntakeArgs,
    /// End at once on the first signal and leave the running builds to the next worker
    #[arg(long)]
    hand_over: bool,
}

pub(super) async fn run(args: WorkerArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    let mut config = global.config()?;
    args.intake.apply(&mut config);
    let store = args.store.open(&data_directory(&config)?, &config).await?;
    let tools = global.tools_for(config.clone(), &store).await?;
    let telling = Telling::new(&tools.config, &store, &tools.aws, &tools.source_credentials);
    let worker = Worker::new(Arc::clone(&store), tools.clone()).map_err(Failure::fault)?;
    let intakes = intake_args::intakes(&store, &tools, worker.vacancies()).await?;
    let orders = Orders::default();
    let mut tasks = JoinSet::new();
    listen(&orders, args.hand_over, &mut tasks)?;
    let reload = Reload::new(global, config, &telling, Some(&worker))?;
    tell(format_args!("worker {} waits for builds", worker.id()));
    tokio::select! {
        () = work(&worker, (&telling, &intakes), &orders) => Ok(Exit::Success),
        never = reload.follow(|config| args.intake.apply(config)) => match never {},
    }
}

/// Works, takes what comes in for as long as new builds are taken, and tells others of it, until there is nothing left
/// to do.
pub(super) async fn work(
    worker: &Worker,
    (telling, intakes): (&Telling, &Intakes),
    orders: &Orders,
) {
    let is_over = CancellationToken::new();
    let open = intakes.open(&orders.drain);
    let working = async {
        worker.work(orders).await;
        is_over.cancel();
    };
    let telling = telling.deliver(worker.id().to_owned(), &is_over);
    let answering = async {
        is_over.cancelled().await;
        open.close().await;
    };
    // A worker that lets go of its builds waits for nobody.
    tokio::join!(
        working,
        orders.let_go.run_until_cancelled(telling),
        orders.let_go.run_until_cancelled(answering),
    );
}

/// Turns signals into orders.
pub(super) fn listen(
    orders: &Orders,
    hand_over: bool,
    tasks: &mut JoinSet<()>,
) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::fault)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::fault)?;
    let orders = orders.clone();
    tasks.spawn(async move {
        either(&mut terminate, &mut interrupt).await;
        orders.drain.cancel();
        if !hand_over {
            tell("no new builds are taken; a second signal leaves the running ones to the next worker");
            either(&mut terminate, &mut interrupt).await;
        }
        orders.let_go.cancel();
    });
    Ok(())
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}
