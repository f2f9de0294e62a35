//! The least of a client of AWS: an operation's input goes over one HTTP connection, signed where there
//! are credentials; its output comes back.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::anyhow;
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use axum::body::{Body, to_bytes};
use axum::http::header::{CONNECTION, HeaderValue, UPGRADE};
use axum::http::{Request, StatusCode, Uri};
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use crate::api::SHELL_PROTOCOL;
use crate::config;

/// The service of this program's own operations.
const OWN: &str = "BuildspecAgent_20261101";

/// How long the server may take for an answer.
const TIME: Duration = Duration::from_mins(1);

/// Bytes of an answer at most.
const ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// Why an operation gave no output.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum ClientError {
    /// The endpoint cannot be one.
    #[error("`{url}` is not the URL of a server: http://HOST:PORT or https://HOST:PORT")]
    Url {
        /// What was given.
        url: String,
    },
    /// The server cannot be reached, or went away.
    #[error("cannot talk to the server at {endpoint}")]
    Connection {
        /// Where it should be.
        endpoint: String,
        /// What happened.
        source: anyhow::Error,
    },
    /// The server did not do it.
    #[error("{code}: {message}")]
    Refused {
        /// CodeBuild's name of the error.
        code: String,
        /// What the server says.
        message: String,
    },
}

/// A client of one server.
#[derive(Debug)]
pub(in crate::cli) struct Client {
    endpoint: String,
    host: String,
    port: u16,
    is_tls: bool,
    region: String,
    credentials: Option<Credentials>,
}

impl Client {
    /// A client of the server at this URL. Credentials are AWS's variables; without them, requests are
    /// not signed.
    pub(in crate::cli) fn new(endpoint: &str, region: String) -> Result<Self, ClientError> {
        let invalid = || ClientError::Url {
            url: endpoint.to_owned(),
        };
        let url: Uri = endpoint.parse().map_err(|_| invalid())?;
        let is_tls = match url.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(invalid()),
        };
        let host = url.host().ok_or_else(invalid)?.to_owned();
        let variable = config::process_environment;
        let credentials = variable("AWS_ACCESS_KEY_ID").zip(variable("AWS_SECRET_ACCESS_KEY"));
        let token = variable("AWS_SESSION_TOKEN");
        Ok(Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            port: url.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
            host,
            is_tls,
            region,
            credentials: credentials
                .map(|(id, secret)| Credentials::new(id, secret, token, None, "environment")),
        })
    }

    /// Calls an operation of this program's own.
    pub(in crate::cli) async fn own(
        &self,
        operation: &str,
        input: &Value,
    ) -> Result<Value, ClientError> {
        self.call(&format!("{OWN}.{operation}"), input).await
    }

    /// Calls an operation, such as `CodeBuild_20161006.StopBuild`.
    pub(super) async fn call(&self, target: &str, input: &Value) -> Result<Value, ClientError> {
        let (answer, _) = self.answered(target, input, After::Nothing).await?;
        Ok(answer)
    }

    /// Opens a shell in a paused build: the connection is its terminal from then on.
    pub(in crate::cli) async fn attach(
        &self,
        input: &Value,
    ) -> Result<ShellConnection, ClientError> {
        let target = format!("{OWN}.AttachBuild");
        let (_, upgraded) = self.answered(&target, input, After::Shell).await?;
        let no_shell = || self.broken(anyhow!("it opened no shell"));
        upgraded.ok_or_else(no_shell)
    }

    fn broken(&self, source: anyhow::Error) -> ClientError {
        ClientError::Connection {
            endpoint: self.endpoint.clone(),
            source,
        }
    }

    async fn answered(
        &self,
        target: &str,
        input: &Value,
        after: After,
    ) -> Result<(Value, Option<ShellConnection>), ClientError> {
        let called = timeout(TIME, self.send(target, input, after)).await;
        let called = called.unwrap_or_else(|_| {
            Err(anyhow!(
                "it did not answer within {} seconds",
                TIME.as_secs()
            ))
        });
        let answer = called.map_err(|source| self.broken(source))?;
        if answer.is_good {
            return Ok((answer.body, answer.shell));
        }
        Err(ClientError::Refused {
            code: super::text(&answer.body, "__type").to_owned(),
            message: super::text(&answer.body, "message").to_owned(),
        })
    }

    async fn send(&self, target: &str, input: &Value, after: After) -> anyhow::Result<Answer> {
        let request = self.request(target, input, after)?;
        // An address of IPv6 stands in brackets in a URL, and nowhere else.
        let host = self.host.trim_matches(['[', ']']);
        let stream = TcpStream::connect((host, self.port)).await?;
        // Keys and what they bring about are not held back.
        stream.set_nodelay(true)?;
        if self.is_tls {
            let name = ServerName::try_from(host.to_owned())?;
            exchange(connector()?.connect(name, stream).await?, request).await
        } else {
            exchange(stream, request).await
        }
    }

    fn request(&self, target: &str, input: &Value, after: After) -> anyhow::Result<Request<Body>> {
        let body = input.to_string();
        let url: Uri = self.endpoint.parse()?;
        let authority = url.authority().map(ToString::to_string).unwrap_or_default();
        let headers = [
            ("host", authority.as_str()),
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", target),
        ];
        let mut request = Request::builder().method("POST").uri(url.path());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let mut request = request.body(Body::from(body.clone()))?;
        if let Some(credentials) = &self.credentials {
            let service = if target.starts_with("Logs_") {
                "logs"
            } else {
                "codebuild"
            };
            let identity = credentials.clone().into();
            let parameters = v4::SigningParams::builder()
                .identity(&identity)
                .region(&self.region)
                .name(service)
                .time(SystemTime::now())
                .settings(SigningSettings::default())
                .build()?
                .into();
            let body = SignableBody::Bytes(body.as_bytes());
            let url = url.to_string();
            let signable = SignableRequest::new("POST", &url, headers.into_iter(), body)?;
            let (instructions, _) = sign(signable, &parameters)?.into_parts();
            instructions.apply_to_request_http1x(&mut request);
        }
        if after == After::Shell {
            let headers = request.headers_mut();
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(UPGRADE, HeaderValue::from_static(SHELL_PROTOCOL));
        }
        Ok(request)
    }
}

/// What a connection is for after its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// Nothing more.
    Nothing,
    /// A shell.
    Shell,
}

/// An answer.
struct Answer {
    is_good: bool,
    body: Value,
    shell: Option<ShellConnection>,
}

/// A connection that is the terminal of a shell.
#[derive(Debug)]
pub(in crate::cli) struct ShellConnection {
    /// What the connection carries.
    pub(in crate::cli) stream: TokioIo<Upgraded>,
    /// What drives the connection; it ends with this value.
    _driver: JoinSet<()>,
}

/// Sends one request over a connection.
async fn exchange<S>(stream: S, request: Request<Body>) -> anyhow::Result<Answer>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut driver = JoinSet::new();
    driver.spawn(async move {
        // Whatever goes wrong with it is told to the one who sends.
        let _ = connection.with_upgrades().await;
    });
    let answer = sender.send_request(request).await?;
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        let stream = TokioIo::new(hyper::upgrade::on(answer).await?);
        return Ok(Answer {
            is_good: true,
            body: Value::Null,
            shell: Some(ShellConnection {
                stream,
                _driver: driver,
            }),
        });
    }
    let is_good = answer.status().is_success();
    let body = to_bytes(Body::new(answer.into_body()), ANSWER_BYTES).await?;
    Ok(Answer {
        is_good,
        body: serde_json::from_slice(&body)?,
        shell: None,
    })
}

/// TLS with the certificates that this machine trusts, or those of AWS's variable for the purpose.
fn connector() -> anyhow::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = config::process_environment("AWS_CA_BUNDLE").map(PathBuf::from) {
        for certificate in CertificateDer::pem_file_iter(file)? {
            roots.add(certificate?)?;
        }
    } else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
