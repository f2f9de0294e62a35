//! Many at once: nothing is given twice, nothing is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use agent::model::Status;
use agent::store::{
    AtLimit, CommandsRan, Fence, IdempotencyToken, NewBuild, Operation, Store, StoreError,
};
use serde_json::json;
use tests::stores::{TestStore, build, offer};
use tokio::task::JoinSet;

use super::builds::ended;

promises!(
    numbers_are_given_once,
    a_token_starts_one_build_however_often_it_comes_at_once,
    no_build_is_leased_twice,
    a_limit_is_never_exceeded,
    stopping_and_leasing_at_once_gives_one_end,
    a_limit_refuses_what_comes_at_once_beyond_it,
    calls_at_once_fail_each_for_itself,
    a_build_has_one_outcome_however_many_come_at_once,
    an_older_attempt_cannot_hide_behind_the_one_that_holds_the_lease,
    progress_at_once_reaches_every_build,
);

async fn numbers_are_given_once(test: &TestStore) {
    let mut submitting = JoinSet::new();
    for number in 0..60 {
        let store = Arc::clone(&test.store);
        let project = ["aa", "bb"][number % 2];
        submitting.spawn(async move { store.submit(build(project), None).await.unwrap().build });
    }
    let mut numbers: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    while let Some(build) = submitting.join_next().await {
        let build = build.unwrap();
        let project = build.id.project.to_string();
        assert!(numbers.entry(project).or_default().insert(build.number));
    }
    for project in ["aa", "bb"] {
        assert_eq!(numbers[project], (1..=30).collect(), "{project}");
    }
}

async fn a_token_starts_one_build_however_often_it_comes_at_once(test: &TestStore) {
    let mut submitting = JoinSet::new();
    for _ in 0..20 {
        let store = Arc::clone(&test.store);
        let token = IdempotencyToken {
            operation: Operation::StartBuild,
            token: "same".to_owned(),
            fingerprint: "same".to_owned(),
        };
        submitting.spawn(async move { store.submit(build("demo"), Some(token)).await.unwrap() });
    }
    let submissions = submitting.join_all().await;
    let new = submissions.iter().filter(|submission| submission.is_new);
    assert_eq!(new.count(), 1);
    let ids: BTreeSet<_> = submissions
        .iter()
        .map(|submission| submission.build.id.to_string())
        .collect();
    assert_eq!(ids.len(), 1);
}

async fn no_build_is_leased_twice(test: &TestStore) {
    for number in 0..100 {
        test.submit(["aa", "bb", "cc"][number % 3]).await;
    }
    let other = test.opened_again().await;
    let mut leasing = JoinSet::new();
    for number in 0..12 {
        let store = Arc::clone(if number % 2 == 0 { &test.store } else { &other });
        leasing.spawn(async move {
            let mut leased = Vec::new();
            // An agent may find nothing while another one claims the last build.
            while let Some(lease) = store.lease(&offer(&format!("{number}"))).await.unwrap() {
                leased.push(lease.fence.build.to_string());
                let outcome = ended(Status::Succeeded);
                store.finish(&lease.fence, outcome).await.unwrap();
            }
            leased
        });
    }
    let leased: Vec<String> = leasing.join_all().await.into_iter().flatten().collect();
    assert_eq!(leased.len(), 100);
    assert_eq!(leased.iter().collect::<BTreeSet<_>>().len(), 100);
}

async fn a_limit_is_never_exceeded(test: &TestStore) {
    test.project("demo", Some(3)).await;
    let running = Arc::new(AtomicI64::new(0));
    let done = Arc::new(AtomicI64::new(0));
    let mut working = JoinSet::new();
    for number in 0..8 {
        let (running, done) = (Arc::clone(&running), Arc::clone(&done));
        let store = Arc::clone(&test.store);
        let mut work = store.changes().work;
        working.spawn(async move {
            while done.load(Ordering::SeqCst) < 60 {
                if !run_one(store.as_ref(), number, &running).await {
                    let _ =
                        tokio::time::timeout(std::time::Duration::from_millis(100), work.changed())
                            .await;
                    continue;
                }
                done.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    let mut submitting = JoinSet::new();
    for _ in 0..60 {
        let store = Arc::clone(&test.store);
        submitting.spawn(async move { store.submit(build("demo"), None).await.unwrap() });
    }
    submitting.join_all().await;
    working.join_all().await;
    assert_eq!(done.load(Ordering::SeqCst), 60);
}

/// Runs a build, if there is one. Odd agents give theirs back at first.
async fn run_one(store: &dyn Store, number: u32, running: &AtomicI64) -> bool {
    let offer = offer(&format!("{number}"));
    let Some(lease) = store.lease(&offer).await.unwrap() else {
        return false;
    };
    let now = running.fetch_add(1, Ordering::SeqCst) + 1;
    assert!(now <= 3, "{now} builds run at once");
    tokio::task::yield_now().await;
    running.fetch_sub(1, Ordering::SeqCst);
    if number % 2 == 1 && lease.fence.attempt == 1 {
        store
            .give_up(&lease.fence, "why", CommandsRan::MaybeSo)
            .await
            .unwrap();
        return false;
    }
    let outcome = ended(Status::Succeeded);
    store.finish(&lease.fence, outcome).await.unwrap();
    true
}

async fn stopping_and_leasing_at_once_gives_one_end(test: &TestStore) {
    for _ in 0..20 {
        let id = test.submit("demo").await.id;
        let (stopped, lease) = tokio::join!(test.store.stop(&id), test.lease("one"));
        let stopped = stopped.unwrap().unwrap();
        match lease {
            Some(lease) => {
                assert_eq!(stopped.status, "IN_PROGRESS");
                let outcome = ended(Status::Stopped);
                test.store.finish(&lease.fence, outcome).await.unwrap();
            }
            None => assert_eq!(stopped.status, "STOPPED"),
        }
        assert_eq!(test.build(&id).await.status, "STOPPED");
    }
}

async fn a_limit_refuses_what_comes_at_once_beyond_it(test: &TestStore) {
    test.project("demo", Some(3)).await;
    let mut submitting = JoinSet::new();
    for number in 0..20 {
        let store = Arc::clone(&test.store);
        let project = ["demo", "free"][number % 2];
        let strict = NewBuild {
            at_limit: AtLimit::Reject,
            ..build(project)
        };
        submitting.spawn(async move { (project, store.submit(strict, None).await) });
    }
    let mut numbers: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
    while let Some(submitted) = submitting.join_next().await {
        match submitted.unwrap() {
            (project, Ok(submission)) => {
                numbers
                    .entry(project)
                    .or_default()
                    .insert(submission.build.number);
            }
            ("demo", Err(StoreError::LimitReached { limit: 3, .. })) => {}
            (project, Err(error)) => panic!("{project}: {error}"),
        }
    }
    assert_eq!(numbers["demo"], (1..=3).collect());
    assert_eq!(numbers["free"], (1..=10).collect());
    let mut leased = 0;
    while let Some(lease) = test.lease("one").await {
        let outcome = ended(Status::Succeeded);
        test.store.finish(&lease.fence, outcome).await.unwrap();
        leased += 1;
    }
    assert_eq!(leased, 13);
    assert_eq!(test.submit("demo").await.number, 4);
}

async fn calls_at_once_fail_each_for_itself(test: &TestStore) {
    let token = |fingerprint: String| IdempotencyToken {
        operation: Operation::StartBuild,
        token: "same".to_owned(),
        fingerprint,
    };
    let first = test
        .store
        .submit(build("demo"), Some(token("0".to_owned())));
    let first = first.await.unwrap().build.id;
    let mut submitting = JoinSet::new();
    for number in 0..12 {
        let store = Arc::clone(&test.store);
        let token = (number % 3 > 0).then(|| token((number % 3 - 1).to_string()));
        submitting.spawn(async move { (number % 3, store.submit(build("demo"), token).await) });
    }
    let mut fresh = 0;
    while let Some(submitted) = submitting.join_next().await {
        match submitted.unwrap() {
            (0, Ok(submission)) => fresh += u32::from(submission.is_new),
            (1, Ok(submission)) => assert_eq!(submission.build.id, first),
            (2, Err(StoreError::TokenMismatch)) => {}
            (kind, other) => panic!("{kind}: {other:?}"),
        }
    }
    assert_eq!(fresh, 4);
}

async fn a_build_has_one_outcome_however_many_come_at_once(test: &TestStore) {
    for _ in 0..10 {
        test.submit("demo").await;
        let fence = test.lease("one").await.unwrap().fence;
        let older = Fence {
            attempt: 7,
            ..fence.clone()
        };
        let mut ending = JoinSet::new();
        for number in 0..9 {
            let store = Arc::clone(&test.store);
            let fence = [&older, &older, &fence][number % 3].clone();
            let status = [Status::Succeeded, Status::Failed, Status::Fault][number / 3];
            ending.spawn(async move {
                let ended = store.finish(&fence, ended(status)).await;
                ended.map(|()| (fence, status))
            });
        }
        let mut written = Vec::new();
        while let Some(ended) = ending.join_next().await {
            match ended.unwrap() {
                Ok(outcome) => written.push(outcome),
                Err(StoreError::LeaseLost { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        let [(winner, status)] = written.as_slice() else {
            panic!("one is written: {written:?}");
        };
        assert_eq!(*winner, fence);
        assert_eq!(test.build(&fence.build).await.status, status.name());
    }
}

async fn an_older_attempt_cannot_hide_behind_the_one_that_holds_the_lease(test: &TestStore) {
    test.submit("demo").await;
    let fence = test.lease("one").await.unwrap().fence;
    let older = Fence {
        attempt: 7,
        ..fence.clone()
    };
    let tell = |fence| {
        test.store
            .progress(fence, json!({"attempt": fence.attempt}), true)
    };
    let told = tokio::join!(tell(&older), tell(&fence), tell(&older));
    assert!(
        matches!(told.0, Err(StoreError::LeaseLost { .. })),
        "{told:?}"
    );
    assert!(told.1.is_ok(), "{told:?}");
    assert!(
        matches!(told.2, Err(StoreError::LeaseLost { .. })),
        "{told:?}"
    );
    let attempt = &test.build(&fence.build).await.record["attempt"];
    assert_eq!(*attempt, json!(fence.attempt));
}

async fn progress_at_once_reaches_every_build(test: &TestStore) {
    let mut fences = Vec::new();
    for _ in 0..10 {
        test.submit("demo").await;
        fences.push(test.lease("one").await.unwrap().fence);
    }
    let mut telling = JoinSet::new();
    for (number, fence) in fences.iter().cloned().enumerate() {
        let store = Arc::clone(&test.store);
        telling.spawn(async move {
            let record = json!({"number": number});
            store
                .progress(&fence, record, number % 2 == 0)
                .await
                .unwrap();
        });
    }
    telling.join_all().await;
    let held = test.store.held("one").await.unwrap();
    for (number, fence) in fences.iter().enumerate() {
        assert_eq!(
            test.build(&fence.build).await.record,
            json!({"number": number})
        );
        let lease = held.iter().find(|lease| lease.fence == *fence).unwrap();
        assert_eq!(lease.has_started, number % 2 == 0);
    }
}
