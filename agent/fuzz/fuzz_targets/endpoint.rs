//! No bytes make the decoders of either protocol, or an operation behind them, panic or blame the server.
//!
//! The first byte chooses protocol and operation, the rest is the body.
#![no_main]

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

use agent::api::{Endpoint, Settings};
use agent::data_directory::DataDirectory;
use agent::store;
use agent::vault::Vault;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use libfuzzer_sys::fuzz_target;
use tokio::runtime::Runtime;

const OPERATIONS: [&str; 8] = [
    "CodeBuild_20161006.StartBuild",
    "CodeBuild_20161006.BatchGetBuilds",
    "CodeBuild_20161006.CreateProject",
    "CodeBuild_20161006.UpdateProject",
    "CodeBuild_20161006.ListBuildsForProject",
    "CodeBuild_20161006.DescribeTestCases",
    "Logs_20140328.GetLogEvents",
    "Logs_20140328.FilterLogEvents",
];

static SERVER: LazyLock<(Runtime, Endpoint, tempfile::TempDir)> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let settings = Settings {
        region: "us-east-1".to_owned(),
        account: "123456789012".to_owned(),
        requests_per_second: 1,
        is_local: true,
        allows_privileged_mode: false,
        logs_to_aws: false,
        patience: Duration::from_secs(30),
    };
    let data = DataDirectory::open(directory.path()).unwrap();
    let address = format!("sqlite:{}", directory.path().join("store.db").display());
    let store = runtime.block_on(store::open(&address)).unwrap();
    let vault = Vault::open(&directory.path().join("vault.key")).unwrap();
    let endpoint = Endpoint::new(settings, store, vault, &data, None).unwrap();
    (runtime, endpoint, directory)
});

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, body)) = bytes.split_first() else { return };
    let target = OPERATIONS[usize::from(choice >> 1) % OPERATIONS.len()];
    let (service, operation) = target.split_once('.').unwrap();
    let request = Request::builder().method("POST").header("host", "localhost");
    let request = if choice & 1 == 0 {
        request.uri("/").header("x-amz-target", target)
    } else {
        request
            .uri(format!("/service/{service}/operation/{operation}"))
            .header("smithy-protocol", "rpc-v2-cbor")
    };
    let request = request.body(Body::from(body.to_vec())).unwrap();
    let (runtime, endpoint, _) = &*SERVER;
    runtime.block_on(async {
        let answer = endpoint.answer(request, SocketAddr::from(([127, 0, 0, 1], 1))).await;
        assert!(answer.status().as_u16() < 500);
        assert!(!to_bytes(answer.into_body(), usize::MAX).await.unwrap().is_empty());
    });
});
