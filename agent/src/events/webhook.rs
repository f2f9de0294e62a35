//! Webhooks: an event is the body of a signed request.

use async_trait::async_trait;
use axum::body::Body;
use axum::http::Request;
use futures_util::future::join_all;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use super::http::Http;
use super::{Destination, Sent};
use crate::config::SecretPlace;
use crate::model::hex;
use crate::secrets::{self, AwsSecrets, Reference};
use crate::source::stored::read_secret;
use crate::store::Message;

/// Requests at a time.
const REQUESTS: u32 = 8;

/// An endpoint that takes events.
#[derive(Debug)]
pub(super) struct Webhook {
    /// Where it is.
    pub(super) url: String,
    /// Where the secret is.
    pub(super) secret: SecretPlace,
    /// Looks variables up.
    pub(super) lookup: fn(&str) -> Option<String>,
    /// Looks secrets up in AWS.
    pub(super) aws: AwsSecrets,
    /// Sends requests.
    pub(super) http: Http,
}

impl Webhook {
    async fn secret(&self) -> Result<SecretString, String> {
        let secret = match &self.secret {
            SecretPlace::Variable(variable) => (self.lookup)(variable)
                .map(SecretString::from)
                .ok_or_else(|| {
                    format!("the secret is to come from the variable {variable}, which is not set")
                }),
            SecretPlace::File(path) => read_secret(path).map(SecretString::from).map_err(|error| {
                format!("cannot read the secret from {}: {error}", path.display())
            }),
            SecretPlace::SecretsManager(name) => {
                let reference = name.parse();
                let reference =
                    reference.map_err(|_| format!("`{name}` is no name of a secret"))?;
                let found =
                    secrets::look_up_one(Reference::Secret(reference), None, &self.aws).await;
                found
                    .map(|value| SecretString::from(value.expose()))
                    .map_err(|error| error.to_string())
            }
        }?;
        if secret.expose_secret().is_empty() {
            return Err("the secret is empty".to_owned());
        }
        Ok(secret)
    }

    async fn tell(&self, message: &Message, secret: &SecretString) -> Sent {
        let now = Timestamp::now().as_second();
        let request = Request::post(&self.url)
            .header("content-type", "application/json")
            .header(
                "user-agent",
                concat!("buildspec-agent/", env!("CARGO_PKG_VERSION")),
            )
            .header("x-event-id", message.id.to_string())
            .header("x-event-timestamp", now)
            .header("x-signature-256", signature(secret, now, &message.payload))
            .body(Body::from(message.payload.clone()));
        let request = match request {
            Ok(request) => request,
            Err(error) => return Sent::Refused(error.to_string()),
        };
        match self.http.send(request).await {
            Ok(answer) => answer.verdict(),
            Err(problem) => Sent::not_yet(problem),
        }
    }
}

#[async_trait]
impl Destination for Webhook {
    fn batch(&self) -> u32 {
        REQUESTS
    }

    async fn send(&self, messages: &[Message]) -> Vec<Sent> {
        let secret = match self.secret().await {
            Ok(secret) => secret,
            Err(problem) => return vec![Sent::not_yet(problem); messages.len()],
        };
        join_all(messages.iter().map(|message| self.tell(message, &secret))).await
    }
}

/// What proves that a request comes from here, and when: `sha256=` and the digits of the code over the
/// timestamp, a full stop and the body.
fn signature(secret: &SecretString, timestamp: i64, body: &str) -> String {
    let secret = secret.expose_secret().as_bytes();
    let mut code =
        <Hmac<Sha256> as KeyInit>::new_from_slice(secret).expect("HMAC takes keys of any length");
    code.update(format!("{timestamp}.{body}").as_bytes());
    format!("sha256={}", hex::encode(&code.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_everybodys_programs_compute() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac s3cret
        let signed = signature(&"s3cret".into(), 1_700_000_000, r#"{"a":1}"#);
        assert_eq!(
            signed,
            "sha256=1698a50bc74d1ff1db85c4e0a5297c2ad9fdba245d5737cdb789e4cc6e098940"
        );
    }
}
