//! Who asks, and what they may do: a request goes in, a caller or a refusal comes out.

pub(super) mod keys;
mod policy;
mod rate;
pub(super) mod sigv4;

use std::sync::Arc;
use std::time::Instant;

use axum::http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderValue};
use axum::http::request::Parts;
use hmac::Mac;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use super::error::{ApiError, Code};
use super::wire::Target;
use keys::{Keyring, OpenKey};
pub(super) use policy::{Access, check_overrides};
use rate::RateLimit;
use sigv4::{Authorization, Signed};

/// Who sent a request.
#[derive(Debug, Clone)]
pub(super) enum Caller {
    /// Somebody on this machine, where no keys were issued.
    Local,
    /// A user of this machine who may open the store itself.
    User(Arc<str>),
    /// The holder of a key.
    Key(Arc<OpenKey>),
}

impl Caller {
    /// Its name, as it stands in builds and in the audit log.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Local => "local",
            Self::User(name) => name,
            Self::Key(open) => &open.key.name,
        }
    }

    /// The id of its key.
    pub(super) fn access_key_id(&self) -> Option<&str> {
        match self {
            Self::Local | Self::User(_) => None,
            Self::Key(open) => Some(&open.id),
        }
    }
}

/// Lets requests in.
#[derive(Debug)]
pub(super) struct Gate {
    keyring: Keyring,
    limit: RateLimit,
    /// Whether only this machine can reach the server.
    is_local: bool,
}

impl Gate {
    pub(super) fn new(keyring: Keyring, requests_per_second: u32, is_local: bool) -> Self {
        Self {
            keyring,
            limit: RateLimit::new(requests_per_second),
            is_local,
        }
    }

    /// Finds out who sent a request.
    pub(super) async fn admit(
        &self,
        parts: &Parts,
        target: &Target,
        body: &[u8],
    ) -> Result<Caller, ApiError> {
        let keys = self.keyring.keys().await.map_err(ApiError::fault)?;
        if keys.is_empty() && self.is_local {
            check_host(&parts.headers)?;
            return Ok(Caller::Local);
        }
        let header = parts.headers.get(AUTHORIZATION).ok_or_else(|| {
            ApiError::new(
                Code::MissingAuthenticationToken,
                "Missing Authentication Token",
            )
        })?;
        let header = header.to_str().unwrap_or_default();
        let authorization = Authorization::parse(header)?;
        let open = self.keyring.key(authorization.access_key_id).await;
        let open = open.map_err(ApiError::fault)?.ok_or_else(unknown)?;
        let request = Signed {
            parts,
            target,
            body_sha256: Sha256::digest(body).into(),
        };
        let now = Timestamp::now();
        authorization.verify(&request, &open.secret, now)?;
        check_session(&open, &parts.headers, now)?;
        if self.limit.admits(&open.id, Instant::now()) {
            return Ok(Caller::Key(open));
        }
        // The official action for GitHub knows throttling by this text.
        Err(ApiError::new(Code::Throttling, "Rate exceeded"))
    }
}

fn unknown() -> ApiError {
    ApiError::new(
        Code::UnrecognizedClient,
        "The security token included in the request is invalid.",
    )
}

/// A key with an end has a session token, which has to come with it.
fn check_session(open: &OpenKey, headers: &HeaderMap, now: Timestamp) -> Result<(), ApiError> {
    let sent = headers
        .get("x-amz-security-token")
        .map(HeaderValue::as_bytes);
    let is_right = match (&open.session_token, sent) {
        (None, None) => true,
        (Some(token), Some(sent)) => is_equal(token.expose_secret().as_bytes(), sent),
        _ => false,
    };
    if !is_right {
        return Err(unknown());
    }
    if open
        .key
        .expires_millis
        .is_some_and(|end| end <= now.as_millisecond())
    {
        return Err(ApiError::new(
            Code::ExpiredToken,
            "The security token included in the request is expired",
        ));
    }
    Ok(())
}

/// Compares in a time that does not tell where they differ: not the texts, but their hashes under a
/// key.
fn is_equal(one: &[u8], other: &[u8]) -> bool {
    sigv4::mac(b"equal", one)
        .verify_slice(&sigv4::mac(b"equal", other).finalize().into_bytes())
        .is_ok()
}

/// Without signatures, a page in a browser of this machine could talk to the server under a name of
/// its own that leads here. It cannot choose the `Host` header.
fn check_host(headers: &HeaderMap) -> Result<(), ApiError> {
    let host = headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let is_here = name == "localhost"
        || name
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    if is_here {
        return Ok(());
    }
    Err(ApiError::new(
        Code::AccessDenied,
        format!(
            "without access keys, the server answers to `localhost` and loopback addresses only, not to `{host}`; issue a key with `buildspec-agent keys create`"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_keys_only_names_of_this_machine_are_answered_to() {
        for (host, expected) in [
            ("localhost:8080", true),
            ("localhost", true),
            ("127.0.0.1:8080", true),
            ("[::1]:8080", true),
            ("evil.example:8080", false),
            ("localhost.evil.example", false),
            ("10.0.0.1:8080", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().unwrap());
            assert_eq!(check_host(&headers).is_ok(), expected, "{host}");
        }
    }
}
