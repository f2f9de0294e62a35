//! `DescribeLogGroups` and `DescribeLogStreams`: which logs there are.

use std::time::SystemTime;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Call, group_name, no_group};
use crate::api::Settings;
use crate::api::error::ApiError;
use crate::api::paging;
use crate::logs::KeptLogs;

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
pub(super) async fn streams(call: Call, input: StreamsInput) -> Result<Value, ApiError> {
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
pub(super) async fn groups(call: Call, input: GroupsInput) -> Result<Value, ApiError> {
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

fn group_arn(settings: &Settings, group: &str) -> String {
    let Settings {
        region, account, ..
    } = settings;
    format!("arn:aws:logs:{region}:{account}:log-group:{group}")
}

fn millis(time: SystemTime) -> i64 {
    Timestamp::try_from(time).map_or(0, Timestamp::as_millisecond)
}
