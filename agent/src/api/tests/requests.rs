//! Requests of every form, sensible and not.

use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Form, Service, request};
use crate::api::operations::CODEBUILD;
use crate::api::serve;

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
async fn a_body_that_is_too_large_is_refused_before_it_is_read() {
    let service = Service::start().await;
    let mut request = request(Form::Json, "ListBuilds", &json!({}));
    request
        .headers_mut()
        .insert("content-length", "3000000".parse().unwrap());
    assert_eq!(service.send(request).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let long = json!({"projectName": "x".repeat(3_000_000)});
    let (status, body) = service
        .send(super::request(Form::Json, "StartBuild", &long))
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
async fn every_operation_is_answered_and_what_is_not_built_is_refused_with_a_sentence() {
    let service = Service::with_project().await;
    let everything = json!({
        "projectName": "demo", "name": "x", "names": ["x"], "ids": ["demo:x"], "id": "demo:x", "arn": "x",
        "reportGroupArns": ["x"], "reportArns": ["x"], "resourceArn": "x", "sandboxId": "x", "command": "x",
    });
    let mut refused = Vec::new();
    for operation in CODEBUILD.concat() {
        for input in [json!({}), everything.clone()] {
            let Err((code, message)) = service.call(operation, input).await else {
                continue;
            };
            let known = ["InvalidInputException", "ResourceNotFoundException"];
            assert!(known.contains(&code.as_str()), "{operation}: {code}");
            assert!(message.len() > 10, "{operation}: {message}");
            if message.starts_with(&format!("{operation} is not supported: ")) {
                refused.push(operation);
            }
        }
    }
    refused.sort_unstable();
    refused.dedup();
    assert_eq!(
        refused,
        [
            "BatchGetCommandExecutions",
            "CreateFleet",
            "CreateWebhook",
            "DeleteBuildBatch",
            "DeleteFleet",
            "DeleteResourcePolicy",
            "DeleteWebhook",
            "GetReportGroupTrend",
            "GetResourcePolicy",
            "ListCommandExecutionsForSandbox",
            "PutResourcePolicy",
            "RetryBuildBatch",
            "StartBuildBatch",
            "StartCommandExecution",
            "StartSandbox",
            "StartSandboxConnection",
            "StopBuildBatch",
            "StopSandbox",
            "UpdateFleet",
            "UpdateWebhook",
        ]
    );
}

/// A server on a port of its own.
async fn served(service: &Service) -> (std::net::SocketAddr, CancellationToken, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
    let (endpoint, until) = (service.endpoint.clone(), stop.clone());
    tasks.spawn(async move { serve(listener, None, endpoint, &until).await });
    (address, stop, tasks)
}

/// A request whose last byte is missing.
const UNFINISHED: &[u8] = b"POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: CodeBuild_20161006.ListBuilds\r\nContent-Length: 2\r\n\r\n{";

async fn rest(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    // A connection that was cut off may be reset.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn clients_that_take_their_time_are_cut_off() {
    let service = Service::with_patience(Duration::from_millis(50)).await;
    let (address, _stop, _tasks) = served(&service).await;
    for (label, sent, expected) in [
        ("says nothing", &b""[..], ""),
        ("half a header", b"POST / HTTP/1.1\r\nHost: loc", ""),
        ("half a body", UNFINISHED, "RequestTimeoutException"),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(sent).await.unwrap();
        // It ends, although nobody has closed it here.
        let answer = rest(stream).await;
        assert!(answer.contains(expected), "{label}: {answer}");
        assert!(!answer.contains("200 OK"), "{label}: {answer}");
    }
}

#[tokio::test]
async fn what_is_under_way_when_the_server_ends_is_answered() {
    let service = Service::start().await;
    let (address, stop, mut tasks) = served(&service).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(UNFINISHED).await.unwrap();
    let idle = TcpStream::connect(address).await.unwrap();
    // Both are known to the server once it has answered one that came after them.
    let mut later = TcpStream::connect(address).await.unwrap();
    later
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    assert!(rest(later).await.contains("200 OK"));
    stop.cancel();
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    stream.write_all(b"}").await.unwrap();
    let answer = rest(stream).await;
    assert!(
        answer.contains("200 OK") && answer.contains("\"ids\":[]"),
        "{answer}"
    );
    assert_eq!(rest(idle).await, "");
    tasks.join_next().await.unwrap().unwrap();
}
