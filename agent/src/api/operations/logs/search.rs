//! `FilterLogEvents`: what the streams of a group hold.

use std::io;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Call, MOST_BYTES, Window, group_name, limit, no_group};
use crate::api::error::ApiError;
use crate::api::paging;
use crate::logs::{KeptEvent, KeptLogs, KeptStream};
use crate::store::Kind;

/// Bytes of logs that one request looks at at most; the answer then says where to go on.
const MOST_SEARCHED: u64 = 64 * 1024 * 1024;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FilterInput {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_stream_names: Option<Vec<String>>,
    log_stream_name_prefix: Option<String>,
    start_time: Option<i64>,
    end_time: Option<i64>,
    filter_pattern: Option<String>,
    next_token: Option<String>,
    limit: Option<i64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FilterOutput {
    events: Vec<Value>,
    searched_log_streams: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

/// Gives the events of a group's streams, one stream after the other, the one that was written first
/// first. `aws logs tail` asks for this.
pub(super) async fn filter(call: Call, input: FilterInput) -> Result<FilterOutput, ApiError> {
    let group = group_name(input.log_group_name, input.log_group_identifier)?;
    if input
        .filter_pattern
        .as_deref()
        .is_some_and(|pattern| pattern.contains(['{', '[', '"', '?', '%']))
    {
        return Err(ApiError::invalid(
            "Invalid filterPattern: only words that all have to be in a message are supported",
        ));
    }
    let limit = limit(input.limit)?;
    let list = format!("FilterLogEvents/{group}");
    let after = paging::after(&list, input.next_token.as_deref())?;
    let search = Search {
        group,
        names: input.log_stream_names,
        prefix: input.log_stream_name_prefix,
        window: Window {
            start: input.start_time,
            end: input.end_time,
        },
        words: input
            .filter_pattern
            .as_deref()
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect(),
        limit,
    };
    let group = search.group.clone();
    let found = call
        .kept(move |logs| search.run(logs, after.as_deref()))
        .await?;
    let (events, next) = match found {
        Some(found) => found,
        None if is_of_project(&call, &group).await? => (Vec::new(), None),
        None => return Err(no_group()),
    };
    Ok(FilterOutput {
        events,
        searched_log_streams: Vec::new(),
        next_token: next.map(|next| paging::token(&list, &next)),
    })
}

/// Whether a group is that of a project, no build of which has said anything yet.
async fn is_of_project(call: &Call, group: &str) -> Result<bool, ApiError> {
    let Some(project) = group.strip_prefix("/aws/codebuild/") else {
        return Ok(false);
    };
    let names = [project.to_owned()];
    let found = call.store().resources(Kind::Project, &names).await?;
    Ok(!found.is_empty())
}

/// What is looked for in the streams of a group.
struct Search {
    group: String,
    names: Option<Vec<String>>,
    prefix: Option<String>,
    window: Window,
    words: Vec<String>,
    limit: usize,
}

impl Search {
    /// The events found, and where to go on: the number of the stream and the place in it. `None` if
    /// there is no such group.
    fn run(
        &self,
        logs: &KeptLogs,
        after: Option<&str>,
    ) -> io::Result<Option<(Vec<Value>, Option<String>)>> {
        let Some(streams) = logs.streams(&self.group)? else {
            return Ok(None);
        };
        // By name, so that a stream which is written meanwhile does not change the order.
        let streams = streams.into_iter().filter(|stream| self.wants(stream));
        let (from_stream, from_place) = after.and_then(position).unwrap_or_default();
        let mut found = Found::default();
        for stream in streams.filter(|stream| stream.name >= from_stream) {
            let is_first = stream.name == from_stream;
            let place = if is_first { from_place } else { 0 };
            if let Some(place) = self.search(logs, &stream.name, place, &mut found)? {
                let next = format!("{place} {}", stream.name);
                return Ok(Some((found.events, Some(next))));
            }
        }
        let mut events = found.events;
        events.sort_by_key(|event| event["timestamp"].as_i64());
        Ok(Some((events, None)))
    }

    /// Searches one stream from a place on; gives the place of what did not fit any more.
    fn search(
        &self,
        logs: &KeptLogs,
        stream: &str,
        mut place: u64,
        found: &mut Found,
    ) -> io::Result<Option<u64>> {
        while let Some(page) = logs.forward(&self.group, stream, place, usize::MAX)? {
            for event in &page.events {
                if found.events.len() == self.limit || found.bytes > MOST_BYTES {
                    return Ok(Some(event.place));
                }
                if self.matches(event) {
                    found.bytes += event.message.len();
                    found.events.push(shown(stream, event));
                }
            }
            if page.end == place {
                break;
            }
            found.searched += page.end - place;
            place = page.end;
            if found.searched > MOST_SEARCHED {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    fn wants(&self, stream: &KeptStream) -> bool {
        let named = self.names.as_ref();
        let start = u64::try_from(self.window.start.unwrap_or(0)).unwrap_or(0);
        let start = SystemTime::UNIX_EPOCH + Duration::from_millis(start);
        named.is_none_or(|names| names.contains(&stream.name))
            && self.prefix.as_deref().is_none_or(|prefix| stream.name.starts_with(prefix))
            // Nothing in it is younger than its last change.
            && start <= stream.modified
    }

    fn matches(&self, event: &KeptEvent) -> bool {
        self.window.holds(event.millis)
            && self
                .words
                .iter()
                .all(|word| event.message.contains(word.as_str()))
    }
}

/// What was found so far.
#[derive(Default)]
struct Found {
    events: Vec<Value>,
    bytes: usize,
    /// Bytes of logs that were looked at.
    searched: u64,
}

fn shown(stream: &str, event: &KeptEvent) -> Value {
    // The same for the same event, so that a reader that sees it twice knows.
    let id = format!("{:013}-{stream}-{:012}", event.millis, event.place);
    json!({
        "logStreamName": stream,
        "timestamp": event.millis,
        "message": event.message,
        "ingestionTime": event.millis,
        "eventId": id,
    })
}

fn position(after: &str) -> Option<(String, u64)> {
    let (place, stream) = after.split_once(' ')?;
    Some((stream.to_owned(), place.parse().ok()?))
}
