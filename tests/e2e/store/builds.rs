//! Builds come in, are looked up, stopped and forgotten.

use std::time::Duration;

use agent::model::{BuildId, BuildRequest, ProjectSource, SourceLocation, SourceType, Status};
use agent::store::{
    AtLimit, CommandsRan, Deletion, Ended, IdempotencyToken, NewBuild, Operation, Order,
    PageRequest, StoreError, TOKEN_LIFE,
};
use serde_json::json;
use tests::stores::{LIFE, TestStore, agent, build, request};

promises!(
    numbers_go_on_when_builds_and_projects_are_gone,
    a_build_begins_in_the_queue,
    a_token_stands_for_its_build_for_five_minutes,
    builds_are_listed_by_age_and_by_project,
    a_waiting_build_is_stopped_at_once,
    a_running_build_is_asked_to_stop,
    a_build_that_is_over_is_forgotten,
    a_build_beyond_the_limit_can_be_refused,
    a_failed_build_is_tried_again_as_often_as_it_may,
    a_build_that_was_stopped_is_not_tried_again,
    a_build_whose_agent_was_lost_is_tried_again,
    a_build_that_waited_too_long_or_is_of_a_pipeline_is_not_tried_again,
);

fn token(token: &str, fingerprint: &str) -> IdempotencyToken {
    IdempotencyToken {
        operation: Operation::StartBuild,
        token: token.to_owned(),
        fingerprint: fingerprint.to_owned(),
    }
}

pub(super) fn ended(status: Status) -> Ended {
    Ended {
        status,
        record: json!({"buildStatus": status.name()}),
        reports: Vec::new(),
        report_groups: Vec::new(),
    }
}

async fn numbers_go_on_when_builds_and_projects_are_gone(test: &TestStore) {
    test.project("demo", None).await;
    assert_eq!(test.submit("demo").await.number, 1);
    let second = test.submit("demo").await;
    assert_eq!((second.number, second.request.build_number), (2, 2));
    assert_eq!(test.submit("other").await.number, 1);
    test.store.stop(&second.id).await.unwrap();
    test.store.delete_build(&second.id).await.unwrap();
    test.store
        .delete_resource(agent::store::Kind::Project, "demo")
        .await
        .unwrap();
    assert_eq!(test.submit("demo").await.number, 3);
}

async fn a_build_begins_in_the_queue(test: &TestStore) {
    let new = build("demo");
    let id = new.request.id.clone();
    let submitted = test.submit_as(new).await;
    assert_eq!(submitted, test.build(&id).await);
    let record = &submitted.record;
    assert_eq!(record["id"], id.to_string());
    assert_eq!(record["buildStatus"], "IN_PROGRESS");
    assert_eq!(record["currentPhase"], "QUEUED");
    assert_eq!(record["phases"][0]["phaseStatus"], "SUCCEEDED");
    assert_eq!(record["phases"][1]["phaseType"], "QUEUED");
    assert_eq!(
        (submitted.status.as_str(), submitted.ended_at),
        ("IN_PROGRESS", None)
    );
    // An id is its project and its UUID: half of it finds nothing.
    let other = BuildId {
        project: "other".parse().unwrap(),
        uuid: id.uuid,
    };
    let found = test.store.builds(std::slice::from_ref(&other)).await;
    assert_eq!(found.unwrap(), []);
    assert_eq!(test.store.stop(&other).await.unwrap(), None);
}

async fn a_token_stands_for_its_build_for_five_minutes(test: &TestStore) {
    let submit = async |fingerprint: &str| {
        test.store
            .submit(build("demo"), Some(token("t", fingerprint)))
            .await
    };
    let first = submit("x").await.unwrap();
    assert!(first.is_new);
    let same = submit("x").await.unwrap();
    assert_eq!(
        (same.build.id, same.is_new),
        (first.build.id.clone(), false)
    );
    assert!(matches!(submit("y").await, Err(StoreError::TokenMismatch)));
    let other_operation = IdempotencyToken {
        operation: Operation::RetryBuild,
        ..token("t", "y")
    };
    let retried = test
        .store
        .submit(build("demo"), Some(other_operation))
        .await;
    assert!(retried.unwrap().is_new);
    test.step(Duration::from_secs(290)).await;
    assert!(!submit("x").await.unwrap().is_new);
    test.step(TOKEN_LIFE).await;
    let later = submit("y").await.unwrap();
    assert!(later.is_new);
    assert_eq!(later.build.number, 3, "a repeated request takes no number");
}

async fn builds_are_listed_by_age_and_by_project(test: &TestStore) {
    let mut ids = Vec::new();
    for project in ["aa", "bb", "aa", "bb", "aa"] {
        ids.push(test.submit(project).await.id);
        test.step(Duration::from_millis(5)).await;
    }
    let list = async |project: Option<&str>, order| {
        let project = project.map(|name| name.parse().unwrap());
        let mut page = PageRequest {
            limit: 2,
            ..PageRequest::first(order)
        };
        let mut listed = Vec::new();
        loop {
            let part = test
                .store
                .list_builds(project.as_ref(), &page)
                .await
                .unwrap();
            listed.extend(part.entries);
            if part.next.is_none() {
                return listed;
            }
            page.after = part.next;
        }
    };
    assert_eq!(list(None, Order::Ascending).await, ids);
    assert_eq!(
        list(Some("aa"), Order::Descending).await,
        [ids[4].clone(), ids[2].clone(), ids[0].clone()]
    );
    assert_eq!(list(Some("cc"), Order::Descending).await, []);
    ids.reverse();
    assert_eq!(list(None, Order::Descending).await, ids);
}

async fn a_waiting_build_is_stopped_at_once(test: &TestStore) {
    let id = test.submit("demo").await.id;
    let stopped = test.store.stop(&id).await.unwrap().unwrap();
    assert_eq!(stopped.status, "STOPPED");
    assert!(stopped.ended_at.is_some());
    assert_eq!(stopped.record["buildComplete"], true);
    assert_eq!(stopped.record["phases"][1]["phaseStatus"], "STOPPED");
    assert_eq!(stopped.record["phases"][2]["phaseType"], "COMPLETED");
    assert_eq!(test.lease("one").await, None);
    // Once more changes nothing.
    assert_eq!(test.store.stop(&id).await.unwrap(), Some(stopped));
}

async fn a_running_build_is_asked_to_stop(test: &TestStore) {
    let id = test.submit("demo").await.id;
    let lease = test.lease("one").await.unwrap();
    let mut stops = test.store.changes().stops;
    let asked = test.store.stop(&id).await.unwrap().unwrap();
    assert_eq!(asked.status, "IN_PROGRESS");
    stops.changed().await.unwrap();
    let held = test.store.heartbeat(&agent("one"), &[], LIFE).await;
    assert!(held.unwrap()[0].is_stopping);
    test.store
        .finish(&lease.fence, ended(Status::Stopped))
        .await
        .unwrap();
    assert_eq!(test.build(&id).await.status, "STOPPED");
}

async fn a_build_that_is_over_is_forgotten(test: &TestStore) {
    let id = test.submit("demo").await.id;
    let delete = async || test.store.delete_build(&id).await.unwrap();
    assert_eq!(delete().await, Deletion::InProgress);
    let lease = test.lease("one").await.unwrap();
    assert_eq!(delete().await, Deletion::InProgress);
    test.store
        .finish(&lease.fence, ended(Status::Failed))
        .await
        .unwrap();
    assert_eq!(delete().await, Deletion::Deleted);
    assert_eq!(delete().await, Deletion::Unknown);
}

fn arn(request: &BuildRequest) -> String {
    request.arn(&format!("build/{}", request.id))
}

fn retried(limit: u32) -> NewBuild {
    NewBuild {
        request: request("demo", &json!({"autoRetryLimitOverride": limit})),
        ..build("demo")
    }
}

async fn a_failed_build_is_tried_again_as_often_as_it_may(test: &TestStore) {
    let first = test.submit_as(retried(2)).await;
    let mut before = arn(&first.request);
    for number in 0..=2 {
        let lease = test.lease("one").await.unwrap();
        let outcome = Ended {
            record: lease.record.clone(),
            ..ended(Status::Failed)
        };
        test.store.finish(&lease.fence, outcome).await.unwrap();
        let config = test.build(&lease.fence.build).await.record["autoRetryConfig"].clone();
        assert_eq!(config["autoRetryNumber"], number, "{config}");
        if number > 0 {
            assert_eq!(config["previousAutoRetry"], before);
        }
        before = arn(&lease.request);
        let next = config["nextAutoRetry"].as_str();
        assert_eq!(next.is_some(), number < 2, "{config}");
    }
    assert_eq!(test.lease("one").await, None);
}

async fn a_build_that_was_stopped_is_not_tried_again(test: &TestStore) {
    for status in [Status::Stopped, Status::Succeeded] {
        test.submit_as(retried(2)).await;
        let lease = test.lease("one").await.unwrap();
        test.store
            .finish(&lease.fence, ended(status))
            .await
            .unwrap();
        assert_eq!(test.lease("one").await, None);
    }
}

async fn a_build_whose_agent_was_lost_is_tried_again(test: &TestStore) {
    let first = test.submit_as(retried(1)).await;
    let lease = test.lease("one").await.unwrap();
    let written = test
        .store
        .progress(&lease.fence, lease.record.clone(), true)
        .await;
    written.unwrap();
    let lost = test
        .store
        .give_up(&lease.fence, "gone", CommandsRan::MaybeSo)
        .await;
    lost.unwrap();
    let first = test.build(&first.id).await;
    assert_eq!(first.status, "FAULT");
    let next = test.lease("two").await.unwrap();
    assert_eq!(
        first.record["autoRetryConfig"]["nextAutoRetry"],
        arn(&next.request)
    );
    let config = json!({"autoRetryLimit": 1, "autoRetryNumber": 1,
        "previousAutoRetry": arn(&first.request)});
    assert_eq!(next.record["autoRetryConfig"], config);
    assert_eq!(next.request.build_number, 2);
    // What the second one says of itself is kept by whoever runs it.
    let outcome = Ended {
        record: next.record.clone(),
        ..ended(Status::Failed)
    };
    test.store.finish(&next.fence, outcome).await.unwrap();
    assert_eq!(
        test.build(&next.fence.build).await.record["autoRetryConfig"],
        config
    );
    assert_eq!(test.lease("one").await, None, "the limit is reached");
}

async fn a_build_that_waited_too_long_or_is_of_a_pipeline_is_not_tried_again(test: &TestStore) {
    let waits = test.submit_as(retried(2)).await;
    test.step(Duration::from_hours(9)).await;
    assert_eq!(test.store.sweep().await.unwrap().timed_out, 1);
    assert_eq!(test.build(&waits.id).await.status, "TIMED_OUT");
    assert_eq!(test.lease("one").await, None);
    let mut of_pipeline = retried(2);
    of_pipeline.request.source =
        SourceLocation::Project(ProjectSource::of_type(SourceType::Codepipeline));
    test.submit_as(of_pipeline).await;
    let lease = test.lease("one").await.unwrap();
    test.store
        .finish(&lease.fence, ended(Status::Failed))
        .await
        .unwrap();
    assert_eq!(test.lease("one").await, None);
}

async fn a_build_beyond_the_limit_can_be_refused(test: &TestStore) {
    test.project("demo", Some(1)).await;
    let strict = || NewBuild {
        at_limit: AtLimit::Reject,
        ..build("demo")
    };
    let first = test.submit_as(strict()).await;
    let refused = test.store.submit(strict(), Some(token("t", "x"))).await;
    assert!(matches!(
        refused,
        Err(StoreError::LimitReached { limit: 1, .. })
    ));
    test.store.stop(&first.id).await.unwrap();
    // Neither the number nor the token of the refused one is taken.
    let second = test
        .store
        .submit(strict(), Some(token("t", "y")))
        .await
        .unwrap();
    assert_eq!(second.build.number, 2);
}
