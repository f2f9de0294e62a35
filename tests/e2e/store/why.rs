//! `why`: what a build waits for.

use std::time::Duration;

use agent::model::{EnvironmentType, Status};
use agent::store::{AgentDescription, Answer, NewBuild, StoredBuild, Waiting};
use serde_json::json;
use tests::stores::{LIFE, TestStore, agent, build, request, resources};

use super::builds::ended;

promises!(
    a_build_without_an_agent_says_so,
    a_build_too_large_for_every_agent_says_so,
    a_build_held_back_by_its_projects_limit_says_so,
    a_build_behind_others_says_how_many,
    a_closed_agent_is_named,
    a_running_build_and_one_that_is_over_say_so,
);

async fn reasons(test: &TestStore, build: &StoredBuild) -> Vec<Waiting> {
    match test.store.why(&build.id).await.unwrap().unwrap().answer {
        Answer::Waiting { reasons, .. } => reasons,
        other => panic!("it waits: {other:?}"),
    }
}

async fn beat(test: &TestStore, agent: &AgentDescription) {
    test.store.heartbeat(agent, &[], LIFE).await.unwrap();
}

async fn a_build_without_an_agent_says_so(test: &TestStore) {
    let waiting = test.submit("demo").await;
    let nobody = [Waiting::NoAgent {
        environment_type: EnvironmentType::LinuxContainer,
        fleet: None,
    }];
    assert_eq!(reasons(test, &waiting).await, nobody);
    let mut reserved = agent("one");
    reserved.on_demand = false;
    beat(test, &reserved).await;
    assert_eq!(reasons(test, &waiting).await, nobody);
    beat(test, &agent("two")).await;
    assert_eq!(reasons(test, &waiting).await, []);
    test.step(Duration::from_mins(3)).await;
    assert_eq!(reasons(test, &waiting).await, nobody, "it was not heard of");
}

async fn a_build_too_large_for_every_agent_says_so(test: &TestStore) {
    let mut small = agent("one");
    small.capacity = resources(2, 4);
    beat(test, &small).await;
    let large = NewBuild {
        request: request(
            "demo",
            &json!({"computeTypeOverride": "BUILD_GENERAL1_LARGE"}),
        ),
        ..build("demo")
    };
    let waiting = test.submit_as(large).await;
    let too_large = Waiting::TooLarge {
        needs: resources(8, 16),
        largest: resources(2, 4),
    };
    assert_eq!(reasons(test, &waiting).await, [too_large]);
}

async fn a_build_held_back_by_its_projects_limit_says_so(test: &TestStore) {
    beat(test, &agent("one")).await;
    test.project("demo", Some(1)).await;
    test.submit("demo").await;
    let waiting = test.submit("demo").await;
    test.lease("one").await.unwrap();
    let limit = Waiting::ConcurrentLimit {
        limit: 1,
        running: 1,
    };
    assert!(reasons(test, &waiting).await.contains(&limit));
}

async fn a_build_behind_others_says_how_many(test: &TestStore) {
    beat(test, &agent("one")).await;
    for _ in 0..3 {
        test.submit("demo").await;
    }
    let waiting = test.submit("demo").await;
    test.lease("one").await.unwrap();
    let why = test.store.why(&waiting.id).await.unwrap().unwrap();
    let Answer::Waiting {
        ahead,
        reasons,
        since,
        until,
    } = why.answer
    else {
        panic!("it waits");
    };
    assert_eq!(ahead, 2);
    assert_eq!(since, waiting.submitted_at);
    assert_eq!(until.duration_since(since).as_mins(), 480);
    let busy = Waiting::Busy {
        agents: 1,
        running: 1,
    };
    assert_eq!(reasons, [busy]);
}

async fn a_closed_agent_is_named(test: &TestStore) {
    let waiting = test.submit("demo").await;
    let mut full = agent("one");
    full.closed = Some("its disk is full".to_owned());
    beat(test, &full).await;
    let closed = Waiting::Closed {
        agent: "one".to_owned(),
        reason: "its disk is full".to_owned(),
    };
    assert_eq!(reasons(test, &waiting).await, [closed]);
}

async fn a_running_build_and_one_that_is_over_say_so(test: &TestStore) {
    let build = test.submit("demo").await;
    let lease = test.lease("one").await.unwrap();
    let answer = async || test.store.why(&build.id).await.unwrap().unwrap().answer;
    let running = answer().await;
    assert!(
        matches!(&running, Answer::Running { agent, attempt: 1, .. } if agent == "one"),
        "{running:?}"
    );
    test.store
        .finish(&lease.fence, ended(Status::Failed))
        .await
        .unwrap();
    let over = Answer::Over {
        status: "FAILED".to_owned(),
    };
    assert_eq!(answer().await, over);
}
