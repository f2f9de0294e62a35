//! AWS's SDK for Rust, in both protocols: what it makes of answers, errors and losses.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use aws_sdk_codebuild::Client;
use aws_sdk_codebuild::config::{BehaviorVersion, Builder, Credentials, Region};
use aws_sdk_codebuild::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_codebuild::types::{
    ArtifactsType, ComputeType, EnvironmentType, EnvironmentVariable, ProjectArtifacts,
    ProjectEnvironment, ProjectSource, ServerType, SortOrderType, SourceType, StatusType,
};
use aws_smithy_cbor::protocol::RpcV2CborProtocol;
use tests::fault_proxy::{Fault, FaultProxy};
use tests::{Project, Server};

#[derive(Debug, Clone, Copy)]
enum Protocol {
    Json,
    Cbor,
}

const PROTOCOLS: [Protocol; 2] = [Protocol::Json, Protocol::Cbor];

fn client(endpoint: &str, protocol: Protocol) -> Client {
    let config = Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new("any", "any", None, None, "test"));
    let config = match protocol {
        Protocol::Json => config,
        Protocol::Cbor => config.protocol(RpcV2CborProtocol::new()),
    };
    Client::from_conf(config.build())
}

async fn create_project(client: &Client, name: &str) {
    let source = ProjectSource::builder()
        .r#type(SourceType::NoSource)
        .buildspec("version: 0.2\nphases: {build: {commands: [true]}}");
    let environment = ProjectEnvironment::builder()
        .r#type(EnvironmentType::LinuxContainer)
        .image("a:1")
        .compute_type(ComputeType::BuildGeneral1Small);
    let artifacts = ProjectArtifacts::builder().r#type(ArtifactsType::NoArtifacts);
    let created = client
        .create_project()
        .name(name)
        .source(source.build().expect("a source has a type"))
        .environment(environment.build().expect("an environment has these"))
        .artifacts(artifacts.build().expect("artifacts have a type"))
        .service_role("arn:aws:iam::000000000000:role/build")
        .send()
        .await;
    let project = created.expect("it is made").project.expect("it is shown");
    assert_eq!(project.name.as_deref(), Some(name));
    assert_eq!(project.timeout_in_minutes, Some(60));
    assert!(is_now(project.created));
}

fn is_now(time: Option<aws_sdk_codebuild::primitives::DateTime>) -> bool {
    let time = time.and_then(|time| SystemTime::try_from(time).ok());
    let ago = time.and_then(|time| SystemTime::now().duration_since(time).ok());
    ago.is_some_and(|ago| ago < Duration::from_mins(5))
}

async fn a_session_works(client: &Client) {
    create_project(client, "demo").await;
    let variable = EnvironmentVariable::builder().name("A").value("1");
    let started = client
        .start_build()
        .project_name("demo")
        .timeout_in_minutes_override(7)
        .privileged_mode_override(false)
        .environment_variables_override(variable.build().expect("name and value"))
        .send()
        .await;
    let build = started
        .expect("it is started")
        .build_value
        .expect("it is shown");
    assert_eq!(
        (build.build_number, build.timeout_in_minutes),
        (Some(1), Some(7))
    );
    assert_eq!(build.build_status, Some(StatusType::InProgress));
    assert!(!build.build_complete && is_now(build.start_time));
    let phases = build.phases();
    assert_eq!(phases[0].duration_in_seconds, Some(0));
    let environment = build.environment().expect("an environment");
    assert_eq!(environment.environment_variables()[0].value(), "1");
    let id = build.id().expect("an id");
    let found = client.batch_get_builds().ids(id).ids("demo:nope").send();
    let found = found.await.expect("they are looked up");
    assert_eq!(
        found.builds(),
        std::slice::from_ref(&build),
        "both shapes are the same"
    );
    assert_eq!(found.builds_not_found(), ["demo:nope"]);
    let stopped = client
        .stop_build()
        .id(id)
        .send()
        .await
        .expect("it is stopped");
    let stopped = stopped.build_value.expect("it is shown");
    assert_eq!(stopped.build_status, Some(StatusType::Stopped));
    assert!(stopped.build_complete && is_now(stopped.end_time));
    let retried = client
        .retry_build()
        .id(id)
        .send()
        .await
        .expect("it is retried");
    assert_eq!(
        retried.build_value.and_then(|build| build.build_number),
        Some(2)
    );
}

async fn what_is_kept_by_name_works(client: &Client) {
    create_project(client, "kept").await;
    let imported = client
        .import_source_credentials()
        .token("t")
        .server_type(ServerType::Github)
        .auth_type(aws_sdk_codebuild::types::AuthType::PersonalAccessToken)
        .send()
        .await;
    assert!(imported.expect("it is imported").arn.is_some());
    client
        .delete_project()
        .name("kept")
        .send()
        .await
        .expect("it is deleted");
}

async fn errors_have_their_classes(client: &Client) {
    create_project(client, "classes").await;
    let unknown = client.start_build().project_name("nope").send().await;
    let unknown = unknown.expect_err("there is no such project");
    assert!(
        unknown
            .raw_response()
            .is_some_and(|answer| answer.status().as_u16() == 400)
    );
    let unknown = unknown.into_service_error();
    assert!(unknown.is_resource_not_found_exception(), "{unknown:?}");
    assert!(
        unknown
            .message()
            .is_some_and(|text| text.contains("project/nope"))
    );
    // The SDK checks none of it itself.
    let empty = client
        .start_build()
        .send()
        .await
        .expect_err("no project is named");
    assert!(empty.into_service_error().is_invalid_input_exception());
    let short = client
        .start_build()
        .project_name("classes")
        .timeout_in_minutes_override(3);
    let short = short.send().await.expect_err("3 minutes are too few");
    assert!(short.into_service_error().is_invalid_input_exception());
    let none = client.batch_get_builds().send().await.expect_err("no ids");
    assert!(none.into_service_error().is_invalid_input_exception());
    let webhook = client.create_webhook().project_name("classes").send().await;
    let webhook = webhook
        .expect_err("there are no webhooks")
        .into_service_error();
    assert!(webhook.is_invalid_input_exception(), "{webhook:?}");
    assert!(
        webhook
            .message()
            .is_some_and(|text| text.contains("StartBuild"))
    );
    let again = client
        .create_project()
        .name("classes")
        .send()
        .await
        .expect_err("it lacks most of what a project has");
    assert!(again.into_service_error().is_invalid_input_exception());
}

#[tokio::test]
async fn a_session_of_the_sdk_for_rust_works_in_both_protocols() {
    for protocol in PROTOCOLS {
        let project = Project::empty();
        let server = Server::start(&project, &["--no-worker"]);
        let client = client(server.url(), protocol);
        Box::pin(a_session_works(&client)).await;
        Box::pin(what_is_kept_by_name_works(&client)).await;
        errors_have_their_classes(&client).await;
    }
}

#[tokio::test]
async fn lists_are_read_page_by_page() {
    let project = Project::empty();
    let server = Server::start(&project, &["--no-worker"]);
    let client = client(server.url(), Protocol::Cbor);
    create_project(&client, "demo").await;
    for _ in 0..250 {
        client
            .start_build()
            .project_name("demo")
            .send()
            .await
            .expect("it is started");
    }
    for protocol in PROTOCOLS {
        let client = self::client(server.url(), protocol);
        for order in [SortOrderType::Ascending, SortOrderType::Descending] {
            let mut pages = client
                .list_builds()
                .sort_order(order.clone())
                .into_paginator()
                .send();
            let (mut ids, mut sizes) = (BTreeSet::new(), Vec::new());
            while let Some(page) = pages.next().await {
                let page = page.expect("a page").ids.unwrap_or_default();
                sizes.push(page.len());
                ids.extend(page);
            }
            assert_eq!(sizes, [100, 100, 50], "{protocol:?} {order:?}");
            assert_eq!(ids.len(), 250);
        }
    }
}

#[tokio::test]
async fn what_is_sent_again_after_a_loss_starts_one_build() {
    for protocol in PROTOCOLS {
        let project = Project::empty();
        let server = Server::start(&project, &["--no-worker"]);
        let proxy = FaultProxy::start(server.address());
        let client = client(&proxy.endpoint(), protocol);
        create_project(&client, "demo").await;
        let before = proxy.seen().len();
        // The build is started, and nobody hears of it.
        proxy.next([Some(Fault::CutAnswer(10)), Some(Fault::INTERNAL_ERROR)]);
        let started = client.start_build().project_name("demo").send().await;
        let build = started
            .expect("the third answer comes through")
            .build_value
            .expect("it is shown");
        assert_eq!(build.build_number, Some(1), "{protocol:?}");
        assert_eq!(proxy.seen().len() - before, 3);
        let listed = client.list_builds().send().await.expect("they are listed");
        assert_eq!(listed.ids().len(), 1, "{protocol:?}");
        // A mistake of the client's own is made once.
        let before = proxy.seen().len();
        let refused = client.start_build().project_name("nope").send().await;
        assert!(matches!(refused, Err(SdkError::ServiceError(_))));
        assert_eq!(proxy.seen().len() - before, 1);
        // Being throttled is not; the proxy says it in JSON only.
        if let Protocol::Json = protocol {
            proxy.next([Some(Fault::THROTTLED)]);
            let before = proxy.seen().len();
            let listed = client.list_projects().send().await;
            listed.expect("the second one is answered");
            assert_eq!(proxy.seen().len() - before, 2);
        }
    }
}
