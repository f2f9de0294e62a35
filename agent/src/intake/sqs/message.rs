//! Messages: the JSON of `StartBuild`, with the project where the receiver may not have it.

use aws_sdk_sqs::types::{Message as Received, MessageSystemAttributeName};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::intake::Refusal;
use crate::intake::ask::Ask;
use crate::model::json::{self, UnknownMembers};
use crate::model::{Overrides, Project, StoredProject, hex};

/// The member that holds the whole project: what `create-project` takes, or `batch-get-projects` gives of one.
const PROJECT: &str = "projectDefinition";

/// Characters of an idempotency token at most (user guide).
const TOKEN_LENGTH: usize = 64;

/// A message as it was received.
#[derive(Debug)]
pub(super) struct Message {
    /// Its identity, the same whenever it comes.
    pub(super) id: String,
    /// What this receipt is known by.
    pub(super) receipt: String,
    /// What it says.
    pub(super) body: String,
    /// How often it was received, this time included; SQS counts approximately.
    pub(super) receive_count: u32,
}

impl Message {
    /// `None` for one that could not be deleted.
    pub(super) fn of(received: &Received) -> Option<Self> {
        let attributes = received.attributes();
        let attribute = |name: &MessageSystemAttributeName| attributes?.get(name);
        let count = attribute(&MessageSystemAttributeName::ApproximateReceiveCount);
        Some(Self {
            id: received.message_id()?.to_owned(),
            receipt: received.receipt_handle()?.to_owned(),
            body: received.body().unwrap_or_default().to_owned(),
            receive_count: count.and_then(|count| count.parse().ok()).unwrap_or(1),
        })
    }
}

/// A digest of a message: the same token with another one is a mistake.
pub(super) fn fingerprint(text: &str) -> String {
    hex::encode(&Sha256::digest(text))
}

/// Reads the text of a message. Whatever is not known in it is refused: its sender expects something of it.
pub(super) fn read(text: &str, initiator: String) -> Result<Ask, Refusal> {
    let refuse = |reason: String| Refusal::ForGood(reason);
    let value: Value =
        serde_json::from_str(text).map_err(|error| refuse(format!("it is not JSON: {error}")))?;
    let Value::Object(mut members) = value else {
        return Err(refuse(
            "it is not an object with the members of StartBuild".to_owned(),
        ));
    };
    let project = members.remove(PROJECT);
    let overrides = Overrides::from_members(members, UnknownMembers::Refused)
        .map_err(|error| refuse(error.to_string()))?;
    let project = project.map(definition).transpose();
    let project = project.map_err(|error| refuse(format!("`{PROJECT}` {error}")))?;
    if let (Some(stored), Some(name)) = (&project, &overrides.project_name)
        && *name != stored.project.name.to_string()
    {
        return Err(refuse(format!(
            "projectName is {name}, and `{PROJECT}` is of {}",
            stored.project.name
        )));
    }
    let token = overrides.idempotency_token.as_deref().unwrap_or_default();
    if token.chars().count() > TOKEN_LENGTH {
        return Err(refuse(format!(
            "idempotencyToken has more than {TOKEN_LENGTH} characters"
        )));
    }
    Ok(Ask {
        overrides,
        project,
        initiator,
    })
}

fn definition(value: Value) -> Result<StoredProject, String> {
    let mut members = match value {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    // Input only, and without a meaning here.
    members.remove("badgeEnabled");
    let project: Project = json::shape(Value::Object(members), UnknownMembers::Refused)
        .map_err(|error| format!("is not a project of CodeBuild: {error}"))?;
    Ok(StoredProject {
        project,
        cache_generation: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        match read(text, "sqs/builds".to_owned()) {
            Err(Refusal::ForGood(reason)) => reason,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_message_is_what_start_build_takes() {
        let text = r#"{"projectName": "demo", "sourceVersion": "main", "idempotencyToken": "t",
            "environmentVariablesOverride": [{"name": "A", "value": "1"}]}"#;
        let ask = read(text, "sqs/builds".to_owned()).unwrap();
        assert_eq!(ask.overrides.project_name.as_deref(), Some("demo"));
        assert_eq!(ask.overrides.idempotency_token.as_deref(), Some("t"));
        assert_eq!((ask.project, ask.initiator.as_str()), (None, "sqs/builds"));
    }

    #[test]
    fn a_project_may_come_along() {
        let text = r#"{"projectDefinition": {"name": "demo", "badgeEnabled": true,
            "source": {"type": "NO_SOURCE", "buildspec": "version: 0.2"}, "artifacts": {"type": "NO_ARTIFACTS"},
            "environment": {"type": "LINUX_CONTAINER", "image": "a:1", "computeType": "BUILD_GENERAL1_SMALL"}}}"#;
        let ask = read(text, String::new()).unwrap();
        assert_eq!(ask.project.unwrap().project.name.to_string(), "demo");
    }

    #[test]
    fn what_is_no_message_is_refused_with_the_reason() {
        for (text, part) in [
            ("", "not JSON"),
            ("[]", "not an object"),
            (
                r#"{"projektName": "demo"}"#,
                "`projektName` is not a member",
            ),
            (
                r#"{"timeoutInMinutesOverride": "x"}"#,
                "`timeoutInMinutesOverride` is not valid",
            ),
            (
                r#"{"projectDefinition": {"name": "demo"}}"#,
                "is not a project of CodeBuild: missing field",
            ),
            (r#"{"projectDefinition": 1}"#, "is not a project"),
        ] {
            let reason = refused(text);
            assert!(reason.contains(part), "{text}: {reason}");
        }
        let long = format!(r#"{{"idempotencyToken": "{}"}}"#, "x".repeat(65));
        assert!(refused(&long).contains("64 characters"));
    }

    #[test]
    fn the_name_of_a_project_that_comes_along_is_that_of_the_build() {
        let text = r#"{"projectName": "other", "projectDefinition": {"name": "demo",
            "source": {"type": "NO_SOURCE"}, "artifacts": {"type": "NO_ARTIFACTS"},
            "environment": {"type": "LINUX_CONTAINER", "image": "a:1"}}}"#;
        assert!(refused(text).contains("projectName is other"));
    }
}
