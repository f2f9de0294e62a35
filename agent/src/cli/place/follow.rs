//! A build as it goes on: its log to standard output, until it is over.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::{Place, exit_of, text, unknown};
use crate::cli::exit::{Exit, Failure, tell};
use crate::cli::print;

/// Time between two looks at a build that is not over.
const LOOK: Duration = Duration::from_millis(500);

/// Looks at one build.
pub(in crate::cli) async fn look(place: &Place, id: &str) -> Result<Value, Failure> {
    let mut found = place
        .codebuild("BatchGetBuilds", &json!({"ids": [id]}))
        .await?;
    match found["builds"].get_mut(0).map(Value::take) {
        Some(build) => Ok(build),
        None => Err(unknown(id)),
    }
}

/// A log and how far it was shown.
#[derive(Debug)]
pub(in crate::cli) struct LogReader<'a> {
    place: &'a Place,
    group: String,
    stream: String,
    token: Option<String>,
    is_empty: bool,
}

impl<'a> LogReader<'a> {
    pub(in crate::cli) fn of(place: &'a Place, build: &Value) -> Self {
        Self {
            place,
            group: text(&build["logs"], "groupName").to_owned(),
            stream: text(&build["logs"], "streamName").to_owned(),
            token: None,
            is_empty: true,
        }
    }

    /// Prints what is new. A log that is not there yet is an empty one.
    pub(in crate::cli) async fn print_new(&mut self) -> Result<(), Failure> {
        loop {
            let mut input = json!({
                "logGroupName": self.group,
                "logStreamName": self.stream,
                "startFromHead": true,
            });
            if let Some(token) = &self.token {
                input["nextToken"] = token.as_str().into();
            }
            let page = match self.place.logs("GetLogEvents", &input).await {
                Err(error) if error.is_not_found() => return Ok(()),
                page => page?,
            };
            let events = page["events"].as_array().into_iter().flatten();
            let lines: String = events.map(|event| text(event, "message")).collect();
            self.is_empty &= lines.is_empty();
            print(lines.as_bytes())?;
            let next = text(&page, "nextForwardToken").to_owned();
            let is_end = self.token.as_ref() == Some(&next);
            self.token = Some(next);
            if is_end {
                return Ok(());
            }
        }
    }

    /// Says so if there is no log of a build that is over: every build that ran has one.
    pub(in crate::cli) fn tell_if_missing(&self, id: &str) {
        if self.is_empty {
            tell(format_args!(
                "{id}: there is no log here: it is on the machine that ran the build, for as long as it is kept there"
            ));
        }
    }
}

/// Shows the log of a build until it is over, tells its phases on standard error, and gives the exit
/// code that its outcome stands for.
pub(in crate::cli) async fn to_the_end(place: &Place, id: &str) -> Result<Exit, Failure> {
    let mut build = look(place, id).await?;
    let mut log = LogReader::of(place, &build);
    let mut told = 0;
    loop {
        let phases = build["phases"].as_array().map_or(&[][..], Vec::as_slice);
        for phase in phases.iter().skip(told) {
            tell(format_args!("{id}: {}", text(phase, "phaseType")));
        }
        told = told.max(phases.len());
        log.print_new().await?;
        if build["buildComplete"] == true {
            log.tell_if_missing(id);
            tell(format_args!("{id}: {}", text(&build, "buildStatus")));
            return Ok(exit_of(&build));
        }
        sleep(LOOK).await;
        build = look(place, id).await?;
    }
}
