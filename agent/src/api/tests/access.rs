//! Who may do what.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Service, project};
use crate::api::{GuardedOverride, IssuedKey, NewKey, Role, issue_key};

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table, and what follows from it")]
async fn a_key_may_do_what_its_role_and_its_conditions_allow() {
    let service = Service::with_project().await;
    let read = service.issue(Role::Read, &[]).await;
    let start = service.issue(Role::Start, &[GuardedOverride::Image]).await;
    let admin = service.issue(Role::Admin, &[]).await;
    let build = json!({"projectName": "demo"});
    let overridden = |member: &str, value: &str| json!({"projectName": "demo", member: value});
    for (label, key, operation, input, expected) in [
        ("read looks", &read, "ListBuilds", json!({}), Ok(())),
        (
            "read does not start",
            &read,
            "StartBuild",
            build.clone(),
            Err("AccessDeniedException"),
        ),
        ("start starts", &start, "StartBuild", build.clone(), Ok(())),
        (
            "start makes no project",
            &start,
            "CreateProject",
            project("other"),
            Err("AccessDeniedException"),
        ),
        (
            "a condition that holds",
            &start,
            "StartBuild",
            overridden("imageOverride", "a:1"),
            Ok(()),
        ),
        (
            "one that does not",
            &start,
            "StartBuild",
            overridden("buildspecOverride", "version: 0.2"),
            Err("AccessDeniedException"),
        ),
        (
            "admin makes a project",
            &admin,
            "CreateProject",
            project("other"),
            Ok(()),
        ),
    ] {
        let ended = service.signed(key, operation, input).await;
        let code = ended.map(drop).map_err(|(code, _)| code);
        assert_eq!(code, expected.map_err(str::to_owned), "{label}");
    }
    // From now on nobody is let in without.
    let error = service.call("ListBuilds", json!({})).await.unwrap_err();
    assert_eq!(error.0, "MissingAuthenticationTokenException");
    let stranger = IssuedKey {
        access_key_id: "AKIAUNKNOWN".to_owned(),
        ..admin
    };
    let error = service
        .signed(&stranger, "ListBuilds", json!({}))
        .await
        .unwrap_err();
    assert_eq!(
        error,
        (
            "UnrecognizedClientException".to_owned(),
            "The security token included in the request is invalid.".to_owned()
        )
    );
    let mut throttled = 0;
    for _ in 0..20 {
        if let Err(error) = service.signed(&read, "ListBuilds", json!({})).await {
            assert_eq!(
                error,
                ("ThrottlingException".to_owned(), "Rate exceeded".to_owned())
            );
            throttled += 1;
        }
    }
    assert!(throttled > 0, "twice the rate is the most at once");
    let audit = std::fs::read_to_string(service.directory.path().join("audit.jsonl")).unwrap();
    let lines: Vec<Value> = audit
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let denied = lines
        .iter()
        .find(|line| line["error"] == "AccessDeniedException")
        .unwrap();
    assert_eq!(
        (&denied["action"], &denied["resource"]),
        (&json!("codebuild:StartBuild"), &json!("demo"))
    );
    assert_eq!(denied["caller"], "Read");
    assert!(
        lines
            .iter()
            .all(|line| line["action"] != "codebuild:ListBuilds"),
        "reading is not written down"
    );
}

#[tokio::test]
async fn a_key_with_an_end_needs_its_session_token() {
    let service = Service::start().await;
    let new = NewKey {
        name: "guest".to_owned(),
        role: Role::Read,
        may_override: BTreeSet::new(),
        may_attach: false,
        valid_for: Some(Duration::from_hours(1)),
    };
    let key = issue_key(service.store.as_ref(), &service.vault, new)
        .await
        .unwrap();
    assert!(key.access_key_id.starts_with("ASIA") && key.session_token.is_some());
    let error = service
        .signed(&key, "ListBuilds", json!({}))
        .await
        .unwrap_err();
    assert_eq!(
        error.0, "UnrecognizedClientException",
        "the token is missing"
    );
}
