//! What AWS says when it refuses something, and whether it is worth asking again.

use std::error::Error;
use std::fmt::Write;

use aws_config::retry::ErrorKind;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_types::request_id::RequestId;

/// Codes of errors that pass by themselves, whatever status they come with.
const TRANSIENT_CODES: [&str; 14] = [
    "BandwidthLimitExceeded",
    "IncompleteBody",
    "InternalError",
    "InternalFailure",
    "OperationAborted",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestThrottled",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
];

/// An error in the words CodeBuild repeats AWS's errors in: `Code: message status code: 400, request id: …`; where
/// there was no answer, what went wrong on the way.
pub fn describe<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let SdkError::ServiceError(refused) = error else {
        return chain(error);
    };
    let code = refused.err().code().unwrap_or("UnknownError");
    let mut text = match refused.err().message() {
        Some(message) => format!("{code}: {message}"),
        None => code.to_owned(),
    };
    let status = refused.raw().status().as_u16();
    // Text can always grow.
    let _ = write!(text, " status code: {status}");
    if let Some(id) = error.request_id() {
        let _ = write!(text, ", request id: {id}");
    }
    text
}

/// Whether the same request may succeed later: the service is out of reach, overloaded or broken, or the line was
/// cut.
pub fn is_transient<E>(error: &SdkError<E, HttpResponse>) -> bool
where
    E: ProvideErrorMetadata,
{
    match error {
        SdkError::TimeoutError(_) | SdkError::ResponseError(_) => true,
        SdkError::DispatchFailure(failure) => {
            let is_throttled = failure
                .as_other()
                .is_some_and(|kind| kind != ErrorKind::ClientError);
            failure.is_io() || failure.is_timeout() || is_throttled
        }
        SdkError::ServiceError(refused) => {
            let status = refused.raw().status().as_u16();
            let code = refused.err().code().unwrap_or_default();
            status >= 500 || status == 429 || TRANSIENT_CODES.contains(&code)
        }
        _ => false,
    }
}

/// An error and all its causes in one line; a cause that the error before it has quoted already is left out.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            let _ = write!(text, ": {words}");
        }
        cause = error.source();
    }
    text
}
