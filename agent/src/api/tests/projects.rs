//! Projects: made, changed, refused, forgotten.

use serde_json::{Value, json};

use super::{Service, project};

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story, told to its end")]
async fn a_project_is_made_changed_listed_and_forgotten() {
    let service = Service::start().await;
    let made = service
        .call("CreateProject", project("demo"))
        .await
        .unwrap();
    for (pointer, expected) in [
        (
            "/project/arn",
            json!("arn:aws:codebuild:us-east-1:123456789012:project/demo"),
        ),
        ("/project/timeoutInMinutes", json!(60)),
        ("/project/queuedTimeoutInMinutes", json!(480)),
        ("/project/cache/type", json!("NO_CACHE")),
        ("/project/badge/badgeEnabled", json!(false)),
        ("/project/environment/privilegedMode", json!(false)),
        (
            "/project/environment/imagePullCredentialsType",
            json!("CODEBUILD"),
        ),
        ("/project/source/insecureSsl", json!(false)),
        (
            "/project/encryptionKey",
            json!("arn:aws:kms:us-east-1:123456789012:alias/aws/s3"),
        ),
    ] {
        assert_eq!(made.pointer(pointer), Some(&expected), "{pointer}");
    }
    assert_eq!(made["project"]["created"], made["project"]["lastModified"]);
    let again = service
        .call("CreateProject", project("demo"))
        .await
        .unwrap_err();
    assert_eq!(again.0, "ResourceAlreadyExistsException");
    let change = json!({"name": "demo", "description": "d", "timeoutInMinutes": 5, "concurrentBuildLimit": 2});
    let changed = service.call("UpdateProject", change).await.unwrap();
    assert_eq!(changed["project"]["description"], "d");
    assert_eq!(
        changed["project"]["environment"],
        made["project"]["environment"]
    );
    let change = json!({"name": "demo", "concurrentBuildLimit": -1});
    let changed = service.call("UpdateProject", change).await.unwrap();
    assert_eq!(changed["project"].get("concurrentBuildLimit"), None);
    service
        .call("InvalidateProjectCache", json!({"projectName": "demo"}))
        .await
        .unwrap();
    let names = json!({"names": ["nope", "arn:aws:codebuild:us-east-1:123456789012:project/demo"]});
    let found = service.call("BatchGetProjects", names).await.unwrap();
    assert_eq!(found["projects"][0]["timeoutInMinutes"], 5);
    assert_eq!(
        found["projects"][0].get("cacheGeneration"),
        None,
        "nobody's business"
    );
    assert_eq!(found["projectsNotFound"], json!(["nope"]));
    assert_eq!(
        service.call("ListProjects", json!({})).await.unwrap(),
        json!({"projects": ["demo"]})
    );
    for _ in 0..2 {
        assert_eq!(
            service
                .call("DeleteProject", json!({"name": "demo"}))
                .await
                .unwrap(),
            json!({})
        );
    }
    let gone = service
        .call("UpdateProject", json!({"name": "demo"}))
        .await
        .unwrap_err();
    assert_eq!(gone.0, "ResourceNotFoundException");
}

#[tokio::test]
async fn a_project_that_cannot_be_is_refused_with_the_reason() {
    let service = Service::start().await;
    let with = |pointer: &str, value: Value| {
        let mut project = project("demo");
        let (parent, member) = pointer.rsplit_once('/').unwrap();
        project.pointer_mut(parent).unwrap()[member] = value;
        project
    };
    for (input, part) in [
        (json!({}), "artifacts is required"),
        (with("/name", json!("x y!")), "not a project name"),
        (with("/name", json!("x".repeat(151))), "2 to 150"),
        (with("/serviceRole", json!("")), "serviceRole is required"),
        (with("/timeoutInMinutes", json!(4)), "timeoutInMinutes"),
        (
            with("/queuedTimeoutInMinutes", json!(481)),
            "queuedTimeoutInMinutes",
        ),
        (
            with("/source", json!({"type": "GITHUB"})),
            "Project source location is required",
        ),
        (with("/source", json!({"type": "NO_SOURCE"})), "buildspec"),
        (with("/source/type", json!("SVN")), "`SVN`, expected one of"),
        (
            with("/environment/privilegedMode", json!(true)),
            "privilegedMode is refused",
        ),
        (
            with("/environment/computeType", Value::Null),
            "computeType is required",
        ),
        (with("/description", json!("x".repeat(256))), "description"),
        (
            with("/concurrentBuildLimit", json!(0)),
            "concurrentBuildLimit",
        ),
        (
            with(
                "/artifacts",
                json!({"type": "NO_ARTIFACTS", "location": "b"}),
            ),
            "should have null location",
        ),
        (
            with("/artifacts", json!({"type": "CODEPIPELINE"})),
            "when using CodePipeline both",
        ),
    ] {
        let (code, message) = service.call("CreateProject", input).await.unwrap_err();
        assert_eq!(code, "InvalidInputException", "{message}");
        assert!(message.contains(part), "{message} has no {part}");
    }
}

#[tokio::test]
async fn of_many_changes_at_once_none_is_lost() {
    let service = Service::with_project().await;
    let changes = [
        json!({"description": "d"}),
        json!({"sourceVersion": "main"}),
        json!({"timeoutInMinutes": 7}),
        json!({"queuedTimeoutInMinutes": 8}),
        json!({"encryptionKey": "alias/k"}),
        json!({"concurrentBuildLimit": 2}),
    ];
    let update = changes.iter().map(|change| {
        let mut input = change.clone();
        input["name"] = "demo".into();
        service.call("UpdateProject", input)
    });
    let invalidate =
        (0..3).map(|_| service.call("InvalidateProjectCache", json!({"projectName": "demo"})));
    for ended in futures_util::future::join_all(update.chain(invalidate)).await {
        ended.unwrap();
    }
    let found = service.call("BatchGetProjects", json!({"names": ["demo"]}));
    let found = found.await.unwrap()["projects"][0].clone();
    for change in changes {
        for (member, value) in change.as_object().unwrap() {
            assert_eq!(found[member], *value, "{member}");
        }
    }
    let names = ["demo".to_owned()];
    let stored = service.store.resources(crate::store::Kind::Project, &names);
    assert_eq!(stored.await.unwrap()[0].body["cacheGeneration"], 3);
}
