//! One request from its arrival to its answer.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::header::CONTENT_LENGTH;
use axum::http::request::Parts;
use axum::http::{Method, Request, Response, StatusCode};
use hyper::upgrade::OnUpgrade;
use jiff::Timestamp;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use uuid::Uuid;

use super::audit::{AuditLog, Entry};
use super::auth::keys::Keyring;
use super::auth::{Caller, Gate};
use super::error::{ApiError, Code};
use super::operations::{self, Call};
use super::shell::{self, Session};
use super::wire::{Protocol, Service, Target};
use crate::data_directory::DataDirectory;
use crate::docker::Engine;
use crate::logs::KeptLogs;
use crate::model::Site;
use crate::store::Store;
use crate::vault::Vault;

/// Bytes of a body at most. The largest input is a buildspec inside of a JSON text.
const BODY_BYTES: usize = 2 * 1024 * 1024;

/// A body is large from this size on, in bytes; few of them are read at a time.
const LARGE_BYTES: usize = 64 * 1024;

/// Large bodies at a time.
const LARGE_BODIES: usize = 16;

/// What the endpoint has to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Region in ARNs.
    pub region: String,
    /// Account in ARNs, 12 digits.
    pub account: String,
    /// Requests a second that a key may send on average.
    pub requests_per_second: u32,
    /// Whether only this machine can reach the server: then it works without keys.
    pub is_local: bool,
    /// Whether builds may ask for privileged mode.
    pub allows_privileged_mode: bool,
    /// Whether logs go to CloudWatch Logs of AWS where neither project nor build say a word of logs.
    pub logs_to_aws: bool,
    /// How long a client may take for the TLS handshake, for the headers of a request, which is also
    /// how long an idle connection stays, and for a body.
    pub patience: Duration,
}

impl Settings {
    /// What every build has to be told of this place.
    pub(super) fn site(&self) -> Site {
        Site {
            region: self.region.clone(),
            account: self.account.clone(),
            allows_privileged_mode: self.allows_privileged_mode,
            logs_to_aws: self.logs_to_aws,
        }
    }
}

/// Why there is no endpoint.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The audit log cannot be opened.
    #[error("cannot open the audit log {}", path.display())]
    Audit {
        /// Its path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Answers requests. Clones share everything.
#[derive(Debug, Clone)]
pub struct Endpoint(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    gate: Gate,
    audit: AuditLog,
    large_bodies: Semaphore,
    tools: Arc<operations::Tools>,
}

/// A request that came in, as far as the log wants to know.
struct Arrival {
    id: Uuid,
    from: SocketAddr,
    action: String,
}

/// A request without its body.
struct Incoming {
    parts: Parts,
    target: Target,
    /// The connection it came over, if it asks for another protocol.
    connection: Option<OnUpgrade>,
}

/// What an operation ends with.
enum Output {
    /// An output in the protocol of the request.
    Body(Vec<u8>),
    /// A shell that waits for the connection.
    Shell(Box<Session>),
}

impl Endpoint {
    /// An endpoint over a store; with the engine in which this process runs builds, if it runs some.
    pub fn new(
        settings: Settings,
        store: Arc<dyn Store>,
        vault: Vault,
        data: &DataDirectory,
        engine: Option<Engine>,
    ) -> Result<Self, EndpointError> {
        let path = data.root().join("audit.jsonl");
        let audit =
            AuditLog::open(&path).map_err(|source| EndpointError::Audit { path, source })?;
        let keyring = Keyring::new(Arc::clone(&store), vault.clone());
        Ok(Self(Arc::new(Inner {
            gate: Gate::new(keyring, settings.requests_per_second, settings.is_local),
            audit,
            large_bodies: Semaphore::new(LARGE_BODIES),
            tools: Arc::new(operations::Tools {
                settings,
                store,
                vault: Some(vault),
                logs: KeptLogs::new(data.kept_logs()),
                data: data.clone(),
                engine,
            }),
        })))
    }

    /// Answers a request that came from an address. Without a connection of its own, no shell is opened.
    pub async fn answer(&self, request: Request<Body>, from: SocketAddr) -> Response<Body> {
        self.respond(request, from).await.0
    }

    /// The answer, and what the connection is for once it is sent.
    pub(super) async fn respond(
        &self,
        request: Request<Body>,
        from: SocketAddr,
    ) -> (Response<Body>, Option<Session>) {
        let (mut parts, body) = request.into_parts();
        let id = Uuid::new_v4();
        if parts.method == Method::GET && parts.uri.path() == "/healthz" {
            return (Response::new(Body::from("ok\n")), None);
        }
        let connection = parts.extensions.remove();
        let Some(target) = Target::of(&parts) else {
            let error = ApiError::new(
                Code::UnknownOperation,
                "there is no such operation here: operations of CodeBuild are POST requests with an X-Amz-Target header or a path of smithy-rpc-v2-cbor",
            );
            let mut response = Protocol::guess(&parts).refuse(Service::CodeBuild, id, &error);
            *response.status_mut() = StatusCode::NOT_FOUND;
            return (response, None);
        };
        let arrival = Arrival {
            id,
            from,
            action: format!("{}:{}", target.service.action_prefix(), target.operation),
        };
        let incoming = Incoming {
            parts,
            target,
            connection,
        };
        let ended = self.carry_out(&arrival, &incoming, body).await;
        let Target {
            protocol, service, ..
        } = incoming.target;
        match ended {
            Ok(Output::Body(output)) => (protocol.answer(id, output), None),
            Ok(Output::Shell(session)) => (protocol.upgrade(id), Some(*session)),
            Err(error) => {
                tell(&arrival, &error);
                (protocol.refuse(service, id, &error), None)
            }
        }
    }

    async fn carry_out(
        &self,
        arrival: &Arrival,
        incoming: &Incoming,
        body: Body,
    ) -> Result<Output, ApiError> {
        let Incoming { parts, target, .. } = incoming;
        let access = operations::access(target.service, &target.operation).ok_or_else(|| {
            let message = format!("there is no operation {}", arrival.action);
            ApiError::new(Code::UnknownOperation, message)
        })?;
        let (body, _place) = self.read(parts, body).await?;
        let admitted = self.0.gate.admit(parts, target, &body).await;
        let caller = admitted.as_ref().ok().cloned();
        let admitted = admitted.and_then(|caller| {
            access.check(&caller, &arrival.action)?;
            Ok(caller)
        });
        let ended = match admitted {
            Ok(caller) => self.run(caller, incoming, &body).await,
            Err(error) => Err(error),
        };
        if !access.is_mutating() {
            return ended;
        }
        // Whoever was not let in does not make us read more than the headers say.
        let resource = caller
            .as_ref()
            .and_then(|_| target.protocol.decode(&body).ok())
            .and_then(|input| operations::resource(&input));
        self.0.audit.write(&Entry {
            time: &Timestamp::now().to_string(),
            request_id: &arrival.id.to_string(),
            from: &arrival.from.to_string(),
            access_key_id: caller.as_ref().and_then(Caller::access_key_id),
            caller: caller.as_ref().map(Caller::name),
            action: &arrival.action,
            resource: resource.as_deref(),
            error: ended.as_ref().err().map(|error| error.code.name()),
        });
        ended
    }

    async fn run(
        &self,
        caller: Caller,
        incoming: &Incoming,
        body: &[u8],
    ) -> Result<Output, ApiError> {
        let Incoming {
            parts,
            target,
            connection,
        } = incoming;
        let invocation = parts.headers.get("amz-sdk-invocation-id");
        let call = Call {
            tools: Arc::clone(&self.0.tools),
            caller,
            protocol: target.protocol,
            invocation: invocation
                .and_then(|id| id.to_str().ok())
                .map(str::to_owned),
        };
        if target.service == Service::Own && target.operation == "AttachBuild" {
            let input = target.protocol.decode(body)?;
            let session = shell::open(&call, input, connection.clone()).await?;
            return Ok(Output::Shell(Box::new(session)));
        }
        operations::run(call, target, body).await.map(Output::Body)
    }

    /// How long clients may take.
    pub(super) fn patience(&self) -> Duration {
        self.0.tools.settings.patience
    }

    /// Reads a body. What comes without a length counts as large; a large one has a place until it is
    /// answered, for what is made of it takes more memory than itself.
    async fn read(
        &self,
        parts: &Parts,
        body: Body,
    ) -> Result<(Vec<u8>, Option<SemaphorePermit<'_>>), ApiError> {
        let length = parts.headers.get(CONTENT_LENGTH);
        let length: Option<usize> = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let too_large = || {
            ApiError::new(
                Code::RequestEntityTooLarge,
                format!("the body is larger than {BODY_BYTES} bytes"),
            )
        };
        if length.is_some_and(|length| length > BODY_BYTES) {
            return Err(too_large());
        }
        let reading = async {
            let place = if length.is_none_or(|length| length > LARGE_BYTES) {
                Some(
                    self.0
                        .large_bodies
                        .acquire()
                        .await
                        .map_err(ApiError::fault)?,
                )
            } else {
                None
            };
            let bytes = to_bytes(body, BODY_BYTES).await;
            // One that names its length, within the limit, was cut off on its way.
            let bytes = bytes.map(Vec::from).map_err(|_| match length {
                Some(_) => ApiError::new(Code::Serialization, "the body was cut off".to_owned()),
                None => too_large(),
            })?;
            Ok((bytes, place))
        };
        let patience = self.patience();
        timeout(patience, reading).await.unwrap_or_else(|_| {
            Err(ApiError::new(
                Code::RequestTimeout,
                format!("the body did not come within {patience:?}"),
            ))
        })
    }
}

/// Faults are the operator's to know, the rest the client's.
fn tell(arrival: &Arrival, error: &ApiError) {
    let Arrival { id, from, action } = arrival;
    if let Some(cause) = &error.cause {
        let cause = crate::api::error::chain(cause.as_ref());
        tracing::error!(request.id = %id, "{action} failed: {cause}");
    } else {
        tracing::debug!(request.id = %id, %from, "{action} was refused: {error}");
    }
}
