//! Whatever happens to machines, database and the ways between them, every build has one outcome.
//! `make chaos` is the long form.

use std::time::Duration;

use tests::fleet::{Equipment, Fault, Fleet, Plan};

/// Builds that go through it.
const BUILDS: usize = 27;

/// Always the same: a test that fails fails again.
const SEED: u64 = 1;

#[tokio::test(flavor = "multi_thread")]
async fn every_build_has_one_outcome_whatever_happens() {
    let faults: Vec<Fault> = Fault::PLAIN
        .into_iter()
        .filter(|fault| *fault != Fault::Away)
        .collect();
    let plan = Plan::new(SEED, &faults, 1, 3, BUILDS);
    let mut fleet = Fleet::new(3, Equipment::default()).await;
    let limit = Duration::from_mins(4);
    let verdict = fleet.endure(&plan, limit, |_| {}).await;
    assert!(verdict.complaints.is_empty(), "{plan:?}\n{verdict}");
    let succeeded = verdict.statuses.get("SUCCEEDED").copied().unwrap_or(0);
    assert!(succeeded > BUILDS / 2, "{plan:?}\n{verdict}");
}
