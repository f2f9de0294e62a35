//! A build as it goes on: its log to standard output, until it is over.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::client::{Client, ClientError};
use super::{exit_of, text};
use crate::cli::exit::{Exit, Failure, tell};
use crate::cli::print;

/// Time between two looks at a build that is not over.
const LOOK: Duration = Duration::from_millis(500);

/// Looks at one build.
pub(super) async fn look(client: &Client, id: &str) -> Result<Value, ClientError> {
    let mut found = client
        .codebuild("BatchGetBuilds", &json!({"ids": [id]}))
        .await?;
    match found["builds"].get_mut(0).map(Value::take) {
        Some(build) => Ok(build),
        None => Err(ClientError::Refused {
            code: "ResourceNotFoundException".to_owned(),
            message: format!("Build {id} does not exist"),
        }),
    }
}

/// A log and how far it was shown.
#[derive(Debug)]
pub(super) struct LogReader<'a> {
    client: &'a Client,
    group: String,
    stream: String,
    token: Option<String>,
}

impl<'a> LogReader<'a> {
    pub(super) fn of(client: &'a Client, build: &Value) -> Self {
        Self {
            client,
            group: text(&build["logs"], "groupName").to_owned(),
            stream: text(&build["logs"], "streamName").to_owned(),
            token: None,
        }
    }

    /// Prints what is new. A log that is not there yet is an empty one.
    pub(super) async fn print_new(&mut self) -> Result<(), Failure> {
        loop {
            let mut input = json!({
                "logGroupName": self.group,
                "logStreamName": self.stream,
                "startFromHead": true,
            });
            if let Some(token) = &self.token {
                input["nextToken"] = token.as_str().into();
            }
            let page = match self.client.logs("GetLogEvents", &input).await {
                Err(ClientError::Refused { code, .. }) if code == "ResourceNotFoundException" => {
                    return Ok(());
                }
                page => page?,
            };
            let events = page["events"].as_array().into_iter().flatten();
            let lines: String = events.map(|event| text(event, "message")).collect();
            print(lines.as_bytes())?;
            let next = text(&page, "nextForwardToken").to_owned();
            let is_end = self.token.as_ref() == Some(&next);
            self.token = Some(next);
            if is_end {
                return Ok(());
            }
        }
    }
}

/// Shows the log of a build until it is over, tells its phases on standard error, and gives the exit
/// code that its outcome stands for.
pub(super) async fn to_the_end(client: &Client, id: &str) -> Result<Exit, Failure> {
    let mut build = look(client, id).await?;
    let mut log = LogReader::of(client, &build);
    let mut phase = String::new();
    loop {
        let current = text(&build, "currentPhase");
        if current != phase {
            tell(format_args!("{id}: {current}"));
            current.clone_into(&mut phase);
        }
        log.print_new().await?;
        if build["buildComplete"] == true {
            tell(format_args!("{id}: {}", text(&build, "buildStatus")));
            return Ok(exit_of(&build));
        }
        sleep(LOOK).await;
        build = look(client, id).await?;
    }
}
