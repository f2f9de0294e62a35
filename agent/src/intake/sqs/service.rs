//! The few calls of SQS that an intake makes.

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::MessageSystemAttributeName;

use super::message::Message;
use crate::credentials::{Aws, describe};

/// How long an answer may take that waits for messages. SQS waits for twenty seconds at most; what hangs for longer is
/// something else.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// A queue of SQS.
#[derive(Debug)]
pub(super) struct Service {
    client: Client,
    /// The same, for questions that wait for messages and are repeated by their caller.
    patient: Client,
    url: String,
}

/// Why SQS did not do something with a message.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The message is not this receiver's any more.
    Gone(String),
    /// Anything else.
    Other(String),
}

impl Service {
    /// The queue of this URL; nobody is contacted.
    pub(super) async fn new(aws: &Aws, url: &str) -> Self {
        let client = aws.agent().sqs().await;
        let timeouts = TimeoutConfig::builder().read_timeout(ANSWER_LIMIT).build();
        let patient = client
            .config()
            .to_builder()
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .build();
        Self {
            client,
            patient: Client::from_conf(patient),
            url: url.to_owned(),
        }
    }

    /// Waits for messages, so many at most, for a time, and hides them from others for a while.
    pub(super) async fn receive(
        &self,
        most: u32,
        wait: Duration,
        visibility: Duration,
    ) -> Result<Vec<Message>, String> {
        let received = self
            .patient
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(i32::try_from(most).unwrap_or(1))
            .wait_time_seconds(seconds(wait))
            .visibility_timeout(seconds(visibility))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .send()
            .await
            .map_err(|error| describe(&error))?;
        Ok(received.messages().iter().filter_map(Message::of).collect())
    }

    /// Deletes a message.
    pub(super) async fn delete(&self, receipt: &str) -> Result<(), Trouble> {
        let delete = self.client.delete_message().queue_url(&self.url);
        let deleted = delete.receipt_handle(receipt).send().await;
        deleted.map(drop).map_err(|error| trouble(&error))
    }

    /// Hides a message for so long from now on.
    pub(super) async fn hide(&self, receipt: &str, visibility: Duration) -> Result<(), Trouble> {
        let change = self
            .client
            .change_message_visibility()
            .queue_url(&self.url)
            .receipt_handle(receipt)
            .visibility_timeout(seconds(visibility));
        change
            .send()
            .await
            .map(drop)
            .map_err(|error| trouble(&error))
    }

    /// Lets others have a message at once. If that fails they have it when its time is over.
    pub(super) async fn give_back(&self, receipt: &str) {
        if let Err(Trouble::Gone(reason) | Trouble::Other(reason)) =
            self.hide(receipt, Duration::ZERO).await
        {
            tracing::debug!("a message comes back later than it could: {reason}");
        }
    }
}

fn trouble<E>(
    error: &aws_sdk_sqs::error::SdkError<E, aws_sdk_sqs::config::http::HttpResponse>,
) -> Trouble
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let text = describe(error);
    let code = error
        .as_service_error()
        .and_then(ProvideErrorMetadata::code);
    // Endpoints put the protocol's old prefix before some of them.
    let code = code.map(|code| code.rsplit('.').next().unwrap_or(code));
    match code {
        Some(
            "MessageNotInflight"
            | "ReceiptHandleIsInvalid"
            | "InvalidParameterValue"
            | "InvalidParameterValueException",
        ) => Trouble::Gone(text),
        _ => Trouble::Other(text),
    }
}

fn seconds(time: Duration) -> i32 {
    i32::try_from(time.as_secs()).unwrap_or(i32::MAX)
}
