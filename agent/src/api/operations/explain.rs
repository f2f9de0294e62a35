//! `ExplainBuild`, an operation of this program's own: why a build waits, and for what.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Call, builds};
use crate::api::error::ApiError;
use crate::store::{Answer, Resources, Waiting};

/// A build, by its id or ARN.
#[derive(Debug, Deserialize)]
pub(super) struct ExplainInput {
    id: Option<String>,
}

/// Where a build stands.
#[derive(Debug, Serialize)]
pub(super) struct ExplainOutput {
    build: String,
    state: &'static str,
    /// For a person, one sentence each.
    reasons: Vec<String>,
}

/// Explains where a build stands.
pub(super) async fn explain(call: Call, input: ExplainInput) -> Result<ExplainOutput, ApiError> {
    let (text, id) = builds::one(builds::IdInput { id: input.id })?;
    let why = call.store().why(&id).await?;
    let why = why.ok_or_else(|| builds::unknown(&text))?;
    Ok(ExplainOutput {
        build: why.build.to_string(),
        state: state(&why.answer),
        reasons: sentences(&why.answer),
    })
}

fn state(answer: &Answer) -> &'static str {
    match answer {
        Answer::Over { .. } => "over",
        Answer::Running { .. } => "running",
        Answer::Waiting { .. } => "waiting",
    }
}

/// The answer for a person, one sentence a line.
fn sentences(answer: &Answer) -> Vec<String> {
    match answer {
        Answer::Over { status } => vec![format!("it is over: {status}")],
        Answer::Running {
            agent,
            attempt,
            since,
            is_stopping,
        } => {
            let mut lines = vec![format!(
                "it runs on worker {agent} since {since}, attempt {attempt}"
            )];
            if *is_stopping {
                lines.push("it was asked to stop".to_owned());
            }
            lines
        }
        Answer::Waiting {
            since,
            until,
            ahead,
            reasons,
        } => {
            let mut lines = vec![format!(
                "it waits since {since}, and may until {until}, behind {ahead} builds that need the same"
            )];
            lines.extend(reasons.iter().map(sentence));
            if reasons.is_empty() {
                lines.push("a worker can take it at any moment".to_owned());
            }
            lines
        }
    }
}

fn sentence(waiting: &Waiting) -> String {
    match waiting {
        Waiting::NoAgent {
            environment_type,
            fleet,
        } => {
            let fleet = fleet.as_ref().map_or_else(
                || "builds without a fleet".to_owned(),
                |fleet| format!("builds of fleet {fleet}"),
            );
            format!(
                "no living worker runs {fleet} of type {}",
                json!(environment_type)
            )
        }
        Waiting::TooLarge { needs, largest } => format!(
            "it needs {}, and the largest worker for it has {}",
            amount(*needs),
            amount(*largest)
        ),
        Waiting::ConcurrentLimit { limit, running } => {
            format!("its project may run {limit} builds at once, and runs {running}")
        }
        Waiting::Closed { agent, reason } => {
            format!("worker {agent} takes nothing new: {reason}")
        }
        Waiting::Busy { agents, running } => {
            format!("{agents} workers that could run it run {running} builds")
        }
    }
}

fn amount(resources: Resources) -> String {
    let Resources {
        processors_milli,
        memory_mib,
    } = resources;
    format!(
        "{} processors and {memory_mib} MiB",
        processors_milli / 1000
    )
}
