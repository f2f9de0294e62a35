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
use axum::http::{Request, Uri};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use crate::config;

/// How long the server may take for an answer.
const TIME: Duration = Duration::from_mins(1);

/// Bytes of an answer at most.
const ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// Why an operation gave no output.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
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
pub(super) struct Client {
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
    pub(super) fn new(endpoint: &str, region: String) -> Result<Self, ClientError> {
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

    /// Calls an operation of CodeBuild.
    pub(super) async fn codebuild(
        &self,
        operation: &str,
        input: &Value,
    ) -> Result<Value, ClientError> {
        let target = format!("CodeBuild_20161006.{operation}");
        self.call(&target, "codebuild", input).await
    }

    /// Calls an operation of CloudWatch Logs.
    pub(super) async fn logs(&self, operation: &str, input: &Value) -> Result<Value, ClientError> {
        let target = format!("Logs_20140328.{operation}");
        self.call(&target, "logs", input).await
    }

    async fn call(&self, target: &str, service: &str, input: &Value) -> Result<Value, ClientError> {
        let called = timeout(TIME, self.send(target, service, input)).await;
        let called = called.unwrap_or_else(|_| {
            Err(anyhow!(
                "it did not answer within {} seconds",
                TIME.as_secs()
            ))
        });
        let (is_good, answer) = called.map_err(|source| ClientError::Connection {
            endpoint: self.endpoint.clone(),
            source,
        })?;
        if is_good {
            return Ok(answer);
        }
        Err(ClientError::Refused {
            code: super::text(&answer, "__type").to_owned(),
            message: super::text(&answer, "message").to_owned(),
        })
    }

    async fn send(
        &self,
        target: &str,
        service: &str,
        input: &Value,
    ) -> anyhow::Result<(bool, Value)> {
        let request = self.request(target, service, input)?;
        // An address of IPv6 stands in brackets in a URL, and nowhere else.
        let host = self.host.trim_matches(['[', ']']);
        let stream = TcpStream::connect((host, self.port)).await?;
        let (is_good, body) = if self.is_tls {
            let name = ServerName::try_from(host.to_owned())?;
            exchange(connector()?.connect(name, stream).await?, request).await?
        } else {
            exchange(stream, request).await?
        };
        Ok((is_good, serde_json::from_slice(&body)?))
    }

    fn request(&self, target: &str, service: &str, input: &Value) -> anyhow::Result<Request<Body>> {
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
        Ok(request)
    }
}

/// Sends one request over a connection. Tells whether it was carried out, and the body of the answer.
async fn exchange<S>(stream: S, request: Request<Body>) -> anyhow::Result<(bool, Vec<u8>)>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let exchanged = async {
        let answer = sender.send_request(request).await?;
        let is_good = answer.status().is_success();
        let body = to_bytes(Body::new(answer.into_body()), ANSWER_BYTES).await?;
        anyhow::Ok((is_good, body.to_vec()))
    };
    tokio::pin!(exchanged, connection);
    tokio::select! {
        exchanged = exchanged.as_mut() => exchanged,
        ended = connection.as_mut() => {
            ended?;
            // All of the answer is there once the connection has ended.
            exchanged.await
        }
    }
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
