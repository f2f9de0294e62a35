//! What is kept by name, and reports.

use std::time::Duration;

use agent::store::{
    Ended, Kind, NewReport, Order, Page, PageRequest, ReportFilter, ResourceSort, StoreError,
};
use serde_json::json;
use tests::stores::TestStore;

promises!(
    a_resource_is_kept_by_its_name,
    a_change_that_would_undo_another_one_does_not_happen,
    kinds_do_not_know_each_other,
    names_are_listed_in_every_order,
    a_list_comes_in_pages,
    reports_are_listed_by_group_and_status,
);

async fn a_resource_is_kept_by_its_name(test: &TestStore) {
    let store = &test.store;
    let made = store
        .create_resource(Kind::Project, "demo", json!({"a": 1}))
        .await
        .unwrap();
    assert_eq!(
        (made.created_at, &made.body),
        (made.modified_at, &json!({"a": 1}))
    );
    let again = store
        .create_resource(Kind::Project, "demo", json!({}))
        .await;
    assert!(matches!(again, Err(StoreError::AlreadyExists { name, .. }) if name == "demo"));
    test.step(Duration::from_secs(1)).await;
    let changed = store
        .update_resource(Kind::Project, "demo", json!({"b": "ä\u{0}'"}))
        .await;
    // A character that PostgreSQL cannot keep is escaped in a document.
    let changed = changed.unwrap();
    assert!(changed.modified_at > changed.created_at);
    assert_eq!(changed.created_at, made.created_at);
    let names = ["demo".to_owned(), "other".to_owned()];
    assert_eq!(
        store.resources(Kind::Project, &names).await.unwrap(),
        [changed]
    );
    assert!(store.delete_resource(Kind::Project, "demo").await.unwrap());
    assert!(!store.delete_resource(Kind::Project, "demo").await.unwrap());
    let gone = store
        .update_resource(Kind::Project, "demo", json!({}))
        .await;
    assert!(matches!(gone, Err(StoreError::NotFound { .. })));
}

async fn a_change_that_would_undo_another_one_does_not_happen(test: &TestStore) {
    let store = &test.store;
    let made = store
        .create_resource(Kind::Project, "demo", json!({"a": 1}))
        .await
        .unwrap();
    // The clock of the test stands still: the changes are of the same millisecond.
    let change = |body| store.replace_resource(Kind::Project, &made, body);
    let changed = change(json!({"a": 2})).await.unwrap();
    let changed = changed.expect("nobody has changed it");
    assert!(changed.modified_at > made.modified_at);
    assert_eq!(change(json!({"a": 3})).await.unwrap(), None);
    let of_newer = store.replace_resource(Kind::Project, &changed, json!({"a": 4}));
    assert_eq!(of_newer.await.unwrap().unwrap().body, json!({"a": 4}));
    store.delete_resource(Kind::Project, "demo").await.unwrap();
    assert_eq!(change(json!({})).await.unwrap(), None);
}

async fn kinds_do_not_know_each_other(test: &TestStore) {
    let store = &test.store;
    for kind in [
        Kind::Project,
        Kind::ReportGroup,
        Kind::SourceCredential,
        Kind::Fleet,
    ] {
        store
            .create_resource(kind, "same", json!({}))
            .await
            .unwrap();
    }
    store.delete_resource(Kind::Fleet, "same").await.unwrap();
    let names = ["same".to_owned()];
    assert_eq!(store.resources(Kind::Fleet, &names).await.unwrap(), []);
    let left = store
        .resources(Kind::SourceCredential, &names)
        .await
        .unwrap();
    assert_eq!(left.len(), 1);
}

async fn names_are_listed_in_every_order(test: &TestStore) {
    for name in ["b-2", "a_1", "Z"] {
        test.project(name, None).await;
        test.step(Duration::from_secs(1)).await;
    }
    let body = json!({"name": "b-2"});
    let updated = test.store.update_resource(Kind::Project, "b-2", body).await;
    updated.unwrap();
    for (sort, ascending) in [
        (ResourceSort::Name, ["Z", "a_1", "b-2"]),
        (ResourceSort::Created, ["b-2", "a_1", "Z"]),
        (ResourceSort::Modified, ["a_1", "Z", "b-2"]),
    ] {
        let list = async |order| {
            let page = PageRequest::first(order);
            let listed = test.store.list_resources(Kind::Project, sort, &page).await;
            listed.unwrap().entries
        };
        assert_eq!(list(Order::Ascending).await, ascending, "{sort:?}");
        let mut descending = ascending;
        descending.reverse();
        assert_eq!(list(Order::Descending).await, descending, "{sort:?}");
    }
}

async fn a_list_comes_in_pages(test: &TestStore) {
    for number in 0..5 {
        test.project(&format!("project-{number}"), None).await;
    }
    for sort in [ResourceSort::Name, ResourceSort::Created] {
        let mut page = PageRequest {
            limit: 2,
            ..PageRequest::first(Order::Descending)
        };
        let mut listed = Vec::new();
        loop {
            let part = test.store.list_resources(Kind::Project, sort, &page).await;
            let Page { entries, next } = part.unwrap();
            assert!(entries.len() <= 2);
            listed.extend(entries);
            match next {
                Some(next) => page.after = Some(next),
                None => break,
            }
        }
        let expected: Vec<_> = (0..5)
            .rev()
            .map(|number| format!("project-{number}"))
            .collect();
        assert_eq!(listed.len(), 5);
        if sort == ResourceSort::Name {
            assert_eq!(listed, expected);
        }
    }
    let page = PageRequest {
        after: Some("nonsense".to_owned()),
        ..PageRequest::first(Order::Ascending)
    };
    let refused = test
        .store
        .list_resources(Kind::Project, ResourceSort::Name, &page)
        .await;
    assert!(matches!(refused, Err(StoreError::InvalidToken)));
}

async fn reports_are_listed_by_group_and_status(test: &TestStore) {
    test.submit("demo").await;
    let lease = test.lease("one").await.unwrap();
    let report = |number: u32, group: &str, status: &str| NewReport {
        arn: format!("report-{number}"),
        group_arn: group.to_owned(),
        status: status.to_owned(),
        report: json!({"number": number}),
        details: json!({"testCases": [number]}),
    };
    let ended = Ended {
        status: agent::model::Status::Succeeded,
        record: json!({}),
        reports: vec![
            report(1, "a", "SUCCEEDED"),
            report(2, "a", "FAILED"),
            report(3, "b", "FAILED"),
        ],
        report_groups: vec![("a".to_owned(), json!({"made": true}))],
    };
    test.store.finish(&lease.fence, ended).await.unwrap();
    let list = async |group: Option<&str>, status: Option<&str>| {
        let filter = ReportFilter {
            group_arn: group.map(str::to_owned),
            status: status.map(str::to_owned),
        };
        let page = PageRequest::first(Order::Ascending);
        test.store
            .list_reports(&filter, &page)
            .await
            .unwrap()
            .entries
    };
    assert_eq!(list(None, None).await, ["report-1", "report-2", "report-3"]);
    assert_eq!(list(Some("a"), None).await, ["report-1", "report-2"]);
    assert_eq!(list(None, Some("FAILED")).await, ["report-2", "report-3"]);
    assert_eq!(list(Some("a"), Some("FAILED")).await, ["report-2"]);
    let arns = ["report-2".to_owned(), "none".to_owned()];
    let found = test.store.reports(&arns).await.unwrap();
    assert_eq!((found.len(), &found[0].report), (1, &json!({"number": 2})));
    let details = test.store.report_details("report-3").await.unwrap();
    assert_eq!(details, Some(json!({"testCases": [3]})));
    assert!(test.store.delete_report("report-3").await.unwrap());
    assert_eq!(list(Some("b"), None).await, [""; 0]);
    let groups = test
        .store
        .resources(Kind::ReportGroup, &["a".to_owned()])
        .await;
    assert_eq!(groups.unwrap()[0].body, json!({"made": true}));
}
