//! EventBridge: events become entries of `PutEvents`.

use async_trait::async_trait;
use aws_sdk_eventbridge::types::{PutEventsRequestEntry, PutEventsResultEntry};
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use serde_json::Value;

use super::{Destination, Sent, size};
use crate::credentials::{Session, describe};
use crate::store::Message;

/// Most entries of a call (API, `PutEvents`).
const ENTRIES: usize = 10;

/// Errors of an entry that stay.
const LASTING: [&str; 5] = [
    "InvalidAccountIdException",
    "InvalidArgument",
    "MalformedDetail",
    "NotAuthorizedForSourceException",
    "NotAuthorizedForDetailTypeException",
];

/// A bus.
#[derive(Debug)]
pub(super) struct EventBus {
    /// Its name or ARN.
    pub(super) bus: String,
    /// The agent's way to AWS.
    pub(super) session: Session,
}

impl EventBus {
    /// The Region of a bus that is named by its ARN.
    fn region(&self) -> Option<&str> {
        self.bus.strip_prefix("arn:")?.split(':').nth(2)
    }

    async fn put(&self, entries: Vec<PutEventsRequestEntry>) -> Vec<Sent> {
        let count = entries.len();
        let client = self.session.event_bridge(self.region()).await;
        let put = client.put_events().set_entries(Some(entries)).send();
        match Box::pin(put).await {
            Ok(answer) => {
                let mut sent: Vec<Sent> = answer.entries().iter().map(verdict).collect();
                sent.resize(count, Sent::not_yet("EventBridge said nothing of it"));
                sent
            }
            // Whatever it is, somebody can mend it in time: a bus, a permission, an endpoint.
            Err(error) => vec![Sent::not_yet(describe(&error)); count],
        }
    }
}

#[async_trait]
impl Destination for EventBus {
    fn batch(&self) -> u32 {
        10
    }

    async fn send(&self, messages: &[Message]) -> Vec<Sent> {
        let mut sent = Vec::with_capacity(messages.len());
        let mut rest = messages;
        while !rest.is_empty() {
            let (call, later) = rest.split_at(one_call(rest));
            sent.extend(
                self.put(
                    call.iter()
                        .map(|message| entry(&self.bus, message))
                        .collect(),
                )
                .await,
            );
            rest = later;
        }
        sent
    }
}

/// How many messages fit into the next call: all together are limited as one alone.
fn one_call(messages: &[Message]) -> usize {
    let mut bytes = 0;
    let fits = |message: &&Message| {
        bytes += message.payload.len();
        bytes <= size::LIMIT_BYTES
    };
    let fitting = messages.iter().take(ENTRIES).take_while(fits).count();
    fitting.max(1)
}

/// An entry has the identity of the event in its detail: EventBridge gives each entry a new one.
fn entry(bus: &str, message: &Message) -> PutEventsRequestEntry {
    let mut event: Value = serde_json::from_str(&message.payload).unwrap_or_default();
    let mut detail = event["detail"].take();
    detail["event-id"] = message.id.to_string().into();
    let text = |member: &str| event[member].as_str().unwrap_or_default();
    let resources = event["resources"].as_array().into_iter().flatten();
    let resources = resources.filter_map(|arn| arn.as_str().map(str::to_owned));
    PutEventsRequestEntry::builder()
        .event_bus_name(bus)
        .source(text("source"))
        .detail_type(text("detail-type"))
        .set_resources(Some(resources.collect()))
        .set_time(DateTime::from_str(text("time"), Format::DateTime).ok())
        .detail(detail.to_string())
        .build()
}

fn verdict(entry: &PutEventsResultEntry) -> Sent {
    let Some(code) = entry.error_code() else {
        return Sent::Arrived;
    };
    let problem = format!("{code}: {}", entry.error_message().unwrap_or_default());
    if code == "NotAuthorizedForSourceException" {
        return Sent::Refused(format!(
            "{problem} (EventBridge keeps sources that begin with `aws.` to AWS: set another `source`)"
        ));
    }
    if LASTING.contains(&code) {
        Sent::Refused(problem)
    } else {
        Sent::not_yet(problem)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::BuildId;

    fn message(payload: String) -> Message {
        Message {
            id: uuid::Uuid::nil(),
            build: BuildId::new("demo".parse().unwrap()),
            ordinal: 1,
            attempts: 1,
            payload,
        }
    }

    #[test]
    fn an_entry_says_what_the_event_says() {
        let event = json!({"source": "s", "detail-type": "t", "time": "2026-11-03T21:28:52Z",
            "resources": ["arn:r"], "detail": {"a": 1}});
        let entry = entry("bus", &message(event.to_string()));
        assert_eq!(entry.event_bus_name(), Some("bus"));
        assert_eq!(
            (entry.source(), entry.detail_type()),
            (Some("s"), Some("t"))
        );
        assert_eq!(entry.resources(), ["arn:r"]);
        assert_eq!(entry.time().map(DateTime::secs), Some(1_793_741_332));
        let detail: Value = serde_json::from_str(entry.detail().unwrap()).unwrap();
        let id = "00000000-0000-0000-0000-000000000000";
        assert_eq!(detail, json!({"a": 1, "event-id": id}));
    }

    #[test]
    fn a_call_takes_ten_entries_and_what_is_small_enough() {
        let of = |bytes: usize, count: usize| vec![message("x".repeat(bytes)); count];
        assert_eq!(one_call(&of(10, 3)), 3);
        assert_eq!(one_call(&of(10, 30)), 10);
        assert_eq!(one_call(&of(100 * 1024, 3)), 2);
        assert_eq!(
            one_call(&of(300 * 1024, 3)),
            1,
            "it is for EventBridge to refuse"
        );
    }

    #[test]
    fn entries_that_fail_for_good_are_told_apart() {
        let failed = |code: &str| {
            let entry = PutEventsResultEntry::builder().error_code(code);
            verdict(&entry.error_message("m").build())
        };
        assert_eq!(
            failed("ThrottlingException"),
            Sent::not_yet("ThrottlingException: m")
        );
        assert_eq!(
            failed("MalformedDetail"),
            Sent::Refused("MalformedDetail: m".to_owned())
        );
        let Sent::Refused(told) = failed("NotAuthorizedForSourceException") else {
            panic!("for good");
        };
        assert!(told.contains("set another `source`"), "{told}");
        let taken = PutEventsResultEntry::builder().event_id("1").build();
        assert_eq!(verdict(&taken), Sent::Arrived);
    }

    #[test]
    fn the_region_of_a_bus_is_that_of_its_arn() {
        for (bus, region) in [
            ("default", None),
            (
                "arn:aws:events:eu-west-1:123456789012:event-bus/ci",
                Some("eu-west-1"),
            ),
        ] {
            let session = crate::credentials::Aws::new("us-east-1").agent().clone();
            let bus = EventBus {
                bus: bus.to_owned(),
                session,
            };
            assert_eq!(bus.region(), region);
        }
    }
}
