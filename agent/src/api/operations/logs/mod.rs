//! The few operations of CloudWatch Logs with which clients read the logs of builds, answered from the
//! logs that are kept in the data directory. Whoever has no AWS account reads them here.

mod events;
mod listing;
mod search;

use std::io;

use super::{Call, input};
use crate::api::error::ApiError;
use crate::logs::KeptLogs;

/// Events of a page at most (API, `limit`).
const MOST_EVENTS: i64 = 10_000;

/// Bytes of messages in a page at most (API, `GetLogEvents`: 1 MB).
const MOST_BYTES: usize = 1024 * 1024;

/// Carries out one of the operations.
pub(super) async fn run(call: Call, operation: &str, body: &[u8]) -> Result<Vec<u8>, ApiError> {
    match operation {
        "DescribeLogGroups" => call.with(body, listing::groups).await,
        "DescribeLogStreams" => call.with(body, listing::streams).await,
        "FilterLogEvents" => call.with(body, search::filter).await,
        _ => call.with(body, events::events).await,
    }
}

impl Call {
    /// Asks the kept logs something, away from the tasks that must not wait for a disk.
    async fn kept<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&KeptLogs) -> io::Result<T> + Send + 'static,
    ) -> Result<T, ApiError> {
        let logs = self.tools.logs.clone();
        let asked = tokio::task::spawn_blocking(move || ask(&logs)).await;
        match asked.map_err(ApiError::fault)? {
            Ok(answer) => Ok(answer),
            Err(error) if error.kind() == io::ErrorKind::InvalidFilename => {
                Err(ApiError::invalid(error.to_string()))
            }
            Err(error) => Err(ApiError::fault(error)),
        }
    }
}

/// From when, and until when; the end is not in it.
#[derive(Debug, Clone, Copy)]
struct Window {
    start: Option<i64>,
    end: Option<i64>,
}

impl Window {
    fn holds(self, millis: i64) -> bool {
        self.start.is_none_or(|start| start <= millis) && self.end.is_none_or(|end| millis < end)
    }
}

fn limit(wanted: Option<i64>) -> Result<usize, ApiError> {
    match wanted.unwrap_or(MOST_EVENTS) {
        limit @ 1..=MOST_EVENTS => Ok(usize::try_from(limit).unwrap_or_default()),
        _ => Err(ApiError::invalid(
            "Invalid limit: it is not between 1 and 10000",
        )),
    }
}

/// The group that a name or an ARN names.
fn group_name(name: Option<String>, identifier: Option<String>) -> Result<String, ApiError> {
    let name = input::required("logGroupName", name.or(identifier))?;
    Ok(match name.split_once(":log-group:") {
        Some((_, group)) => group.trim_end_matches(":*").to_owned(),
        None => name,
    })
}

fn no_group() -> ApiError {
    ApiError::not_found("The specified log group does not exist.")
}
