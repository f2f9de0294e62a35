//! In which order builds go out, and to whom.

use std::time::Duration;

use agent::model::{EnvironmentType, Status};
use agent::store::{CommandsRan, Kind, NewBuild, Offer, StoredBuild};
use serde_json::json;
use tests::stores::{PATIENCE, TestStore, build, offer, request, resources};

use super::builds::ended;

promises!(
    the_oldest_goes_first_and_the_important_before_it,
    projects_take_turns,
    a_newcomer_does_not_wait_for_a_long_queue,
    a_limit_holds_builds_back_until_one_ends,
    a_limit_lets_the_important_build_of_its_project_first,
    a_changed_limit_counts_at_once,
    a_fleet_gets_its_builds_and_no_others,
    an_environment_type_finds_its_agents,
    an_agent_takes_what_fits_into_what_is_free,
    a_large_build_is_not_overtaken_for_ever,
    an_agent_that_shrinks_builds_runs_them_with_all_it_has,
    a_closed_agent_gets_nothing,
);

/// The projects of the builds that go out next.
async fn leased(test: &TestStore, count: usize) -> Vec<String> {
    let mut projects = Vec::new();
    for _ in 0..count {
        let lease = test.lease("one").await.expect("something waits");
        projects.push(lease.fence.build.project.to_string());
    }
    projects
}

fn sized(project: &str, compute_type: &str) -> NewBuild {
    NewBuild {
        request: request(project, &json!({"computeTypeOverride": compute_type})),
        ..build(project)
    }
}

fn important(project: &str) -> NewBuild {
    NewBuild {
        priority: 1,
        ..build(project)
    }
}

async fn the_oldest_goes_first_and_the_important_before_it(test: &TestStore) {
    let mut expected = Vec::new();
    for _ in 0..3 {
        expected.push(test.submit("demo").await.id);
    }
    expected.insert(0, test.submit_as(important("demo")).await.id);
    for id in expected {
        let lease = test.lease("one").await.unwrap();
        assert_eq!((lease.fence.build, lease.fence.attempt), (id, 1));
    }
    assert_eq!(test.lease("one").await, None);
}

async fn projects_take_turns(test: &TestStore) {
    for project in ["aa", "aa", "aa", "aa", "bb", "bb", "cc"] {
        test.submit(project).await;
        test.step(Duration::from_millis(2)).await;
    }
    assert_eq!(
        leased(test, 7).await,
        ["aa", "bb", "cc", "aa", "bb", "aa", "aa"]
    );
}

async fn a_newcomer_does_not_wait_for_a_long_queue(test: &TestStore) {
    for _ in 0..20 {
        test.submit("aa").await;
    }
    assert_eq!(leased(test, 10).await, ["aa"; 10]);
    test.step(Duration::from_millis(2)).await;
    test.submit("bb").await;
    test.submit("bb").await;
    assert_eq!(leased(test, 4).await, ["bb", "aa", "bb", "aa"]);
}

async fn a_limit_holds_builds_back_until_one_ends(test: &TestStore) {
    test.project("demo", Some(2)).await;
    for _ in 0..4 {
        test.submit("demo").await;
    }
    let first = test.lease("one").await.unwrap();
    let second = test.lease("two").await.unwrap();
    assert_eq!(test.lease("one").await, None);
    let mut work = test.store.changes().work;
    test.store
        .finish(&first.fence, ended(Status::Succeeded))
        .await
        .unwrap();
    work.changed().await.unwrap();
    let third = test.lease("one").await.unwrap();
    assert_eq!(test.lease("one").await, None);
    // A build that waits again keeps its place.
    test.store
        .give_up(&second.fence, "why", CommandsRan::MaybeSo)
        .await
        .unwrap();
    let again = test.lease("one").await.unwrap();
    assert_eq!(again.fence.build, second.fence.build);
    assert_eq!(again.fence.attempt, 2);
    assert_eq!(test.lease("one").await, None);
    test.store.stop(&third.fence.build).await.unwrap();
    assert_eq!(test.lease("one").await, None, "it still runs");
}

async fn a_limit_lets_the_important_build_of_its_project_first(test: &TestStore) {
    test.project("demo", Some(1)).await;
    test.submit("demo").await;
    let urgent = test.submit_as(important("demo")).await;
    let lease = test.lease("one").await.unwrap();
    assert_eq!(lease.fence.build, urgent.id);
    assert_eq!(test.lease("one").await, None);
}

async fn a_changed_limit_counts_at_once(test: &TestStore) {
    test.project("demo", Some(1)).await;
    for _ in 0..5 {
        test.submit("demo").await;
    }
    leased(test, 1).await;
    let limit = async |limit: i32| {
        let body = json!({"concurrentBuildLimit": limit});
        let updated = test.store.update_resource(Kind::Project, "demo", body);
        updated.await.unwrap();
    };
    limit(3).await;
    limit(2).await;
    leased(test, 1).await;
    assert_eq!(test.lease("one").await, None);
    limit(-1).await;
    leased(test, 3).await;
}

async fn a_fleet_gets_its_builds_and_no_others(test: &TestStore) {
    let arn =
        "arn:aws:codebuild:us-east-1:123456789012:fleet/large:0f0e0d0c-0b0a-0908-0706-050403020100";
    let of_fleet = NewBuild {
        request: request("fleet", &json!({"fleetOverride": {"fleetArn": arn}})),
        ..build("fleet")
    };
    test.submit_as(of_fleet).await;
    assert_eq!(test.lease("one").await, None);
    test.submit("demand").await;
    let mut reserved = offer("two");
    reserved.agent.fleets = vec!["large".to_owned()];
    reserved.agent.on_demand = false;
    let lease = async |offer: &Offer| test.store.lease(offer).await.unwrap();
    let leased = lease(&reserved).await.unwrap();
    assert_eq!(leased.fence.build.project.to_string(), "fleet");
    assert_eq!(lease(&reserved).await, None);
    reserved.agent.on_demand = true;
    assert!(lease(&reserved).await.is_some());
}

async fn an_environment_type_finds_its_agents(test: &TestStore) {
    let arm = NewBuild {
        request: request("arm", &json!({"environmentTypeOverride": "ARM_CONTAINER"})),
        ..build("arm")
    };
    test.submit_as(arm).await;
    assert_eq!(test.lease("one").await, None);
    let mut offer = offer("two");
    offer.agent.environment_types = vec![EnvironmentType::ArmContainer];
    assert!(test.store.lease(&offer).await.unwrap().is_some());
}

async fn an_agent_takes_what_fits_into_what_is_free(test: &TestStore) {
    let large = test.submit_as(sized("large", "BUILD_GENERAL1_LARGE")).await;
    let small = test.submit_as(sized("small", "BUILD_GENERAL1_SMALL")).await;
    let mut offer = offer("one");
    offer.agent.capacity = resources(8, 16);
    for (label, free) in [
        ("processors", resources(1, 16)),
        ("memory", resources(8, 3)),
    ] {
        offer.free = free;
        assert_eq!(test.store.lease(&offer).await.unwrap(), None, "{label}");
    }
    offer.free = resources(2, 4);
    let lease = test.store.lease(&offer).await.unwrap().unwrap();
    assert_eq!(
        (lease.fence.build, lease.resources),
        (small.id, resources(2, 4))
    );
    offer.free = resources(8, 16);
    let lease = test.store.lease(&offer).await.unwrap().unwrap();
    assert_eq!(lease.fence.build, large.id);
}

async fn a_large_build_is_not_overtaken_for_ever(test: &TestStore) {
    let submit = async |compute_type: &str| -> StoredBuild {
        test.submit_as(sized("demo", compute_type)).await
    };
    let large = submit("BUILD_GENERAL1_LARGE").await;
    submit("BUILD_GENERAL1_SMALL").await;
    submit("BUILD_GENERAL1_SMALL").await;
    let mut offer = offer("one");
    offer.agent.capacity = resources(8, 16);
    offer.free = resources(4, 8);
    assert!(test.store.lease(&offer).await.unwrap().is_some());
    test.step(PATIENCE + Duration::from_secs(1)).await;
    assert_eq!(test.store.lease(&offer).await.unwrap(), None);
    // An agent that can never run it does not hold back for it.
    let mut smaller = offer.clone();
    smaller.agent.capacity = resources(4, 8);
    let lease = test.store.lease(&smaller).await.unwrap().unwrap();
    assert_ne!(lease.fence.build, large.id);
    offer.free = resources(8, 16);
    let lease = test.store.lease(&offer).await.unwrap().unwrap();
    assert_eq!(lease.fence.build, large.id);
}

async fn an_agent_that_shrinks_builds_runs_them_with_all_it_has(test: &TestStore) {
    test.submit_as(sized("demo", "BUILD_GENERAL1_2XLARGE"))
        .await;
    let mut offer = offer("one");
    offer.agent.capacity = resources(4, 8);
    offer.free = resources(4, 8);
    assert_eq!(test.store.lease(&offer).await.unwrap(), None);
    offer.agent.shrinks = true;
    let lease = test.store.lease(&offer).await.unwrap().unwrap();
    assert_eq!(lease.resources, resources(4, 8));
}

async fn a_closed_agent_gets_nothing(test: &TestStore) {
    test.submit("demo").await;
    let mut offer = offer("one");
    offer.agent.closed = Some("it is being shut down".to_owned());
    assert_eq!(test.store.lease(&offer).await.unwrap(), None);
}
