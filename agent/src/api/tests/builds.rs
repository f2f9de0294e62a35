//! Builds: started, found, listed, stopped, and what is said of those that are not there.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{Form, Service, request};

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story, told to its end")]
async fn a_build_is_started_found_stopped_and_forgotten() {
    let service = Service::with_project().await;
    let input = json!({
        "projectName": "demo", "sourceVersion": "", "timeoutInMinutesOverride": 7,
        "environmentVariablesOverride": [{"name": "A", "value": "override", "type": "PLAINTEXT"}, {"name": "C", "value": "c"}],
    });
    let build = service.call("StartBuild", input).await.unwrap()["build"].take();
    let id = build["id"].as_str().unwrap().to_owned();
    assert_eq!(
        build["arn"],
        format!("arn:aws:codebuild:us-east-1:123456789012:build/{id}")
    );
    for (pointer, expected) in [
        ("/buildNumber", json!(1)),
        ("/buildStatus", json!("IN_PROGRESS")),
        ("/buildComplete", json!(false)),
        ("/currentPhase", json!("QUEUED")),
        ("/phases/0/phaseStatus", json!("SUCCEEDED")),
        ("/phases/1/phaseType", json!("QUEUED")),
        ("/timeoutInMinutes", json!(7)),
        ("/artifacts", json!({"location": ""})),
        ("/secondarySources", json!([])),
        ("/logs/groupName", json!("/aws/codebuild/demo")),
        ("/logs/streamName", json!(id.split(':').nth(1))),
        ("/initiator", json!("local")),
        (
            "/environment/environmentVariables",
            json!([
                {"name": "B", "value": "", "type": "PLAINTEXT"},
                {"name": "A", "value": "override", "type": "PLAINTEXT"},
                {"name": "C", "value": "c", "type": "PLAINTEXT"},
            ]),
        ),
    ] {
        assert_eq!(build.pointer(pointer), Some(&expected), "{pointer}");
    }
    assert_eq!(build.get("sourceVersion"), None);
    assert_eq!(build.get("endTime"), None);
    let ids = json!({"ids": [format!("demo:{}", uuid::Uuid::nil()), build["arn"], "demo:nope"]});
    let found = service.call("BatchGetBuilds", ids).await.unwrap();
    assert_eq!(found["builds"], json!([build]));
    assert_eq!(
        found["buildsNotFound"],
        json!([format!("demo:{}", uuid::Uuid::nil()), "demo:nope"])
    );
    let one = json!({"ids": [id]});
    let kept = service
        .call("BatchDeleteBuilds", one.clone())
        .await
        .unwrap();
    assert_eq!(
        kept["buildsNotDeleted"][0]["statusCode"],
        "BUILD_IN_PROGRESS"
    );
    let stopped = service.call("StopBuild", json!({"id": id})).await.unwrap()["build"].take();
    assert_eq!(
        (&stopped["buildStatus"], &stopped["buildComplete"]),
        (&json!("STOPPED"), &json!(true))
    );
    let again = service.call("StopBuild", json!({"id": id})).await.unwrap();
    assert_eq!(
        again["build"], stopped,
        "a build that is over stays as it is"
    );
    let retried = service.call("RetryBuild", json!({"id": id})).await.unwrap()["build"].take();
    assert_eq!(retried["buildNumber"], 2);
    assert_eq!(retried["environment"], build["environment"]);
    assert_ne!(retried["id"], build["id"]);
    let list = json!({"projectName": "demo"});
    let listed = service.call("ListBuildsForProject", list).await.unwrap();
    assert_eq!(listed["ids"], json!([retried["id"], id]));
    let deleted = service.call("BatchDeleteBuilds", one).await.unwrap();
    assert_eq!(deleted["buildsDeleted"], json!([build["arn"]]));
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn what_is_not_there_is_said_in_codebuilds_words() {
    let service = Service::with_project().await;
    let nil = format!("demo:{}", uuid::Uuid::nil());
    for (operation, input, code, message) in [
        (
            "StartBuild",
            json!({}),
            "InvalidInputException",
            "Invalid input: projectName is required",
        ),
        (
            "StartBuild",
            json!({"projectName": "nope"}),
            "ResourceNotFoundException",
            "Project cannot be found: arn:aws:codebuild:us-east-1:123456789012:project/nope",
        ),
        (
            "StartBuild",
            json!({"projectName": "demo", "timeoutInMinutesOverride": 3}),
            "InvalidInputException",
            "Invalid timeoutInMinutes: 3 is not between 5 and 2160",
        ),
        (
            "StartBuild",
            json!({"projectName": "demo", "privilegedModeOverride": true}),
            "InvalidInputException",
            "Invalid environment: privilegedMode is refused on this server; its operator can allow it with `privileged_mode` in the configuration",
        ),
        (
            "StopBuild",
            json!({"id": nil}),
            "ResourceNotFoundException",
            &format!("Build {nil} does not exist"),
        ),
        (
            "StopBuild",
            json!({"id": "x"}),
            "InvalidInputException",
            "Invalid build ID provided",
        ),
        (
            "RetryBuild",
            json!({}),
            "InvalidInputException",
            "Invalid input: id is required",
        ),
        (
            "BatchGetBuilds",
            json!({"ids": []}),
            "InvalidInputException",
            "The input build ID list cannot be empty.",
        ),
        (
            "BatchGetBuilds",
            json!({"ids": vec![&nil; 101]}),
            "InvalidInputException",
            "Invalid input: ids has 101 items, at most 100 are allowed",
        ),
        (
            "ListBuilds",
            json!({"nextToken": "x"}),
            "InvalidInputException",
            "Invalid next token: it is not one of this list in this order",
        ),
        (
            "ListBuilds",
            json!({"sortOrder": "UP"}),
            "InvalidInputException",
            "Invalid input: unknown variant `UP`, expected `ASCENDING` or `DESCENDING`",
        ),
        (
            "ListBuildsForProject",
            json!({"projectName": "nope"}),
            "ResourceNotFoundException",
            "The provided project arn:aws:codebuild:us-east-1:123456789012:project/nope does not exist",
        ),
        (
            "CreateWebhook",
            json!({"projectName": "demo"}),
            "InvalidInputException",
            "CreateWebhook is not supported: webhooks are not received by this server yet: start builds with StartBuild",
        ),
        (
            "NoSuchThing",
            json!({}),
            "UnknownOperationException",
            "there is no operation codebuild:NoSuchThing",
        ),
        (
            "GetLogEvents",
            json!({"logGroupName": "g"}),
            "InvalidParameterException",
            "Invalid input: logStreamName is required",
        ),
    ] {
        for form in [Form::Json, Form::Cbor] {
            let error = service
                .call_in(form, operation, input.clone())
                .await
                .unwrap_err();
            assert_eq!(
                error,
                (code.to_owned(), message.to_owned()),
                "{operation} in {form:?}"
            );
        }
    }
    for (operation, input, expected) in [
        ("ListFleets", json!({}), json!({"fleets": []})),
        ("ListBuildBatches", json!({}), json!({"ids": []})),
        (
            "BatchGetSandboxes",
            json!({"ids": ["a"]}),
            json!({"sandboxes": [], "sandboxesNotFound": ["a"]}),
        ),
    ] {
        assert_eq!(
            service.call(operation, input).await.unwrap(),
            expected,
            "{operation}"
        );
    }
}

#[tokio::test]
async fn a_token_starts_one_build_and_no_other() {
    let service = Service::with_project().await;
    let start = |token: &str, minutes: u32| {
        let input = json!({"projectName": "demo", "idempotencyToken": token, "timeoutInMinutesOverride": minutes});
        service.call("StartBuild", input)
    };
    let first = start("t", 5).await.unwrap();
    assert_eq!(
        start("t", 5).await.unwrap()["build"]["id"],
        first["build"]["id"]
    );
    assert_ne!(
        start("u", 5).await.unwrap()["build"]["id"],
        first["build"]["id"]
    );
    let (code, message) = start("t", 6).await.unwrap_err();
    assert_eq!(code, "InvalidInputException");
    assert!(
        message.contains("idempotency token") && message.contains("parameter mismatch"),
        "{message}"
    );
    assert_eq!(
        start(&"x".repeat(65), 5).await.unwrap_err().0,
        "InvalidInputException"
    );
    // What an SDK sends again after a lost answer has the same invocation, and starts nothing new.
    let again = || {
        let mut request = request(Form::Json, "StartBuild", &json!({"projectName": "demo"}));
        let invocation = "5fa64d07-6b5a-486b-ab63-8b01e1b95fd6".parse().unwrap();
        request
            .headers_mut()
            .insert("amz-sdk-invocation-id", invocation);
        service.send(request)
    };
    let (first, second) = (again().await, again().await);
    assert_eq!(first.0, StatusCode::OK);
    assert_eq!(first, second);
}

#[tokio::test]
async fn lists_go_on_page_by_page_without_gap_or_repetition() {
    let service = Service::with_project().await;
    for _ in 0..25 {
        service
            .call("StartBuild", json!({"projectName": "demo"}))
            .await
            .unwrap();
    }
    for order in ["ASCENDING", "DESCENDING"] {
        let mut ids = Vec::new();
        let mut input = json!({"sortOrder": order, "maxResults": 10, "nextToken": ""});
        let mut tokens = BTreeSet::new();
        loop {
            let page = service.call("ListBuilds", input.clone()).await.unwrap();
            ids.extend(page["ids"].as_array().unwrap().iter().map(Value::to_string));
            let Some(token) = page.get("nextToken") else {
                break;
            };
            assert!(tokens.insert(token.to_string()), "the same token twice");
            input["nextToken"] = token.clone();
        }
        assert_eq!(ids.len(), 25, "{order}");
        assert_eq!(
            ids.into_iter().collect::<BTreeSet<_>>().len(),
            25,
            "{order}"
        );
    }
}
