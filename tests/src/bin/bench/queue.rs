//! The queue alone: leases and outcomes of builds that nobody runs, on PostgreSQL as it is delivered.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use agent::model::Status;
use agent::store::{self, Ended, Lease, Store};
use serde_json::json;
use tests::postgres::{Durability, Postgres};
use tests::stores::{build, offer, run};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::{Row, median};

/// Builds that go through the queue to show how many it takes in a second.
const BUILDS: usize = 8000;

/// Workers, each with connections of its own, and how many builds each of them has at once.
const WORKERS: usize = 4;
const AT_ONCE: usize = 4;

/// Builds that go through the queue, one after the other, to show what one costs.
const ONE_BY_ONE: usize = 300;

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
        let address = server.database().await;
        let mut workers = Vec::new();
        for _ in 0..WORKERS {
            workers.push(open(&address).await);
        }
        let mut submitting = JoinSet::new();
        for client in 0..WORKERS * AT_ONCE {
            let store = Arc::clone(&workers[client % WORKERS]);
            submitting.spawn(async move {
                for _ in 0..BUILDS / (WORKERS * AT_ONCE) {
                    let build = build(&format!("project-{client}"));
                    store.submit(build, None).await.expect("it is queued");
                }
            });
        }
        submitting.join_all().await;
        let start = Instant::now();
        let mut leasing = JoinSet::new();
        for slot in 0..WORKERS * AT_ONCE {
            let worker = slot % WORKERS;
            let store = Arc::clone(&workers[worker]);
            leasing.spawn(async move {
                let agent = format!("worker-{worker}");
                let mut done = 0;
                while let Some(lease) = lease(store.as_ref(), &agent).await {
                    finish(store.as_ref(), &lease).await;
                    done += 1;
                }
                done
            });
        }
        let done: u32 = leasing.join_all().await.into_iter().sum();
        f64::from(done) / start.elapsed().as_secs_f64()
    });
    Row {
        what: format!("leases and outcomes in a second, {WORKERS} workers"),
        agent: format!("{rate:.0}"),
        peer: "1000".to_owned(),
        ratio: rate / 1000.0,
        promised: "at least 1",
    }
}

/// What a lease costs in a long queue against a short one.
pub(crate) fn depth_of_leases() -> Row {
    let [short, long] = depths();
    Row::of_times(
        "a lease from 1,000,000 builds, against 1,000",
        long.lease,
        short.lease,
        "about 1",
    )
}

/// What a build costs, from its submission to its outcome, in a long queue against a short one.
pub(crate) fn depth() -> Row {
    let [short, long] = depths();
    Row::of_times(
        "a build in a queue of 1,000,000, against 1,000",
        long.whole,
        short.whole,
        "about 1",
    )
}

/// What one build costs in a queue.
#[derive(Debug)]
struct Cost {
    lease: Duration,
    /// Submission, lease and outcome.
    whole: Duration,
}

/// The costs in a queue of 1,000 and in one of 1,000,000, measured once.
fn depths() -> &'static [Cost; 2] {
    static DEPTHS: OnceLock<[Cost; 2]> = OnceLock::new();
    DEPTHS.get_or_init(|| {
        runtime().block_on(async {
            let server = Postgres::start(Durability::Full);
            let short = one_by_one(&server, 1000).await;
            [short, one_by_one(&server, 1_000_000).await]
        })
    })
}

async fn one_by_one(server: &Postgres, queued: usize) -> Cost {
    let address = server.database().await;
    let store = open(&address).await;
    store
        .submit(build("first"), None)
        .await
        .expect("it is queued");
    run(&address, &LONG_QUEUE.replace("COUNT", &queued.to_string())).await;
    // What making it has left to do for the disk is not what is measured.
    run(&address, "VACUUM ANALYZE").await;
    run(&address, "CHECKPOINT").await;
    let (mut leases, mut wholes) = (Vec::new(), Vec::new());
    for _ in 0..ONE_BY_ONE {
        let start = Instant::now();
        store
            .submit(build("first"), None)
            .await
            .expect("it is queued");
        let leasing = Instant::now();
        let lease = lease(store.as_ref(), "agent").await.expect("builds wait");
        leases.push(leasing.elapsed());
        finish(store.as_ref(), &lease).await;
        wholes.push(start.elapsed());
    }
    Cost {
        lease: median(leases),
        whole: median(wholes),
    }
}

async fn lease(store: &dyn Store, agent: &str) -> Option<Lease> {
    store.lease(&offer(agent)).await.expect("the store answers")
}

async fn finish(store: &dyn Store, lease: &Lease) {
    let ended = Ended {
        status: Status::Succeeded,
        record: json!({}),
        reports: Vec::new(),
        report_groups: Vec::new(),
    };
    let finished = store.finish(&lease.fence, ended).await;
    finished.expect("the lease holds");
}

async fn open(address: &str) -> Arc<dyn Store> {
    store::open(address).await.expect("the store opens")
}

fn runtime() -> Runtime {
    Runtime::new().expect("a runtime can be made")
}
