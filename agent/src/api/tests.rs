//! Operations as clients see them: whole requests in, whole answers out, over a store of its own.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use proptest::prelude::*;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::wire::cbor;
use super::{Endpoint, GuardedOverride, IssuedKey, NewKey, Role, Settings, issue_key};
use crate::data_directory::DataDirectory;
use crate::store::{self, Store};
use crate::vault::Vault;

/// An endpoint with a store, in a directory that goes with it.
struct Service {
    directory: TempDir,
    endpoint: Endpoint,
    store: Arc<dyn Store>,
    vault: Vault,
}

/// How a request is written.
#[derive(Debug, Clone, Copy)]
enum Form {
    Json,
    Cbor,
}

impl Service {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data = DataDirectory::open(directory.path()).unwrap();
        let address = format!("sqlite:{}", directory.path().join("store.db").display());
        let store = store::open(&address).await.unwrap();
        let vault = Vault::open(&directory.path().join("vault.key")).unwrap();
        let settings = Settings {
            region: "us-east-1".to_owned(),
            account: "123456789012".to_owned(),
            requests_per_second: 5,
            is_local: true,
            allows_privileged_mode: false,
            logs_to_aws: false,
        };
        let endpoint = Endpoint::new(settings, Arc::clone(&store), vault.clone(), &data).unwrap();
        Self {
            directory,
            endpoint,
            store,
            vault,
        }
    }

    async fn issue(&self, role: Role, may_override: &[GuardedOverride]) -> IssuedKey {
        let new = NewKey {
            name: format!("{role:?}"),
            role,
            may_override: may_override.iter().copied().collect(),
            valid_for: None,
        };
        issue_key(self.store.as_ref(), &self.vault, new)
            .await
            .unwrap()
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, Vec<u8>) {
        let from = SocketAddr::from(([127, 0, 0, 1], 1));
        let answer = self.endpoint.answer(request, from).await;
        let status = answer.status();
        let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        (status, body.to_vec())
    }

    /// The output of an operation, or the error it is refused with.
    async fn call(&self, operation: &str, input: Value) -> Result<Value, (String, String)> {
        self.call_in(Form::Json, operation, input).await
    }

    async fn call_in(
        &self,
        form: Form,
        operation: &str,
        input: Value,
    ) -> Result<Value, (String, String)> {
        let (status, body) = self.send(request(form, operation, &input)).await;
        read(form, status, &body)
    }

    async fn signed(
        &self,
        key: &IssuedKey,
        operation: &str,
        input: Value,
    ) -> Result<Value, (String, String)> {
        let request = sign_with(key, request(Form::Json, operation, &input), &input);
        let (status, body) = self.send(request).await;
        read(Form::Json, status, &body)
    }

    async fn with_project() -> Self {
        let service = Self::start().await;
        service
            .call("CreateProject", project("demo"))
            .await
            .unwrap();
        service
    }
}

fn request(form: Form, operation: &str, input: &Value) -> Request<Body> {
    let logs = operation.contains("Log");
    let service = if logs {
        "Logs_20140328"
    } else {
        "CodeBuild_20161006"
    };
    let request = Request::builder()
        .method("POST")
        .header("host", "localhost:8080");
    match form {
        Form::Json => request
            .uri("/")
            .header("x-amz-target", format!("{service}.{operation}"))
            .header("content-type", "application/x-amz-json-1.1")
            .body(Body::from(input.to_string())),
        Form::Cbor => request
            .uri(format!("/service/{service}/operation/{operation}"))
            .header("smithy-protocol", "rpc-v2-cbor")
            .header("content-type", "application/cbor")
            .body(Body::from(cbor::to_vec(input))),
    }
    .unwrap()
}

fn sign_with(key: &IssuedKey, mut request: Request<Body>, input: &Value) -> Request<Body> {
    let secret = key.secret_access_key.expose_secret();
    let identity = Credentials::new(&key.access_key_id, secret, None, None, "test").into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name("codebuild")
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .unwrap()
        .into();
    let body = input.to_string();
    let headers = request.headers().clone();
    let headers = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
    let signable = SignableRequest::new(
        "POST",
        "http://localhost:8080/",
        headers,
        SignableBody::Bytes(body.as_bytes()),
    );
    let (instructions, _) = sign(signable.unwrap(), &parameters).unwrap().into_parts();
    instructions.apply_to_request_http1x(&mut request);
    request
}

fn read(form: Form, status: StatusCode, body: &[u8]) -> Result<Value, (String, String)> {
    let output: Value = match form {
        Form::Json => serde_json::from_slice(body).unwrap(),
        Form::Cbor => cbor::from_slice(body).unwrap(),
    };
    if status == StatusCode::OK {
        return Ok(output);
    }
    let text = |member: &str| output[member].as_str().unwrap().to_owned();
    let code = text("__type");
    let code = code.rsplit('#').next().unwrap().to_owned();
    Err((code, text("message")))
}

/// A project that needs nothing of the world.
fn project(name: &str) -> Value {
    json!({
        "name": name,
        "source": {"type": "NO_SOURCE", "buildspec": "version: 0.2\nphases: {build: {commands: [true]}}"},
        "artifacts": {"type": "NO_ARTIFACTS"},
        "environment": {
            "type": "LINUX_CONTAINER", "image": "aws/codebuild/standard:7.0",
            "computeType": "BUILD_GENERAL1_SMALL",
            "environmentVariables": [{"name": "A", "value": "project"}, {"name": "B", "value": ""}],
        },
        "serviceRole": "arn:aws:iam::123456789012:role/build",
    })
}

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

#[tokio::test]
async fn both_protocols_give_the_same() {
    let service = Service::with_project().await;
    let build = service
        .call_in(Form::Cbor, "StartBuild", json!({"projectName": "demo"}))
        .await
        .unwrap();
    let ids = json!({"ids": [build["build"]["id"]]});
    let (json, cbor) = (
        service
            .call_in(Form::Json, "BatchGetBuilds", ids.clone())
            .await
            .unwrap(),
        service
            .call_in(Form::Cbor, "BatchGetBuilds", ids)
            .await
            .unwrap(),
    );
    assert_eq!(json, cbor);
    assert!(json["builds"][0]["buildNumber"].is_u64() && json["builds"][0]["startTime"].is_f64());
}

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
async fn credentials_of_git_hosts_are_taken_in_and_never_given_out() {
    let service = Service::start().await;
    let import = |overwrite: bool| {
        let input = json!({"token": "t0ken", "serverType": "GITHUB", "authType": "PERSONAL_ACCESS_TOKEN", "shouldOverwrite": overwrite});
        service.call("ImportSourceCredentials", input)
    };
    let arn = "arn:aws:codebuild:us-east-1:123456789012:token/github";
    assert_eq!(import(true).await.unwrap(), json!({"arn": arn}));
    assert_eq!(import(true).await.unwrap(), json!({"arn": arn}));
    assert_eq!(
        import(false).await.unwrap_err().0,
        "ResourceAlreadyExistsException"
    );
    let listed = service
        .call("ListSourceCredentials", json!({}))
        .await
        .unwrap();
    let info = json!({"arn": arn, "serverType": "GITHUB", "authType": "PERSONAL_ACCESS_TOKEN"});
    assert_eq!(listed, json!({"sourceCredentialsInfos": [info]}));
    for file in std::fs::read_dir(service.directory.path()).unwrap() {
        let path = file.unwrap().path();
        let bytes = if path.is_file() {
            std::fs::read(&path).unwrap()
        } else {
            Vec::new()
        };
        assert!(
            !bytes.windows(5).any(|part| part == b"t0ken"),
            "{}",
            path.display()
        );
    }
    let delete = || service.call("DeleteSourceCredentials", json!({"arn": arn}));
    assert_eq!(delete().await.unwrap(), json!({"arn": arn}));
    assert_eq!(delete().await.unwrap_err().0, "ResourceNotFoundException");
}

#[tokio::test]
async fn report_groups_are_made_and_listed() {
    let service = Service::start().await;
    let group = json!({"name": "demo-unit", "type": "TEST", "exportConfig": {"exportConfigType": "NO_EXPORT"}});
    let made = service
        .call("CreateReportGroup", group.clone())
        .await
        .unwrap();
    let arn = "arn:aws:codebuild:us-east-1:123456789012:report-group/demo-unit";
    assert_eq!(made["reportGroup"]["arn"], arn);
    assert_eq!(
        service
            .call("CreateReportGroup", group)
            .await
            .unwrap_err()
            .0,
        "ResourceAlreadyExistsException"
    );
    let found = service
        .call(
            "BatchGetReportGroups",
            json!({"reportGroupArns": [arn, "x"]}),
        )
        .await
        .unwrap();
    assert_eq!(
        (&found["reportGroups"][0], &found["reportGroupsNotFound"]),
        (&made["reportGroup"], &json!(["x"]))
    );
    assert_eq!(
        service.call("ListReportGroups", json!({})).await.unwrap(),
        json!({"reportGroups": [arn]})
    );
    let reports = service
        .call("ListReportsForReportGroup", json!({"reportGroupArn": arn}))
        .await
        .unwrap();
    assert_eq!(reports, json!({"reports": []}));
    let images = service
        .call("ListCuratedEnvironmentImages", json!({}))
        .await
        .unwrap();
    assert!(images.to_string().contains("aws/codebuild/standard:7.0"));
    service
        .call("DeleteReportGroup", json!({"arn": arn}))
        .await
        .unwrap();
    assert_eq!(
        service.call("ListReportGroups", json!({})).await.unwrap(),
        json!({"reportGroups": []})
    );
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story, told to its end")]
async fn the_log_of_a_build_is_read_by_clients_of_cloudwatch_logs() {
    use crate::logs::{KeptLogs, LogSink};
    let service = Service::start().await;
    let logs = KeptLogs::new(service.directory.path().join("logs"));
    let mut log = logs.write("/aws/codebuild/demo", "s").unwrap();
    log.log(1_000_000, b"one\ntwo\n").unwrap();
    let place =
        json!({"logGroupName": "/aws/codebuild/demo", "logStreamName": "s", "startFromHead": true});
    let page = service.call("GetLogEvents", place.clone()).await.unwrap();
    assert_eq!(
        page["events"][1],
        json!({"timestamp": 1000, "message": "two\n", "ingestionTime": 1000})
    );
    let next = |token: &Value| {
        let mut input = place.clone();
        input["nextToken"] = token.clone();
        service.call("GetLogEvents", input)
    };
    let end = next(&page["nextForwardToken"]).await.unwrap();
    assert_eq!(end["events"], json!([]));
    assert_eq!(
        end["nextForwardToken"], page["nextForwardToken"],
        "the end gives the same token"
    );
    log.log(2_000_000, b"three\n").unwrap();
    let more = next(&end["nextForwardToken"]).await.unwrap();
    assert_eq!(more["events"][0]["message"], "three\n");
    let filter =
        json!({"logGroupName": "/aws/codebuild/demo", "startTime": 1500, "filterPattern": "three"});
    let found = service.call("FilterLogEvents", filter).await.unwrap();
    assert_eq!(found["events"][0]["logStreamName"], "s");
    assert_eq!(found["events"].as_array().unwrap().len(), 1);
    let mut seen = Vec::new();
    let mut input = json!({"logGroupName": "/aws/codebuild/demo", "limit": 1});
    loop {
        let found = service
            .call("FilterLogEvents", input.clone())
            .await
            .unwrap();
        seen.extend(
            found["events"]
                .as_array()
                .unwrap()
                .iter()
                .map(|event| event["message"].to_string()),
        );
        match found.get("nextToken") {
            Some(token) => input["nextToken"] = token.clone(),
            None => break,
        }
    }
    assert_eq!(seen, [r#""one\n""#, r#""two\n""#, r#""three\n""#]);
    let groups = service.call("DescribeLogGroups", json!({})).await.unwrap();
    assert_eq!(
        groups["logGroups"][0]["logGroupName"],
        "/aws/codebuild/demo"
    );
    let streams = service
        .call(
            "DescribeLogStreams",
            json!({"logGroupName": "/aws/codebuild/demo"}),
        )
        .await
        .unwrap();
    assert_eq!(streams["logStreams"][0]["logStreamName"], "s");
    let early = json!({
        "logGroupName": "/aws/codebuild/demo",
        "logStreamName": uuid::Uuid::nil().to_string(),
        "startFromHead": true,
    });
    let early = service.call("GetLogEvents", early).await.unwrap();
    assert_eq!(
        early,
        json!({"events": [], "nextForwardToken": "f/0", "nextBackwardToken": "b/0"}),
        "a build that has said nothing yet"
    );
    for (operation, input) in [
        (
            "GetLogEvents",
            json!({"logGroupName": "/aws/codebuild/demo", "logStreamName": "x"}),
        ),
        ("FilterLogEvents", json!({"logGroupName": "x"})),
        ("DescribeLogStreams", json!({"logGroupName": "x"})),
    ] {
        let error = service.call(operation, input).await.unwrap_err();
        assert_eq!(error.0, "ResourceNotFoundException", "{operation}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_before_it_is_read() {
    let service = Service::start().await;
    let mut request = request(Form::Json, "ListBuilds", &json!({}));
    request
        .headers_mut()
        .insert("content-length", "3000000".parse().unwrap());
    assert_eq!(service.send(request).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let long = json!({"projectName": "x".repeat(3_000_000)});
    let (status, body) = service
        .send(self::request(Form::Json, "StartBuild", &long))
        .await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(
        String::from_utf8(body)
            .unwrap()
            .contains("RequestEntityTooLarge")
    );
}

#[test]
fn no_request_is_answered_with_a_fault() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let service = runtime.block_on(Service::with_project());
    let operations = [
        "StartBuild",
        "BatchGetBuilds",
        "CreateProject",
        "ListBuilds",
        "GetLogEvents",
        "DescribeTestCases",
        "X",
    ];
    let members = prop_oneof![
        Just("projectName"),
        Just("ids"),
        Just("name"),
        Just("source"),
        Just("nextToken"),
        Just("environmentVariablesOverride")
    ];
    let value = prop_oneof![
        Just(json!(null)),
        Just(json!(-1)),
        Just(json!("demo")),
        Just(json!("")),
        Just(json!([[]])),
        Just(json!({"type": 1})),
        Just(json!("demo:x")),
        Just(json!(1e300)),
        Just(json!(["a:b", "\u{0}"])),
    ];
    let input = prop::collection::vec((members, value), 0..4);
    let body = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..64),
        input.prop_map(|members| {
            let members = members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value));
            Value::Object(members.collect()).to_string().into_bytes()
        }),
    ];
    proptest!(|(place in 0..operations.len(), is_cbor: bool, body in body)| {
        let operation = operations[place];
        let form = if is_cbor { Form::Cbor } else { Form::Json };
        let request = request(form, operation, &json!({})).map(|_| Body::from(body));
        let (status, answer) = runtime.block_on(service.send(request));
        prop_assert!(status.as_u16() < 500, "{operation} {form:?}: {status}");
        prop_assert!(!answer.is_empty());
    });
}

#[tokio::test]
async fn a_key_with_an_end_needs_its_session_token() {
    let service = Service::start().await;
    let new = NewKey {
        name: "guest".to_owned(),
        role: Role::Read,
        may_override: BTreeSet::new(),
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
