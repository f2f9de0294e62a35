//! SNS: an event is the message of a `Publish`.

use async_trait::async_trait;
use aws_sdk_sns::error::ProvideErrorMetadata;
use aws_sdk_sns::types::MessageAttributeValue;
use futures_util::future::join_all;
use serde_json::Value;

use super::{Destination, Sent};
use crate::credentials::{Session, describe};
use crate::store::Message;

/// Calls at a time.
const CALLS: u32 = 8;

/// Errors that stay: the message itself is what SNS does not take.
const LASTING: [&str; 3] = [
    "InvalidParameter",
    "InvalidParameterValue",
    "ValidationException",
];

/// A topic.
#[derive(Debug)]
pub(super) struct Topic {
    /// Its ARN.
    pub(super) arn: String,
    /// The agent's way to AWS.
    pub(super) session: Session,
}

impl Topic {
    async fn tell(&self, message: &Message) -> Sent {
        let region = self
            .arn
            .split(':')
            .nth(3)
            .filter(|region| !region.is_empty());
        let client = self.session.sns(region).await;
        let mut publish = client
            .publish()
            .topic_arn(&self.arn)
            .message(&message.payload);
        for (name, value) in attributes(&message.payload) {
            let value = MessageAttributeValue::builder()
                .data_type("String")
                .string_value(value)
                .build();
            match value {
                Ok(value) => publish = publish.message_attributes(name, value),
                Err(error) => return Sent::Refused(error.to_string()),
            }
        }
        if self.arn.strip_suffix(".fifo").is_some() {
            publish = publish
                .message_group_id(message.build.uuid.to_string())
                .message_deduplication_id(message.id.to_string());
        }
        match Box::pin(publish.send()).await {
            Ok(_) => Sent::Arrived,
            Err(error) => {
                let code = error
                    .as_service_error()
                    .and_then(ProvideErrorMetadata::code);
                let is_lasting = code.is_some_and(|code| LASTING.contains(&code));
                let problem = describe(&error);
                if is_lasting {
                    Sent::Refused(problem)
                } else {
                    Sent::not_yet(problem)
                }
            }
        }
    }
}

#[async_trait]
impl Destination for Topic {
    fn batch(&self) -> u32 {
        CALLS
    }

    async fn send(&self, messages: &[Message]) -> Vec<Sent> {
        join_all(messages.iter().map(|message| self.tell(message))).await
    }
}

/// What filter policies of subscriptions can go by.
fn attributes(payload: &str) -> Vec<(&'static str, String)> {
    let event: Value = serde_json::from_str(payload).unwrap_or_default();
    let detail = &event["detail"];
    let status = match &detail["build-status"] {
        Value::Null => &detail["completed-phase-status"],
        status => status,
    };
    let attributes = [
        ("detail-type", &event["detail-type"]),
        ("project-name", &detail["project-name"]),
        ("status", status),
    ];
    let text = |(name, value): (&'static str, &Value)| Some((name, value.as_str()?.to_owned()));
    attributes.into_iter().filter_map(text).collect()
}
