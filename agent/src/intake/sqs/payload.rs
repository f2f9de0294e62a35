//! Payloads that are too large for a message: they lie in S3, and the message says where, in the form of AWS's extended
//! client libraries for SQS.

use std::time::Duration;

use aws_sdk_s3::error::ProvideErrorMetadata;
use serde::Deserialize;
use tokio::time::timeout;

use crate::credentials::{Aws, describe, is_transient};
use crate::intake::Refusal;

/// Bytes of a payload at most: as much as the API takes of one request.
const LIMIT_BYTES: usize = 2 * 1024 * 1024;

/// How long it may take to come.
const LIMIT: Duration = Duration::from_secs(30);

/// The names under which the libraries point to S3, the newer one first.
const POINTERS: [&str; 2] = [
    "software.amazon.payloadoffloading.PayloadS3Pointer",
    "com.amazon.sqs.javamessaging.MessageS3Pointer",
];

/// Where a payload lies.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pointer {
    s3_bucket_name: String,
    s3_key: String,
}

/// The text of a message: its body, or what its body points to.
pub(super) async fn of(body: &str, aws: &Aws) -> Result<String, Refusal> {
    match pointer(body) {
        None => Ok(body.to_owned()),
        Some(pointer) => {
            let fetched = timeout(LIMIT, fetch(&pointer, aws)).await;
            fetched.unwrap_or_else(|_| {
                Err(Refusal::ForNow(format!(
                    "its payload did not come within {} s",
                    LIMIT.as_secs()
                )))
            })
        }
    }
}

/// Reads a pointer; `None` for any other body.
fn pointer(body: &str) -> Option<Pointer> {
    if !body.trim_start().starts_with('[') {
        return None;
    }
    let (name, pointer): (String, Pointer) = serde_json::from_str(body).ok()?;
    POINTERS.contains(&name.as_str()).then_some(pointer)
}

async fn fetch(pointer: &Pointer, aws: &Aws) -> Result<String, Refusal> {
    let Pointer {
        s3_bucket_name: bucket,
        s3_key: key,
    } = pointer;
    let place = format!("s3://{bucket}/{key}");
    let too_large = || {
        let mib = LIMIT_BYTES >> 20;
        Refusal::ForGood(format!("its payload {place} is larger than {mib} MiB"))
    };
    let client = aws.agent().s3().await;
    let answer = client.get_object().bucket(bucket).key(key).send().await;
    let answer = answer.map_err(|error| {
        let reason = format!("its payload {place} cannot be had: {}", describe(&error));
        // Without an answer nobody has refused anything.
        let is_refused = error
            .as_service_error()
            .is_some_and(|error| error.code().is_some());
        if is_refused && !is_transient(&error) {
            Refusal::ForGood(reason)
        } else {
            Refusal::ForNow(reason)
        }
    })?;
    let is_large = |length: i64| usize::try_from(length).is_ok_and(|length| length > LIMIT_BYTES);
    if answer.content_length().is_some_and(is_large) {
        return Err(too_large());
    }
    let mut content = answer.body;
    let mut bytes = Vec::new();
    while let Some(piece) = content.next().await {
        let piece = piece
            .map_err(|error| Refusal::ForNow(format!("its payload {place} broke off: {error}")))?;
        if bytes.len() + piece.len() > LIMIT_BYTES {
            return Err(too_large());
        }
        bytes.extend_from_slice(&piece);
    }
    String::from_utf8(bytes)
        .map_err(|_| Refusal::ForGood(format!("its payload {place} is not text")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_of_both_libraries_are_followed_and_nothing_else() {
        let expected = || {
            Some(Pointer {
                s3_bucket_name: "b".to_owned(),
                s3_key: "k".to_owned(),
            })
        };
        let place = r#"{"s3BucketName": "b", "s3Key": "k"}"#;
        for name in POINTERS {
            assert_eq!(pointer(&format!(r#"["{name}", {place}]"#)), expected());
        }
        for body in [
            r#"["other", {"s3BucketName": "b", "s3Key": "k"}]"#,
            "{}",
            "[",
            "[1]",
        ] {
            assert_eq!(pointer(body), None, "{body}");
        }
    }
}
