//! Operations of this program's own, for its command line as a client: builds that are paused, and why a
//! build waits.

use executor::protocol::Continuation;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Call, arn, explain};
use crate::api::error::ApiError;
use crate::build::{FindError, PausedBuild, ResumeError};
use crate::model::BuildId;
use crate::store::Answer;

/// Carries out one of the operations.
pub(super) async fn run(call: Call, operation: &str, body: &[u8]) -> Result<Vec<u8>, ApiError> {
    match operation {
        "DescribePause" => call.with(body, describe).await,
        "ResumeBuild" => call.with(body, resume).await,
        _ => call.with(body, explain::explain).await,
    }
}

/// A build, by whatever stands for it alone; the only paused one if nothing is said.
#[derive(Debug, Deserialize)]
pub(super) struct IdInput {
    id: Option<String>,
}

/// Where a build is paused.
#[derive(Debug, Serialize)]
pub(super) struct PauseOutput {
    id: String,
    /// For a person: `command 2 of 3 of BUILD`.
    place: String,
}

async fn describe(call: Call, input: IdInput) -> Result<PauseOutput, ApiError> {
    let paused = find(&call, input.id.as_deref()).await?;
    Ok(PauseOutput {
        place: paused.pause.place.describe(),
        id: paused.pause.build,
    })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ResumeInput {
    id: Option<String>,
    from_command: Option<usize>,
    give_up: Option<bool>,
}

/// Lets a build go on, and waits until it does.
async fn resume(call: Call, input: ResumeInput) -> Result<Value, ApiError> {
    let paused = find(&call, input.id.as_deref()).await?;
    let give_up = input.give_up == Some(true);
    let with = match input.from_command {
        Some(_) if give_up => {
            return Err(ApiError::invalid(
                "Invalid input: fromCommand and giveUp exclude each other",
            ));
        }
        Some(number) => paused.from_command(number).map_err(told)?,
        None if give_up => Continuation::GiveUp,
        None => Continuation::Next,
    };
    paused.resume(with).await.map_err(told)?;
    Ok(json!({"id": paused.pause.build, "goesOnWith": paused.destination(with)}))
}

fn told(error: ResumeError) -> ApiError {
    match error {
        ResumeError::NoCommand { .. } => ApiError::invalid(format!("Invalid input: {error}")),
        error => ApiError::fault(error),
    }
}

/// A paused build of this machine. Of one elsewhere it is said where.
pub(in crate::api) async fn find(
    call: &Call,
    given: Option<&str>,
) -> Result<PausedBuild, ApiError> {
    let given = given.map(|given| arn::short(given, "build"));
    let error = match PausedBuild::find(call.data(), given) {
        Ok(paused) => return Ok(paused),
        Err(error) => error,
    };
    match (&error, given.and_then(|given| given.parse().ok())) {
        (FindError::Unknown(_), Some(id)) => Err(elsewhere(call, &id).await?),
        (FindError::Directory(_) | FindError::Read { .. }, _) => Err(ApiError::fault(error)),
        (FindError::Unknown(_), None) => Err(ApiError::not_found(error.to_string())),
        _ => Err(ApiError::invalid(format!("Invalid build: {error}"))),
    }
}

/// What is said of a build that this machine does not run.
async fn elsewhere(call: &Call, id: &BuildId) -> Result<ApiError, ApiError> {
    let Some(why) = call.store().why(id).await? else {
        return Ok(ApiError::not_found(format!("Build {id} does not exist")));
    };
    let place = match why.answer {
        Answer::Over { status } => format!("is over: {status}"),
        Answer::Waiting { .. } => "has not begun yet".to_owned(),
        Answer::Running { agent, .. } => {
            let agents = call.store().agents().await?;
            let host = agents.into_iter().find(|(known, _)| known.id == agent);
            let host = host.map_or_else(
                || "another machine".to_owned(),
                |(agent, _)| format!("machine {}", agent.host),
            );
            format!(
                "runs on {host}, worker {agent}: run `buildspec-agent attach {id}` or `resume {id}` there, or name a server there with --endpoint"
            )
        }
    };
    Ok(ApiError::invalid(format!("Invalid build: {id} {place}")))
}
