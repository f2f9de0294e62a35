//! Operations as clients see them: whole requests in, whole answers out, over a store of its own.

mod access;
mod builds;
mod kept;
mod projects;
mod requests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
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
        Self::with_patience(Duration::from_secs(30)).await
    }

    async fn with_patience(patience: Duration) -> Self {
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
            patience,
        };
        let endpoint =
            Endpoint::new(settings, Arc::clone(&store), vault.clone(), &data, None).unwrap();
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
            may_attach: false,
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
