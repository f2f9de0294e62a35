//! A store of an older version opens with what is in it.

use agent::model::Status;
use agent::store::{self, Kind, Order, PageRequest};
use serde_json::json;
use tests::stores::{Engine, TestStore, run};

use super::builds::ended;

promises!(opening_again_keeps_everything);

async fn opening_again_keeps_everything(test: &TestStore) {
    test.project("demo", Some(1)).await;
    let build = test.submit("demo").await;
    let again = test.opened_again().await;
    let found = again.builds(std::slice::from_ref(&build.id)).await.unwrap();
    assert_eq!(found, [build]);
}

#[tokio::test]
async fn a_store_of_the_first_version_is_brought_up_to_date() {
    for (engine, first) in [
        (Engine::Sqlite, include_str!("first-version/sqlite.sql")),
        (Engine::Postgres, include_str!("first-version/postgres.sql")),
    ] {
        let test = TestStore::holding(engine, first).await;
        let project = test
            .store
            .resources(Kind::Project, &["demo".to_owned()])
            .await;
        assert_eq!(project.unwrap()[0].body, json!({"name": "demo"}));
        let lease = test.lease("one").await.expect("a build waits");
        assert_eq!(lease.request.build_number, 1);
        let outcome = ended(Status::Succeeded);
        test.store.finish(&lease.fence, outcome).await.unwrap();
        assert_eq!(test.submit("demo").await.number, 3);
        let page = PageRequest::first(Order::Ascending);
        let listed = test.store.list_builds(None, &page).await.unwrap();
        assert_eq!(listed.entries.len(), 3);
    }
}

#[tokio::test]
async fn only_its_owner_can_read_an_embedded_store() {
    use std::os::unix::fs::PermissionsExt;
    let test = TestStore::new(Engine::Sqlite).await;
    test.submit("demo").await;
    let file = test.address.strip_prefix("sqlite:").unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let metadata = std::fs::metadata(format!("{file}{suffix}")).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{suffix}");
    }
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_left_alone() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let test = TestStore::new(engine).await;
        run(
            &test.address,
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             SELECT 99990, 'future', success, checksum, 0 FROM _sqlx_migrations LIMIT 1",
        )
        .await;
        let error = store::open(&test.address).await.unwrap_err();
        let error = format!("{:#}", anyhow::Error::from(error));
        assert!(error.contains("99990"), "{error}");
    }
}
