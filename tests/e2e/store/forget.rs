//! What was over long ago is forgotten.

use std::time::Duration;

use agent::model::Status;
use agent::store::{Ended, Forgotten, NewReport, Order, PageRequest, ReportFilter};
use serde_json::json;
use tests::stores::{LIFE, TestStore, agent};

use super::builds::ended;

promises!(
    builds_go_some_time_after_their_end_and_their_numbers_do_not_come_again,
    reports_go_after_thirty_days,
    agents_go_that_nobody_has_heard_of,
);

const DAY: Duration = Duration::from_hours(24);

async fn builds_go_some_time_after_their_end_and_their_numbers_do_not_come_again(test: &TestStore) {
    let [old, waits, runs] = ["demo", "demo", "other"].map(|project| test.submit(project));
    let old = old.await;
    let lease = test.lease("one").await.unwrap();
    assert_eq!(lease.fence.build, old.id);
    let _ = test.store.finish(&lease.fence, ended(Status::Failed)).await;
    let runs = runs.await;
    assert_eq!(test.lease("one").await.unwrap().fence.build, runs.id);
    let waits = waits.await;
    test.step(DAY * 3).await;
    let late = test.submit("demo").await;
    test.store.stop(&late.id).await.unwrap();

    assert_eq!(
        test.store.forget(DAY * 4).await.unwrap(),
        Forgotten::default()
    );
    let forgotten = test.store.forget(DAY * 3).await.unwrap();
    assert_eq!(forgotten.builds, 1);
    let page = PageRequest::first(Order::Ascending);
    let left = test.store.list_builds(None, &page).await.unwrap().entries;
    assert_eq!(
        left,
        [runs.id, waits.id, late.id],
        "what is not over stays, however old"
    );
    assert!(test.store.forget(DAY * 3).await.unwrap().is_nothing());
    assert_eq!(test.submit("demo").await.number, 4);
}

async fn reports_go_after_thirty_days(test: &TestStore) {
    let report = |arn: &str| NewReport {
        arn: arn.to_owned(),
        group_arn: "group".to_owned(),
        status: "SUCCEEDED".to_owned(),
        report: json!({}),
        details: json!({}),
    };
    for arn in ["first", "second"] {
        let build = test.submit("demo").await;
        let lease = test.lease("one").await.unwrap();
        assert_eq!(lease.fence.build, build.id);
        let outcome = Ended {
            reports: vec![report(arn)],
            ..ended(Status::Succeeded)
        };
        test.store.finish(&lease.fence, outcome).await.unwrap();
        test.step(DAY * 20).await;
    }
    let forgotten = test.store.forget(DAY * 365).await.unwrap();
    assert_eq!((forgotten.builds, forgotten.reports), (0, 1));
    let (filter, page) = (
        ReportFilter::default(),
        PageRequest::first(Order::Ascending),
    );
    let left = test.store.list_reports(&filter, &page).await.unwrap();
    assert_eq!(left.entries, ["second"]);
}

async fn agents_go_that_nobody_has_heard_of(test: &TestStore) {
    let beat = async |id: &str| {
        let held = test.store.heartbeat(&agent(id), &[], LIFE).await;
        held.unwrap();
    };
    beat("gone").await;
    beat("holds").await;
    test.submit("demo").await;
    assert!(test.lease("holds").await.is_some());
    test.step(DAY * 7).await;
    beat("alive").await;
    let forgotten = test.store.forget(DAY * 365).await.unwrap();
    assert_eq!(forgotten.agents, 1);
    let left = test.store.agents().await.unwrap();
    let left: Vec<_> = left.iter().map(|(agent, _)| agent.id.as_str()).collect();
    assert_eq!(left, ["alive", "holds"], "one has a lease to answer for");
}
