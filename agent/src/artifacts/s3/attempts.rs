//! Trying again, for as long as an outage may last.

use std::error::Error;
use std::time::Duration;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use tokio::time::Instant;

use crate::credentials::{describe, is_transient};

/// How long a request may take until its answer begins, its content sent.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_mins(5);

/// How long a request is tried again. An artifact is hours of work; the service being away for a moment is no
/// reason to lose it.
const PATIENCE: Duration = Duration::from_mins(10);

/// Time before the second attempt; it doubles with each one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// Longest time between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How long aborting one upload is tried. A build that is stopped waits for it.
pub(super) const ABORT_LIMIT: Duration = Duration::from_secs(30);

/// Sends a request until it succeeds, is refused for good, or patience ends; the error is AWS's.
pub(super) async fn patiently<T, E, F>(mut attempt: impl FnMut() -> F) -> Result<T, String>
where
    F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let started = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        let error = match attempt().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        if !is_transient(&error) || started.elapsed() + pause > PATIENCE {
            return Err(describe(&error));
        }
        tracing::debug!(error = describe(&error), "trying again");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
