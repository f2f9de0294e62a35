//! The few operations of CloudWatch Logs with which clients read the logs of builds, answered from the
//! logs that are kept in the data directory. Whoever has no AWS account reads them here.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Call, input};
use crate::api::Settings;
use crate::api::error::{ApiError, Code};
use crate::api::paging;
use crate::logs::{KeptEvent, KeptLogs, KeptPage, KeptStream};
use crate::store::Kind;

/// Events of a page at most (API, `limit`).
const MOST_EVENTS: i64 = 10_000;

/// Bytes of messages in a page at most (API, `GetLogEvents`: 1 MB).
const MOST_BYTES: usize = 1024 * 1024;

/// Bytes of logs that one request looks at at most; the answer then says where to go on.
const MOST_SEARCHED: u64 = 64 * 1024 * 1024;

/// Carries out one of the operations.
pub(super) async fn run(call: Call, operation: &str, body: &[u8]) -> Result<Vec<u8>, ApiError> {
    match operation {
        "DescribeLogGroups" => call.with(body, groups).await,
        "DescribeLogStreams" => call.with(body, streams).await,
        "FilterLogEvents" => call.with(body, filter).await,
        _ => call.with(body, events).await,
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
async fn events(call: Call, input: EventsInput) -> Result<EventsOutput, ApiError> {
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
async fn filter(call: Call, input: FilterInput) -> Result<FilterOutput, ApiError> {
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

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StreamsInput {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_stream_name_prefix: Option<String>,
    order_by: Option<OrderBy>,
    descending: Option<bool>,
    next_token: Option<String>,
    limit: Option<i64>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
enum OrderBy {
    LogStreamName,
    LastEventTime,
}

/// Lists the streams of a group.
async fn streams(call: Call, input: StreamsInput) -> Result<Value, ApiError> {
    let group = group_name(input.log_group_name, input.log_group_identifier)?;
    let asked = group.clone();
    let found = call.kept(move |logs| logs.streams(&asked)).await?;
    let mut streams = found.ok_or_else(no_group)?;
    if let Some(prefix) = &input.log_stream_name_prefix {
        streams.retain(|stream| stream.name.starts_with(prefix));
    }
    if let Some(OrderBy::LastEventTime) = input.order_by {
        streams.sort_by_key(|stream| stream.modified);
    }
    if input.descending == Some(true) {
        streams.reverse();
    }
    let list = format!(
        "DescribeLogStreams/{group}/{:?}/{:?}",
        input.order_by.is_some(),
        input.descending
    );
    let (streams, next) = part(streams, &list, input.next_token.as_deref(), input.limit)?;
    let arn = group_arn(call.settings(), &group);
    let streams: Vec<_> = streams
        .into_iter()
        .map(|stream| {
            let modified = millis(stream.modified);
            json!({
                "logStreamName": stream.name,
                "arn": format!("{arn}:log-stream:{}", stream.name),
                "lastEventTimestamp": modified,
                "lastIngestionTime": modified,
                "storedBytes": 0,
            })
        })
        .collect();
    Ok(json!({"logStreams": streams, "nextToken": next}))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GroupsInput {
    log_group_name_prefix: Option<String>,
    log_group_name_pattern: Option<String>,
    next_token: Option<String>,
    limit: Option<i64>,
}

/// Lists the groups.
async fn groups(call: Call, input: GroupsInput) -> Result<Value, ApiError> {
    let mut groups = call.kept(KeptLogs::groups).await?;
    if let Some(prefix) = &input.log_group_name_prefix {
        groups.retain(|group| group.starts_with(prefix));
    }
    if let Some(pattern) = &input.log_group_name_pattern {
        groups.retain(|group| group.contains(pattern));
    }
    let (groups, next) = part(
        groups,
        "DescribeLogGroups",
        input.next_token.as_deref(),
        input.limit,
    )?;
    let groups: Vec<_> = groups
        .into_iter()
        .map(|group| {
            let arn = group_arn(call.settings(), &group);
            json!({
                "logGroupName": group,
                "arn": format!("{arn}:*"),
                "logGroupArn": arn,
                "metricFilterCount": 0,
                "storedBytes": 0,
            })
        })
        .collect();
    Ok(json!({"logGroups": groups, "nextToken": next}))
}

/// A part of a list that fits in memory (API, `limit`: 1 to 50).
fn part<T>(
    items: Vec<T>,
    list: &str,
    token: Option<&str>,
    wanted: Option<i64>,
) -> Result<(Vec<T>, Option<String>), ApiError> {
    let Ok(limit @ 1..=50) = usize::try_from(wanted.unwrap_or(50)) else {
        return Err(ApiError::invalid(
            "Invalid limit: it is not between 1 and 50",
        ));
    };
    let start = paging::after(list, token)?;
    let start: usize = start.and_then(|start| start.parse().ok()).unwrap_or(0);
    let end = start.saturating_add(limit);
    let next = (end < items.len()).then(|| paging::token(list, &end.to_string()));
    Ok((items.into_iter().skip(start).take(limit).collect(), next))
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

fn group_arn(settings: &Settings, group: &str) -> String {
    let Settings {
        region, account, ..
    } = settings;
    format!("arn:aws:logs:{region}:{account}:log-group:{group}")
}

fn millis(time: SystemTime) -> i64 {
    Timestamp::try_from(time).map_or(0, Timestamp::as_millisecond)
}

fn no_group() -> ApiError {
    ApiError::not_found("The specified log group does not exist.")
}

fn no_stream(group: &str, stream: &str) -> ApiError {
    ApiError::new(
        Code::ResourceNotFound,
        format!(
            "The specified log stream does not exist: {stream} in {group}. The log of a build is on the machine that ran it, for as long as it is kept."
        ),
    )
}
