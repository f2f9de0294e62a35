//! Two workers that both believe that they own a build: the older attempt writes nothing, and its container
//! goes.

use std::fs;

use agent::store::StoredBuild;
use nix::sys::signal::Signal;
use tests::fault_proxy::FaultProxy;
use tests::fleet::{Equipment, Fleet, Machine};
use tests::until;

/// A fleet of two machines; what the first one writes to S3 passes through the proxy.
async fn fleet() -> (Fleet, FaultProxy) {
    let mut fleet = Fleet::new(2, Equipment::default()).await;
    let proxy = FaultProxy::start(fleet.s3.address());
    fleet.machines[0] = Machine::new(
        &fleet.server,
        &fleet.test,
        tests::aws::environment(&proxy.endpoint()),
        Equipment::default(),
    );
    (fleet, proxy)
}

fn writes(proxy: &FaultProxy) -> Vec<String> {
    let seen = proxy.seen().into_iter();
    seen.filter(|line| line.starts_with("PUT") || line.starts_with("POST"))
        .collect()
}

async fn settled(fleet: &Fleet, build: &StoredBuild) {
    let machine = &fleet.machines[0];
    until("the older attempt is gone", async || {
        machine.containers().is_empty() && machine.build_directories().is_empty()
    })
    .await;
    assert_eq!(
        fleet.test.build(&build.id).await,
        *build,
        "{}",
        machine.log()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_slept_through_its_lease_uploads_nothing() {
    let (mut fleet, proxy) = fleet().await;
    fleet.machines[0].start();
    let id = fleet.submit(0, 2).await;
    fleet
        .test
        .until(&id, |build| build.record["currentPhase"] == "BUILD")
        .await;
    fleet.machines[0].signal(Signal::SIGSTOP);
    // The executor goes on alone, and has all that is to be uploaded.
    let directory = fleet.machines[0].build_directories().remove(0);
    until("the artifact is collected", async || {
        fs::read_dir(directory.join("channel/artifacts"))
            .is_ok_and(|mut entries| entries.next().is_some())
    })
    .await;
    fleet.machines[1].start();
    let ended = fleet.test.ended(&id).await;
    assert_eq!(ended.status, "FAULT", "{}", ended.record);
    assert_eq!(writes(&proxy), [""; 0]);
    fleet.machines[0].signal(Signal::SIGCONT);
    settled(&fleet, &ended).await;
    assert_eq!(writes(&proxy), [""; 0], "{}", fleet.machines[0].log());
    assert!(fleet.machines[0].log().contains("was lost"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_another_one_has_overtaken_runs_nothing() {
    let (mut fleet, proxy) = fleet().await;
    fleet.machines[0].start();
    let store = std::sync::Arc::clone(&fleet.test.store);
    // It is known once it has everything that it works with, the engine among that.
    until("the worker is there", async || {
        !store.agents().await.expect("the store answers").is_empty()
    })
    .await;
    let agent = fleet.machines[0].agent();
    fleet.machines[0].engine.hang();
    let id = fleet.submit(0, 0).await;
    until("the build is leased", async || {
        let held = store.held(&agent).await.expect("the store answers");
        !held.is_empty()
    })
    .await;
    fleet.machines[0].signal(Signal::SIGSTOP);
    fleet.machines[1].start();
    let ended = fleet.test.ended(&id).await;
    assert_eq!(ended.status, "SUCCEEDED", "{}", ended.record);
    fleet.machines[0].engine.heal();
    fleet.machines[0].signal(Signal::SIGCONT);
    let machine = &fleet.machines[0];
    until("it learns that it is late", async || {
        machine.log().contains("was lost")
    })
    .await;
    settled(&fleet, &ended).await;
    assert_eq!(writes(&proxy), [""; 0], "{}", fleet.machines[0].log());
    let result = fleet.s3.bucket("artifacts").join(id.uuid.to_string());
    assert!(result.exists());
}
