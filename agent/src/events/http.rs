//! Requests to others over HTTP: one connection each, within limits of time and size; redirects are answers
//! like others.

use std::sync::OnceLock;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, header};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use tokio::time::timeout;
use tokio_rustls::rustls::crypto::aws_lc_rs;

use super::Sent;

/// How long a request may take until its answer is there.
const LIMIT: Duration = Duration::from_secs(15);

/// How long a connection may take to be made.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Bytes of an answer's body at most that are read.
const ANSWER_BYTES: usize = 16 * 1024;

/// The longest pause that the other side may ask for.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// A client that trusts the certificates that this machine trusts. They are read for the first request.
#[derive(Debug, Default)]
pub(super) struct Http(OnceLock<Client<HttpsConnector<HttpConnector>, Body>>);

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// Its status.
    pub(super) status: u16,
    /// How long the other side wants to be left alone.
    pub(super) pause: Option<Duration>,
    /// The beginning of its body, if it was a text.
    pub(super) body: String,
}

impl Http {
    /// Sends a request; what went wrong is one line for people.
    pub(super) async fn send(&self, request: Request<Body>) -> Result<Answer, String> {
        let exchanged = timeout(LIMIT, self.exchange(request)).await;
        exchanged.unwrap_or_else(|_| Err(format!("no answer within {} seconds", LIMIT.as_secs())))
    }

    async fn exchange(&self, request: Request<Body>) -> Result<Answer, String> {
        let answer = self.client()?.request(request).await;
        let answer = answer.map_err(|error| format!("{:#}", anyhow::Error::from(error)))?;
        let (status, pause) = (answer.status().as_u16(), pause(&answer));
        // The status is the answer, whatever comes of the text.
        let body = to_bytes(Body::new(answer.into_body()), ANSWER_BYTES).await;
        let body = body.unwrap_or_default();
        Ok(Answer {
            status,
            pause,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }

    fn client(&self) -> Result<&Client<HttpsConnector<HttpConnector>, Body>, String> {
        if let Some(client) = self.0.get() {
            return Ok(client);
        }
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(aws_lc_rs::default_provider())
            .map_err(|error| format!("this machine's certificates cannot be read: {error}"))?;
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_connect_timeout(Some(CONNECT_LIMIT));
        let connector = connector
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        // A connection that the other side has closed meanwhile would cost an attempt.
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(connector);
        Ok(self.0.get_or_init(|| client))
    }
}

impl Answer {
    /// What the answer to a message says of it: 2xx took it, overload and faults pass, whatever else was said
    /// will be said again.
    pub(super) fn verdict(self) -> Sent {
        let Self {
            status,
            pause,
            body,
        } = self;
        let text = body.split_whitespace().collect::<Vec<_>>().join(" ");
        let text: String = text.chars().take(200).collect();
        let problem = format!("status {status} {text}").trim_end().to_owned();
        match status {
            200..=299 => Sent::Arrived,
            408 | 425 | 429 | 500..=599 => Sent::NotYet { problem, pause },
            300..=399 => Sent::Refused(format!("{problem}: redirects are not followed")),
            _ => Sent::Refused(problem),
        }
    }
}

fn pause(answer: &Response<Incoming>) -> Option<Duration> {
    let pause = answer.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    pause_until(pause.trim(), Timestamp::now())
}

/// What `Retry-After` asks for: a number of seconds, or a date (RFC 9110, section 10.2.3).
fn pause_until(retry_after: &str, now: Timestamp) -> Option<Duration> {
    let pause = if let Ok(seconds) = retry_after.parse() {
        Duration::from_secs(seconds)
    } else {
        let date = rfc2822::DateTimeParser::new().parse_timestamp(retry_after);
        Duration::try_from(date.ok()?.duration_since(now)).unwrap_or_default()
    };
    Some(pause.min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_a_number_or_a_date_and_five_minutes_at_most() {
        let now = "2026-11-24T08:00:00Z".parse().unwrap();
        for (asked, seconds) in [
            ("0", Some(0)),
            ("120", Some(120)),
            ("86400", Some(300)),
            ("Tue, 24 Nov 2026 08:01:30 GMT", Some(90)),
            ("Tue, 24 Nov 2026 09:00:00 GMT", Some(300)),
            ("Tue, 24 Nov 2026 07:00:00 GMT", Some(0)),
            ("-1", None),
            ("99999999999999999999", None),
            ("soon", None),
        ] {
            let expected = seconds.map(Duration::from_secs);
            assert_eq!(pause_until(asked, now), expected, "{asked}");
        }
    }

    #[test]
    fn an_answer_says_what_becomes_of_a_message() {
        let verdict = |status| {
            let answer = Answer {
                status,
                pause: None,
                body: "<p>\n no".to_owned(),
            };
            answer.verdict()
        };
        for status in [200, 204] {
            assert_eq!(verdict(status), Sent::Arrived);
        }
        for status in [408, 429, 500, 503] {
            let problem = format!("status {status} <p> no");
            assert_eq!(verdict(status), Sent::not_yet(problem));
        }
        for status in [301, 400, 401, 404, 410] {
            assert!(matches!(verdict(status), Sent::Refused(_)), "{status}");
        }
    }
}
