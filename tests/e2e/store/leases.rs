//! Leases: who has one may write, who lost it may not.

use std::time::Duration;

use agent::model::Status;
use agent::store::{CommandsRan, Fence, NewBuild, StoreError, Sweep};
use serde_json::json;
use tests::stores::{LIFE, TestStore, agent, build, request};

use super::builds::ended;

promises!(
    the_holder_writes_progress_and_one_outcome,
    a_heartbeat_keeps_leases,
    a_heartbeat_does_not_keep_what_is_not_run,
    a_confirmed_lease_holds_on_and_a_lost_one_is_told,
    a_build_whose_agent_was_lost_before_a_command_runs_elsewhere,
    a_build_whose_agent_was_lost_after_a_command_ends_as_fault,
    a_build_of_which_nothing_ran_for_certain_runs_again,
    a_build_that_loses_every_agent_is_given_up,
    an_old_attempt_writes_nothing,
    a_build_that_is_to_stop_does_not_run_again,
    a_build_that_waits_too_long_times_out,
    a_submission_wakes_other_processes,
    a_build_that_cannot_be_read_keeps_no_other_one_back,
);

async fn the_holder_writes_progress_and_one_outcome(test: &TestStore) {
    let id = test.submit("demo").await.id;
    let lease = test.lease("one").await.unwrap();
    assert_eq!(lease.request, test.build(&id).await.request);
    let record = json!({"currentPhase": "BUILD"});
    let written = test
        .store
        .progress(&lease.fence, record.clone(), true)
        .await;
    written.unwrap();
    assert_eq!(test.build(&id).await.record, record);
    let finish = async || test.store.finish(&lease.fence, ended(Status::Failed)).await;
    finish().await.unwrap();
    let build = test.build(&id).await;
    assert_eq!(build.status, "FAILED");
    assert!(build.ended_at.is_some());
    assert!(matches!(finish().await, Err(StoreError::LeaseLost { .. })));
}

async fn a_heartbeat_keeps_leases(test: &TestStore) {
    test.submit("demo").await;
    let lease = test.lease("one").await.unwrap();
    for _ in 0..3 {
        test.step(LIFE / 2).await;
        let running = std::slice::from_ref(&lease.fence);
        let held = test.store.heartbeat(&agent("one"), running, LIFE).await;
        assert_eq!(held.unwrap()[0].fence, lease.fence);
        assert_eq!(test.store.sweep().await.unwrap(), Sweep::default());
    }
    let held = test
        .store
        .heartbeat(&agent("two"), &[], LIFE)
        .await
        .unwrap();
    assert_eq!(held, []);
    let agents = test.store.agents().await.unwrap();
    let ids: Vec<_> = agents.iter().map(|(agent, _)| agent.id.as_str()).collect();
    assert_eq!(ids, ["one", "two"]);
    test.store.farewell("two").await.unwrap();
    assert_eq!(test.store.agents().await.unwrap().len(), 1);
}

async fn a_heartbeat_does_not_keep_what_is_not_run(test: &TestStore) {
    test.submit("demo").await;
    let lease = test.lease("one").await.unwrap();
    let older = Fence {
        attempt: 7,
        ..lease.fence.clone()
    };
    test.step(LIFE / 2).await;
    let held = test.store.heartbeat(&agent("one"), &[older], LIFE).await;
    assert_eq!(
        held.unwrap().len(),
        1,
        "it is told what it has all the same"
    );
    test.step(LIFE).await;
    assert_eq!(test.store.sweep().await.unwrap().lost, 1);
}

async fn a_confirmed_lease_holds_on_and_a_lost_one_is_told(test: &TestStore) {
    test.submit("demo").await;
    let old = test.lease("one").await.unwrap().fence;
    for _ in 0..3 {
        test.step(LIFE / 2).await;
        test.store.confirm(&old, LIFE).await.unwrap();
        assert_eq!(test.store.sweep().await.unwrap(), Sweep::default());
    }
    test.step(LIFE + Duration::from_secs(1)).await;
    assert_eq!(test.store.sweep().await.unwrap().lost, 1);
    let lost = test.store.confirm(&old, LIFE).await;
    assert!(matches!(lost, Err(StoreError::LeaseLost { .. })));
    let new = test.lease("one").await.unwrap().fence;
    let lost = test.store.confirm(&old, LIFE).await;
    assert!(matches!(lost, Err(StoreError::LeaseLost { .. })));
    test.store.confirm(&new, LIFE).await.unwrap();
}

async fn a_build_whose_agent_was_lost_before_a_command_runs_elsewhere(test: &TestStore) {
    test.submit("demo").await;
    let first = test.lease("one").await.unwrap();
    let record = json!({"currentPhase": "PROVISIONING"});
    let written = test.store.progress(&first.fence, record, false).await;
    written.unwrap();
    test.step(LIFE + Duration::from_secs(1)).await;
    let swept = test.store.sweep().await.unwrap();
    assert_eq!(swept.lost, 1);
    let second = test.lease("two").await.unwrap();
    assert_eq!(second.fence.build, first.fence.build);
    assert_eq!(second.fence.attempt, 2);
    // The one that was lost is back, and learns that it has nothing.
    let held = test
        .store
        .heartbeat(&agent("one"), &[], LIFE)
        .await
        .unwrap();
    assert_eq!(held, []);
}

async fn a_build_whose_agent_was_lost_after_a_command_ends_as_fault(test: &TestStore) {
    let id = test.submit("demo").await.id;
    let lease = test.lease("one").await.unwrap();
    let mut record = test.build(&id).await.record;
    record["currentPhase"] = "BUILD".into();
    let written = test
        .store
        .progress(&lease.fence, record.clone(), true)
        .await;
    written.unwrap();
    // That a command has started is for good.
    let written = test.store.progress(&lease.fence, record, false).await;
    written.unwrap();
    test.step(LIFE + Duration::from_secs(1)).await;
    let swept = test.store.sweep().await.unwrap();
    assert_eq!(swept.lost, 1);
    let build = test.build(&id).await;
    assert_eq!(build.status, "FAULT");
    let context = &build.record["phases"][1]["contexts"][0];
    assert_eq!(context["statusCode"], "INTERNAL_SERVICE_ERROR");
    assert_eq!(
        context["message"],
        "attempt 1 of the build was lost: agent one gave no sign of life"
    );
    let late = test.store.finish(&lease.fence, ended(Status::Succeeded));
    assert!(matches!(late.await, Err(StoreError::LeaseLost { .. })));
    assert_eq!(test.build(&id).await.status, "FAULT");
}

async fn a_build_of_which_nothing_ran_for_certain_runs_again(test: &TestStore) {
    test.submit("demo").await;
    let first = test.lease("one").await.unwrap();
    let written = test.store.progress(&first.fence, first.record, true).await;
    written.unwrap();
    let given = test
        .store
        .give_up(&first.fence, "why", CommandsRan::No)
        .await;
    given.unwrap();
    let second = test.lease("two").await.unwrap();
    assert_eq!(second.fence.build, first.fence.build);
}

async fn a_build_that_loses_every_agent_is_given_up(test: &TestStore) {
    let id = test.submit("demo").await.id;
    for attempt in 1..=3 {
        let lease = test.lease("one").await.unwrap();
        assert_eq!(lease.fence.attempt, attempt);
        test.step(LIFE + Duration::from_secs(1)).await;
        test.store.sweep().await.unwrap();
    }
    assert_eq!(test.lease("one").await, None);
    assert_eq!(test.build(&id).await.status, "FAULT");
}

async fn an_old_attempt_writes_nothing(test: &TestStore) {
    let id = test.submit("demo").await.id;
    let old = test.lease("one").await.unwrap().fence;
    test.step(LIFE + Duration::from_secs(1)).await;
    test.store.sweep().await.unwrap();
    let new = test.lease("one").await.unwrap().fence;
    let before = test.build(&id).await;
    let stolen = Fence {
        agent: "two".to_owned(),
        ..new.clone()
    };
    for fence in [&old, &stolen] {
        let progress = test.store.progress(fence, json!({"old": true}), true);
        assert!(
            matches!(progress.await, Err(StoreError::LeaseLost { attempt, .. }) if attempt == fence.attempt)
        );
        let finish = test.store.finish(fence, ended(Status::Succeeded));
        assert!(matches!(finish.await, Err(StoreError::LeaseLost { .. })));
        let release = test.store.give_up(fence, "why", CommandsRan::MaybeSo);
        assert!(matches!(release.await, Err(StoreError::LeaseLost { .. })));
    }
    assert_eq!(test.build(&id).await, before);
    test.store
        .finish(&new, ended(Status::Failed))
        .await
        .unwrap();
}

async fn a_build_that_is_to_stop_does_not_run_again(test: &TestStore) {
    let id = test.submit("demo").await.id;
    let lease = test.lease("one").await.unwrap();
    test.store.stop(&id).await.unwrap();
    test.store
        .give_up(&lease.fence, "why", CommandsRan::MaybeSo)
        .await
        .unwrap();
    assert_eq!(test.build(&id).await.status, "STOPPED");
    assert_eq!(test.lease("one").await, None);
}

async fn a_build_that_waits_too_long_times_out(test: &TestStore) {
    test.project("limited", Some(1)).await;
    let impatient = |project: &str| NewBuild {
        request: request(project, &json!({"queuedTimeoutInMinutesOverride": 5})),
        ..build(project)
    };
    let first = test.submit_as(impatient("limited")).await.id;
    let lease = test.lease("one").await.unwrap();
    let second = test.submit_as(impatient("limited")).await.id;
    test.submit("demo").await;
    test.step(Duration::from_secs(299)).await;
    let running = std::slice::from_ref(&lease.fence);
    let beat = test.store.heartbeat(&agent("one"), running, LIFE).await;
    beat.unwrap();
    assert_eq!(test.store.sweep().await.unwrap(), Sweep::default());
    test.step(Duration::from_secs(2)).await;
    assert_eq!(test.store.sweep().await.unwrap().timed_out, 1);
    let build = test.build(&second).await;
    assert_eq!(build.status, "TIMED_OUT");
    assert_eq!(build.record["phases"][1]["phaseStatus"], "TIMED_OUT");
    assert_eq!(
        test.build(&first).await.status,
        "IN_PROGRESS",
        "it does not wait"
    );
}

async fn a_build_that_cannot_be_read_keeps_no_other_one_back(test: &TestStore) {
    let damaged = test.submit("demo").await.id;
    let next = test.submit("demo").await.id;
    let uuid = damaged.uuid;
    test.run(&format!(
        "UPDATE builds SET request = '{{' WHERE id = '{uuid}'"
    ))
    .await;
    let lease = test.lease("one").await.unwrap();
    assert_eq!(lease.fence.build, next);
    assert_eq!(test.lease("one").await, None);
}

async fn a_submission_wakes_other_processes(test: &TestStore) {
    let other = test.opened_again().await;
    let mut changes = other.changes();
    if test.address.starts_with("postgres:") {
        // The listener calls once when it listens.
        changes.work.changed().await.unwrap();
        changes.stops.changed().await.unwrap();
    }
    let id = test.submit("demo").await.id;
    changes.work.changed().await.unwrap();
    test.lease("one").await.unwrap();
    changes.stops.mark_unchanged();
    test.store.stop(&id).await.unwrap();
    changes.stops.changed().await.unwrap();
}
