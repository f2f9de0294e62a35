//! The wire protocols: an HTTP request says which operation is wanted and how its input is written;
//! the answer is written the same way.
//!
//! CodeBuild speaks awsJson1.1 and smithy-rpc-v2-cbor. Whoever asks in one of them is answered in it,
//! errors included: clients cannot read the other.

pub(super) mod cbor;

use axum::body::Body;
use axum::http::header::{CONNECTION, CONTENT_TYPE, HeaderValue, UPGRADE};
use axum::http::request::Parts;
use axum::http::{Method, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use uuid::Uuid;

use super::error::{ApiError, Code};
use super::shell;

/// How input and output are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// awsJson1.1.
    Json,
    /// smithy-rpc-v2-cbor.
    Cbor,
}

/// The services of which this endpoint knows operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    /// AWS CodeBuild.
    CodeBuild,
    /// Amazon CloudWatch Logs, as far as clients read the logs of builds.
    Logs,
    /// What this program's command line asks for besides.
    Own,
}

impl Service {
    const ALL: [Self; 3] = [Self::CodeBuild, Self::Logs, Self::Own];

    /// The name in targets and paths.
    fn target(self) -> &'static str {
        match self {
            Self::CodeBuild => "CodeBuild_20161006",
            Self::Logs => "Logs_20140328",
            Self::Own => "BuildspecAgent_20261101",
        }
    }

    /// The name in the scope of a signature.
    pub(super) fn signing_name(self) -> &'static str {
        match self {
            Self::CodeBuild | Self::Own => "codebuild",
            Self::Logs => "logs",
        }
    }

    /// What stands before the operation in the name of an action.
    pub(super) fn action_prefix(self) -> &'static str {
        match self {
            Self::CodeBuild => "codebuild",
            Self::Logs => "logs",
            Self::Own => "buildspec-agent",
        }
    }

    /// What stands before an error's name in CBOR.
    fn namespace(self) -> &'static str {
        match self {
            Self::CodeBuild => "com.amazonaws.codebuild",
            Self::Logs => "com.amazonaws.cloudwatchlogs",
            Self::Own => "buildspec-agent",
        }
    }
}

/// What a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// How it is written.
    pub(super) protocol: Protocol,
    /// Of which service.
    pub(super) service: Service,
    /// Name of the operation; whether there is one is another question.
    pub(super) operation: String,
}

impl Target {
    /// Reads it from a request's method, path and headers.
    ///
    /// A form of a web page could send CBOR to a path without asking; it cannot set the type of its
    /// content or a header of its own, so that one of them has to be there.
    pub(super) fn of(request: &Parts) -> Option<Self> {
        if request.method != Method::POST {
            return None;
        }
        let header = |name: &str| request.headers.get(name).map(HeaderValue::as_bytes);
        let is_cbor = header("smithy-protocol") == Some(b"rpc-v2-cbor")
            || header(CONTENT_TYPE.as_str()) == Some(b"application/cbor");
        if is_cbor {
            let (before, operation) = request.uri.path().rsplit_once("/operation/")?;
            let (_, service) = before.rsplit_once("/service/")?;
            return Self::new(Protocol::Cbor, service, operation);
        }
        Self::named(
            Protocol::Json,
            std::str::from_utf8(header("x-amz-target")?).ok()?,
        )
    }

    /// The target with a name as it stands in the header, such as `CodeBuild_20161006.StartBuild`.
    pub(super) fn named(protocol: Protocol, name: &str) -> Option<Self> {
        let (service, operation) = name.split_once('.')?;
        Self::new(protocol, service, operation)
    }

    fn new(protocol: Protocol, service: &str, operation: &str) -> Option<Self> {
        let service = Service::ALL
            .into_iter()
            .find(|known| known.target() == service)?;
        Some(Self {
            protocol,
            service,
            operation: operation.to_owned(),
        })
    }
}

impl Protocol {
    /// The protocol in which a request without a target is answered.
    pub(super) fn guess(request: &Parts) -> Self {
        if request.headers.contains_key("smithy-protocol") {
            Self::Cbor
        } else {
            Self::Json
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/x-amz-json-1.1",
            Self::Cbor => "application/cbor",
        }
    }

    /// Reads an input. No body at all stands for an input without members.
    pub(super) fn decode<T: DeserializeOwned>(self, body: &[u8]) -> Result<T, ApiError> {
        let refuse = |error: String| ApiError::new(Code::Serialization, error);
        match self {
            Self::Json if body.is_empty() => {
                serde_json::from_str("{}").map_err(|error| refuse(error.to_string()))
            }
            Self::Json => serde_json::from_slice(body)
                .map_err(|error| refuse(format!("the body is not a valid input: {error}"))),
            Self::Cbor => {
                let body = if body.is_empty() { &[0xa0] } else { body };
                cbor::from_slice(body)
                    .map_err(|error| refuse(format!("the body is not a valid input: {error}")))
            }
        }
    }

    /// Writes an output.
    pub(super) fn encode<T: Serialize>(self, output: &T) -> Result<Vec<u8>, ApiError> {
        match self {
            Self::Json => serde_json::to_vec(output).map_err(ApiError::fault),
            Self::Cbor => {
                let value = serde_json::to_value(output).map_err(ApiError::fault)?;
                Ok(cbor::to_vec(&value))
            }
        }
    }

    /// The answer to an operation that was carried out.
    pub(super) fn answer(self, request_id: Uuid, body: Vec<u8>) -> Response<Body> {
        self.respond(StatusCode::OK, request_id, body)
    }

    /// The answer after which the connection is a shell's.
    pub(super) fn upgrade(self, request_id: Uuid) -> Response<Body> {
        let mut response = self.respond(StatusCode::SWITCHING_PROTOCOLS, request_id, Vec::new());
        let headers = response.headers_mut();
        headers.remove(CONTENT_TYPE);
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static(shell::PROTOCOL));
        response
    }

    /// The answer to one that was not. Its body is all that every client reads; it is never empty.
    pub(super) fn refuse(
        self,
        service: Service,
        request_id: Uuid,
        error: &ApiError,
    ) -> Response<Body> {
        let name = error.code.name();
        let body = match self {
            Self::Json => json!({"__type": name, "message": error.message})
                .to_string()
                .into_bytes(),
            Self::Cbor => {
                let name = format!("{}#{name}", service.namespace());
                cbor::to_vec(&json!({"__type": name, "message": error.message}))
            }
        };
        self.respond(error.code.status(), request_id, body)
    }

    fn respond(self, status: StatusCode, request_id: Uuid, body: Vec<u8>) -> Response<Body> {
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type()));
        if let Ok(id) = HeaderValue::from_str(&request_id.to_string()) {
            headers.insert("x-amzn-requestid", id);
        }
        if self == Self::Cbor {
            headers.insert("smithy-protocol", HeaderValue::from_static("rpc-v2-cbor"));
        }
        response
    }
}

/// An output without members.
#[derive(Debug, Serialize)]
pub(super) struct Empty {}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use axum::http::Request;

    use serde_json::Value;

    use super::*;

    fn parts(method: &str, path: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_target_is_in_a_header_or_in_the_path() {
        const JSON: (&str, &str) = ("X-Amz-Target", "CodeBuild_20161006.StartBuild");
        const CBOR: (&str, &str) = ("smithy-protocol", "rpc-v2-cbor");
        let path = "/service/CodeBuild_20161006/operation/StartBuild";
        let under_prefix = format!("/some/prefix{path}");
        for (label, method, path, headers, expected) in [
            ("JSON", "POST", "/", &[JSON][..], Some(Protocol::Json)),
            (
                "JSON under a prefix",
                "POST",
                "/some/prefix",
                &[JSON],
                Some(Protocol::Json),
            ),
            ("CBOR", "POST", path, &[CBOR], Some(Protocol::Cbor)),
            (
                "CBOR under a prefix",
                "POST",
                &under_prefix,
                &[CBOR],
                Some(Protocol::Cbor),
            ),
            (
                "CBOR by its content",
                "POST",
                path,
                &[("content-type", "application/cbor")],
                Some(Protocol::Cbor),
            ),
            (
                "a form of a web page",
                "POST",
                path,
                &[("content-type", "text/plain")],
                None,
            ),
            ("another method", "GET", "/", &[JSON], None),
            ("no target", "POST", "/", &[], None),
            (
                "another service",
                "POST",
                "/",
                &[("x-amz-target", "DynamoDB_20120810.GetItem")],
                None,
            ),
            ("CBOR without a path", "POST", "/", &[CBOR], None),
        ] {
            let target = Target::of(&parts(method, path, headers));
            let expected = expected.map(|protocol| Target {
                protocol,
                service: Service::CodeBuild,
                operation: "StartBuild".to_owned(),
            });
            assert_eq!(target, expected, "{label}");
        }
        let logs = Target::of(&parts(
            "POST",
            "/",
            &[("x-amz-target", "Logs_20140328.GetLogEvents")],
        ));
        assert_eq!(logs.unwrap().service, Service::Logs);
    }

    #[tokio::test]
    async fn an_error_is_written_as_the_clients_read_it() {
        let error = ApiError::not_found("Project cannot be found");
        let id = Uuid::from_u128(0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100);
        let json = Protocol::Json.refuse(Service::CodeBuild, id, &error);
        assert_eq!(json.status(), StatusCode::BAD_REQUEST);
        assert_eq!(
            json.headers()["x-amzn-requestid"],
            "0f0e0d0c-0b0a-0908-0706-050403020100"
        );
        assert_eq!(json.headers()["content-type"], "application/x-amz-json-1.1");
        let body = to_bytes(json.into_body(), 1000).await.unwrap();
        assert_eq!(
            &body[..],
            br#"{"__type":"ResourceNotFoundException","message":"Project cannot be found"}"#
        );
        let cbor = Protocol::Cbor.refuse(Service::CodeBuild, id, &error);
        assert_eq!(cbor.headers()["smithy-protocol"], "rpc-v2-cbor");
        let body = to_bytes(cbor.into_body(), 1000).await.unwrap();
        let start = b"\xa2\x66__type\x78\x31com.amazonaws.codebuild#ResourceNotFoundException\x67message\x77";
        assert!(body.starts_with(start), "{body:x?}");
        assert!(body.ends_with(b"Project cannot be found"));
    }

    #[test]
    fn no_body_is_an_input_without_members() {
        for protocol in [Protocol::Json, Protocol::Cbor] {
            assert_eq!(protocol.decode::<Value>(b"").unwrap(), json!({}));
            let error = protocol.decode::<Value>(b"\xff").unwrap_err();
            assert_eq!(error.code, Code::Serialization);
        }
    }
}
