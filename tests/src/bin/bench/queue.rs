//! The queue alone: leases and outcomes of builds that nobody runs, on PostgreSQL as it is delivered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use agent::model::Status;
use agent::store::{self, Ended, Store};
use serde_json::json;
use tests::postgres::{Durability, Postgres};
use tests::stores::{build, offer, run};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::{Row, median};

/// Builds that go through the queue to show how many it takes in a second.
const BUILDS: usize = 4000;

/// Agents that lease at the same time.
const AGENTS: usize = 16;

/// Builds that go through the queue, one after the other, to show what one costs.
const ONE_BY_ONE: usize = 200;

/// A queue of so many builds of a thousand projects. Only the first ones have documents: the others are
/// never leased.
const LONG_QUEUE: &str = "
INSERT INTO lanes SELECT 'p' || g, 1000, 1000 FROM generate_series(0, 999) AS g;
INSERT INTO builds
SELECT '00000000-0000-4000-8000-' || lpad(g::text, 12, '0'), 'p' || (g % 1000), g / 1000 + 1, 'IN_PROGRESS', 0, NULL,
    CASE WHEN g < 10000 THEN request ELSE '{}' END, record
FROM generate_series(0, COUNT - 1) AS g, (SELECT request, record FROM builds LIMIT 1) AS one;
INSERT INTO queue (build, project, class, priority, turn, submitted_at, deadline, is_ready)
SELECT '00000000-0000-4000-8000-' || lpad(g::text, 12, '0'), 'p' || (g % 1000), class, 0, g / 1000 + 1, 0, 9000000000000, 1
FROM generate_series(0, COUNT - 1) AS g, (SELECT class FROM queue LIMIT 1) AS one;";

/// Leases and outcomes in a second.
pub(crate) fn throughput() -> Row {
    let rate = runtime().block_on(async {
        let server = Postgres::start(Durability::Full);
        let store = open(&server).await;
        let mut submitting = JoinSet::new();
        for agent in 0..AGENTS {
            let store = Arc::clone(&store);
            submitting.spawn(async move {
                for _ in 0..BUILDS / AGENTS {
                    let build = build(&format!("project-{agent}"));
                    store.submit(build, None).await.expect("it is queued");
                }
            });
        }
        submitting.join_all().await;
        let start = Instant::now();
        let mut leasing = JoinSet::new();
        for agent in 0..AGENTS {
            let store = Arc::clone(&store);
            leasing.spawn(async move {
                let agent = format!("agent-{agent}");
                let mut done = 0;
                while lease_and_finish(store.as_ref(), &agent).await {
                    done += 1;
                }
                done
            });
        }
        let done: u32 = leasing.join_all().await.into_iter().sum();
        f64::from(done) / start.elapsed().as_secs_f64()
    });
    Row {
        what: format!("leases and outcomes in a second, {AGENTS} agents"),
        agent: format!("{rate:.0}"),
        peer: "1000".to_owned(),
        ratio: rate / 1000.0,
        promised: "at least 1",
    }
}

/// What a build costs, from its submission to its outcome, in a long queue against a short one.
pub(crate) fn depth() -> Row {
    let (long, short) = runtime().block_on(async {
        let server = Postgres::start(Durability::Full);
        let short = one_by_one(&server, 1000).await;
        let long = one_by_one(&server, 1_000_000).await;
        (long, short)
    });
    Row::of_times(
        "a build in a queue of 1,000,000, against 1,000",
        long,
        short,
        "about 1",
    )
}

async fn one_by_one(server: &Postgres, queued: usize) -> Duration {
    let address = server.database().await;
    let store = store::open(&address).await.expect("the store opens");
    store
        .submit(build("first"), None)
        .await
        .expect("it is queued");
    run(&address, &LONG_QUEUE.replace("COUNT", &queued.to_string())).await;
    // What making it has left to do for the disk is not what is measured.
    run(&address, "VACUUM ANALYZE").await;
    run(&address, "CHECKPOINT").await;
    let mut times = Vec::new();
    for _ in 0..ONE_BY_ONE {
        let start = Instant::now();
        store
            .submit(build("first"), None)
            .await
            .expect("it is queued");
        assert!(lease_and_finish(store.as_ref(), "agent").await);
        times.push(start.elapsed());
    }
    median(times)
}

async fn lease_and_finish(store: &dyn Store, agent: &str) -> bool {
    let leased = store.lease(&offer(agent)).await;
    let Some(lease) = leased.expect("the store answers") else {
        return false;
    };
    let ended = Ended {
        status: Status::Succeeded,
        record: json!({}),
        reports: Vec::new(),
        report_groups: Vec::new(),
    };
    let finished = store.finish(&lease.fence, ended).await;
    finished.expect("the lease holds");
    true
}

async fn open(server: &Postgres) -> Arc<dyn Store> {
    let address = server.database().await;
    store::open(&address).await.expect("the store opens")
}

fn runtime() -> Runtime {
    Runtime::new().expect("a runtime can be made")
}
