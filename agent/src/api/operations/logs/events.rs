//! `GetLogEvents`: a page of one stream.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Call, MOST_BYTES, Window, group_name, limit};
use crate::api::error::{ApiError, Code};
use crate::api::operations::input;
use crate::logs::{KeptEvent, KeptPage};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EventsInput {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_stream_name: Option<String>,
    start_time: Option<i64>,
    end_time: Option<i64>,
    next_token: Option<String>,
    limit: Option<i64>,
    start_from_head: Option<bool>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EventsOutput {
    events: Vec<Value>,
    next_forward_token: String,
    next_backward_token: String,
}

/// Gives a page of a stream's events. At the end, the token for the next page is the one that was
/// sent: that is how readers know.
pub(super) async fn events(call: Call, input: EventsInput) -> Result<EventsOutput, ApiError> {
    let group = group_name(input.log_group_name, input.log_group_identifier)?;
    let stream = input::required("logStreamName", input.log_stream_name)?;
    let limit = limit(input.limit)?;
    let place = input.next_token.as_deref().map(Place::parse).transpose()?;
    let from_head = input.start_from_head == Some(true);
    let (forward, from) = match place {
        Some(Place::Forward(from)) => (true, Some(from)),
        Some(Place::Backward(before)) => (false, Some(before)),
        None if from_head => (true, Some(0)),
        None => (false, None),
    };
    let (asked_group, asked_stream) = (group.clone(), stream.clone());
    let page = call.kept(move |logs| match (forward, from) {
        (true, from) => logs.forward(&asked_group, &asked_stream, from.unwrap_or(0), limit),
        (false, before) => logs.backward(&asked_group, &asked_stream, before, limit),
    });
    let page = match page.await? {
        Some(page) => page,
        None if is_of_build(&stream) => KeptPage::default(),
        None => return Err(no_stream(&group, &stream)),
    };
    let (mut start, mut end) = (page.start, page.end);
    let mut kept: VecDeque<KeptEvent> = page.events.into();
    // What does not fit the page stays for the next one, in the direction of reading.
    let mut bytes: usize = kept.iter().map(|event| event.message.len()).sum();
    while bytes > MOST_BYTES && kept.len() > 1 {
        let left = if forward {
            kept.pop_back()
        } else {
            kept.pop_front()
        };
        bytes -= left.map_or(0, |event| event.message.len());
        start = kept.front().map_or(start, |event| event.place);
        end = kept.back().map_or(end, KeptEvent::end);
    }
    let window = Window {
        start: input.start_time,
        end: input.end_time,
    };
    let events = kept.iter().filter(|event| window.holds(event.millis));
    Ok(EventsOutput {
        events: events
            .map(|event| {
                json!({"timestamp": event.millis, "message": event.message, "ingestionTime": event.millis})
            })
            .collect(),
        next_forward_token: format!("f/{end}"),
        next_backward_token: format!("b/{start}"),
    })
}

/// Whether a stream has the name of a build's. Such a stream is empty until the build says something:
/// clients ask for it as soon as they know its name, and give up when it is not there.
fn is_of_build(stream: &str) -> bool {
    let name = stream.rsplit('/').next().unwrap_or(stream);
    Uuid::parse_str(name).is_ok()
}

/// A place in a stream, and in which direction it is read from there.
#[derive(Debug, Clone, Copy)]
enum Place {
    Forward(u64),
    Backward(u64),
}

impl Place {
    fn parse(token: &str) -> Result<Self, ApiError> {
        let place = match token.split_once('/') {
            Some(("f", place)) => place.parse().ok().map(Self::Forward),
            Some(("b", place)) => place.parse().ok().map(Self::Backward),
            _ => None,
        };
        place.ok_or_else(|| ApiError::invalid("The specified nextToken is invalid."))
    }
}

fn no_stream(group: &str, stream: &str) -> ApiError {
    ApiError::new(
        Code::ResourceNotFound,
        format!(
            "The specified log stream does not exist: {stream} in {group}. The log of a build is on the machine that ran it, for as long as it is kept."
        ),
    )
}
