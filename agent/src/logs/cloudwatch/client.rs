//! The operations of CloudWatch Logs that a log takes, and what their errors mean for it.

use std::error::Error;
use std::io;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_cloudwatchlogs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudwatchlogs::types::{InputLogEvent, RejectedLogEventsInfo};
use aws_smithy_types::error::display::DisplayErrorContext;

use super::LogStream;
use super::cutter::LogEvent;

/// Most time for one call; what is not answered by then is in doubt.
const CALL_LIMIT: Duration = Duration::from_secs(30);

/// Most time for a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Most events of one page (API, `GetLogEvents`).
const PAGE_EVENTS: i32 = 10_000;

/// More pages are not read to settle a doubt.
const PAGES: usize = 1000;

/// A client for one log stream. It retries nothing by itself: whether a call may be repeated is for
/// the caller to know.
#[derive(Debug)]
pub(super) struct Client {
    client: aws_sdk_cloudwatchlogs::Client,
    stream: LogStream,
}

/// Why a call did not succeed.
#[derive(Debug)]
pub(super) struct CallError {
    /// What it means.
    pub(super) meaning: Meaning,
    /// What the service or the client says, with all causes.
    pub(super) message: String,
}

/// What a failed call means for its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// They were not taken: come back later.
    Later,
    /// They were not taken: group or stream does not exist.
    Missing,
    /// They were not taken, and will not be until somebody mends the credentials.
    Refused,
    /// They were not taken, and will not be until somebody grants the permission.
    Denied,
    /// They were not taken, and never will be as they are.
    Malformed,
    /// They may have been taken.
    Doubtful,
}

impl Meaning {
    /// Whether it takes a person to change it.
    pub(super) fn is_refusal(self) -> bool {
        matches!(self, Self::Refused | Self::Denied)
    }
}

impl Client {
    /// Makes the client.
    pub(super) fn new(client: &aws_sdk_cloudwatchlogs::Client, stream: LogStream) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_LIMIT)
            .operation_timeout(CALL_LIMIT)
            .build();
        let config = client
            .config()
            .to_builder()
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .build();
        Self {
            client: aws_sdk_cloudwatchlogs::Client::from_conf(config),
            stream,
        }
    }

    /// The stream.
    pub(super) fn stream(&self) -> &LogStream {
        &self.stream
    }

    /// Makes group and stream unless they exist. The group usually does, so it comes second.
    pub(super) async fn create(&self) -> Result<(), CallError> {
        match self.create_stream().await {
            Err(error) if error.meaning == Meaning::Missing => {
                let group = self.client.create_log_group();
                let created = group.log_group_name(&self.stream.group).send().await;
                existing(created.map(drop))?;
                self.create_stream().await
            }
            created => created,
        }
    }

    async fn create_stream(&self) -> Result<(), CallError> {
        let stream = self.client.create_log_stream();
        let created = stream
            .log_group_name(&self.stream.group)
            .log_stream_name(&self.stream.name)
            .send()
            .await;
        existing(created.map(drop))
    }

    /// Sends events, in order and within the limits of one call. Gives the number of those that the
    /// service did not want for their age.
    pub(super) async fn put(&self, events: &[LogEvent]) -> Result<usize, CallError> {
        let inputs = events.iter().map(|event| {
            let input = InputLogEvent::builder().timestamp(event.time_millis);
            input.message(event.message.as_str()).build()
        });
        let inputs: Result<Vec<_>, _> = inputs.collect();
        let put = self
            .client
            .put_log_events()
            .log_group_name(&self.stream.group)
            .log_stream_name(&self.stream.name)
            .set_log_events(inputs.ok())
            .send()
            .await;
        match put {
            Ok(output) => Ok(output
                .rejected_log_events_info()
                .map_or(0, |rejected| rejected_count(rejected, events.len()))),
            // What services said before sequence numbers were given up.
            Err(error) if error.code() == Some("DataAlreadyAcceptedException") => Ok(0),
            Err(error) => Err(CallError::of(&error)),
        }
    }

    /// The stream's events from a time on, as times and messages in their order.
    pub(super) async fn events_since(
        &self,
        time_millis: i64,
    ) -> Result<Vec<(i64, String)>, CallError> {
        let mut events = Vec::new();
        let mut token: Option<String> = None;
        for _ in 0..PAGES {
            let page = self
                .client
                .get_log_events()
                .log_group_name(&self.stream.group)
                .log_stream_name(&self.stream.name)
                .start_time(time_millis)
                .start_from_head(true)
                .limit(PAGE_EVENTS)
                .set_next_token(token.clone())
                .send()
                .await
                .map_err(|error| CallError::of(&error))?;
            let found = page.events.unwrap_or_default().into_iter();
            events.extend(found.map(|event| {
                (
                    event.timestamp.unwrap_or_default(),
                    event.message.unwrap_or_default(),
                )
            }));
            // The end is where the token stays the same: a page may be empty before.
            if page.next_forward_token == token {
                break;
            }
            token = page.next_forward_token;
        }
        Ok(events)
    }
}

/// How many of a call's events were dropped one by one (API, `RejectedLogEventsInfo`): those before
/// and at the old end, and those from the new start on.
fn rejected_count(rejected: &RejectedLogEventsInfo, sent: usize) -> usize {
    let index = |index: Option<i32>| index.and_then(|index| usize::try_from(index).ok());
    let old = index(rejected.too_old_log_event_end_index)
        .max(index(rejected.expired_log_event_end_index))
        .unwrap_or(0)
        .min(sent);
    let new = index(rejected.too_new_log_event_start_index).unwrap_or(sent);
    old + sent.saturating_sub(new.max(old))
}

/// That something exists already is as good as having made it.
fn existing<E, R>(created: Result<(), SdkError<E, R>>) -> Result<(), CallError>
where
    E: 'static,
    R: 'static,
    SdkError<E, R>: ProvideErrorMetadata + Error,
{
    match created {
        Err(error) if error.code() != Some("ResourceAlreadyExistsException") => {
            Err(CallError::of(&error))
        }
        _ => Ok(()),
    }
}

impl CallError {
    fn of<E: 'static, R: 'static>(error: &SdkError<E, R>) -> Self
    where
        SdkError<E, R>: ProvideErrorMetadata + Error,
    {
        let meaning = match error {
            SdkError::ServiceError(_) => error.code().map_or(Meaning::Doubtful, meaning),
            _ if never_connected(error) => Meaning::Later,
            SdkError::ConstructionFailure(_) => Meaning::Later,
            _ => Meaning::Doubtful,
        };
        Self {
            meaning,
            message: DisplayErrorContext(error).to_string(),
        }
    }
}

/// What an error that the service names means.
fn meaning(code: &str) -> Meaning {
    match code {
        "ThrottlingException"
        | "Throttling"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "LimitExceededException" => Meaning::Later,
        "ResourceNotFoundException" => Meaning::Missing,
        "InvalidParameterException" | "ValidationException" | "SerializationException" => {
            Meaning::Malformed
        }
        "AccessDeniedException" | "AccessDenied" => Meaning::Denied,
        "ExpiredTokenException"
        | "IncompleteSignature"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "MissingAuthenticationTokenException"
        | "OptInRequired"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException" => Meaning::Refused,
        _ => Meaning::Doubtful,
    }
}

/// Whether nobody answered at the address: then nothing was sent.
fn never_connected(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if matches!(
            kind,
            Some(
                io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::HostUnreachable
                    | io::ErrorKind::NetworkUnreachable
            )
        ) {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_that_the_service_drops_are_counted_once() {
        let info = |old: Option<i32>, expired: Option<i32>, new: Option<i32>| {
            let info = RejectedLogEventsInfo::builder()
                .set_too_old_log_event_end_index(old)
                .set_expired_log_event_end_index(expired)
                .set_too_new_log_event_start_index(new);
            rejected_count(&info.build(), 10)
        };
        assert_eq!(info(None, None, None), 0);
        assert_eq!(info(Some(3), None, None), 3);
        assert_eq!(info(Some(3), Some(4), None), 4, "too old and expired");
        assert_eq!(info(None, None, Some(8)), 2);
        assert_eq!(info(Some(3), None, Some(8)), 5);
        assert_eq!(info(Some(99), None, Some(-1)), 10, "nonsense");
    }
}
