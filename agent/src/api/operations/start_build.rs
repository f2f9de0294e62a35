//! `StartBuild` and `RetryBuild`: an input and a project become a build request, which is queued.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::builds::{self, IdInput};
use super::record::ShownBuild;
use super::{Call, arn, input, projects, record};
use crate::api::Settings;
use crate::api::auth::{Caller, check_overrides};
use crate::api::error::{ApiError, Code};
use crate::model::json::UnknownMembers;
use crate::model::{BuildId, BuildRequest, Overrides, StoredProject, hex};
use crate::store::{AtLimit, IdempotencyToken, NewBuild, Operation, StoreError};

/// Characters of an idempotency token at most (user guide).
const TOKEN_LENGTH: usize = 64;

#[derive(Debug, Serialize)]
pub(super) struct BuildOutput {
    pub(super) build: ShownBuild,
}

/// Starts a build of a project.
pub(super) async fn start(
    call: Call,
    members: Map<String, Value>,
) -> Result<BuildOutput, ApiError> {
    let fingerprint = fingerprint(&members);
    let invalid =
        |error: &dyn std::fmt::Display| ApiError::invalid(format!("Invalid input: {error}"));
    let overrides = Overrides::from_members(members, UnknownMembers::Ignored)
        .map_err(|error| invalid(&error))?;
    let name = input::required("projectName", overrides.project_name.clone())?;
    let token = token(
        &call,
        Operation::StartBuild,
        overrides.idempotency_token.clone(),
        fingerprint,
    )?;
    check_overrides(&call.caller, &overrides)?;
    let resource = projects::stored(&call, arn::short(&name, "project")).await?;
    let project = StoredProject::read(resource.body).map_err(ApiError::fault)?;
    let initiator = call.caller.name().to_owned();
    let site = call.settings().site();
    let request = BuildRequest::ask(&project, &overrides, initiator, &site)
        .map_err(|error| ApiError::invalid(error.to_string()))?;
    submit(&call, request, token).await
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RetryInput {
    id: Option<String>,
    idempotency_token: Option<String>,
}

/// Runs a build again: the same request under a new identity.
pub(super) async fn retry(call: Call, input: RetryInput) -> Result<BuildOutput, ApiError> {
    let fingerprint = input.id.clone().unwrap_or_default();
    let token = token(
        &call,
        Operation::RetryBuild,
        input.idempotency_token,
        fingerprint,
    )?;
    let stored = builds::stored(&call, IdInput { id: input.id }).await?;
    let mut request = stored.request;
    request.id = BuildId::new(request.id.project);
    call.caller.name().clone_into(&mut request.initiator);
    submit(&call, request, token).await
}

/// Refuses a privileged build where the operator does not allow any.
pub(super) fn check_privileged(
    settings: &Settings,
    request: &BuildRequest,
) -> Result<(), ApiError> {
    if request.privileged_mode && !settings.allows_privileged_mode {
        return Err(ApiError::invalid(
            "Invalid environment: privilegedMode is refused on this server; its operator can allow it with `privileged_mode` in the configuration",
        ));
    }
    Ok(())
}

async fn submit(
    call: &Call,
    request: BuildRequest,
    token: Option<IdempotencyToken>,
) -> Result<BuildOutput, ApiError> {
    let build = NewBuild {
        request,
        priority: 0,
        at_limit: match call.caller {
            // At the command line, the build that is one too many waits.
            Caller::User(_) => AtLimit::Queue,
            _ => AtLimit::Reject,
        },
    };
    match call.store().submit(build, token).await {
        Ok(submission) => Ok(BuildOutput {
            build: record::shown(submission.build)?,
        }),
        Err(StoreError::LimitReached { limit, .. }) => Err(ApiError::new(
            Code::AccountLimitExceeded,
            format!("Cannot have more than {limit} active builds for the project"),
        )),
        Err(error) => Err(error.into()),
    }
}

/// The token of a call: the client's own, or what its SDK sends along when it tries again after an
/// answer that was lost. Nobody else's token is the same: the caller is part of it.
fn token(
    call: &Call,
    operation: Operation,
    token: Option<String>,
    fingerprint: String,
) -> Result<Option<IdempotencyToken>, ApiError> {
    let length = token.as_deref().map_or(0, |token| token.chars().count());
    if length > TOKEN_LENGTH {
        return Err(ApiError::invalid(format!(
            "Invalid idempotency token: it has {length} characters, at most {TOKEN_LENGTH} are allowed"
        )));
    }
    let token = match (token, &call.invocation) {
        (Some(token), _) => format!("token {token}"),
        (None, Some(invocation)) => {
            format!("invocation {}", &invocation[..invocation.len().min(64)])
        }
        (None, None) => return Ok(None),
    };
    let caller = call.caller.access_key_id().unwrap_or_default();
    Ok(Some(IdempotencyToken {
        operation,
        token: format!("{caller} {token}"),
        fingerprint,
    }))
}

/// A digest of an input; the order of members in the request makes no difference.
fn fingerprint(members: &Map<String, Value>) -> String {
    let text = Value::Object(members.clone()).to_string();
    hex::encode(&Sha256::digest(text))
}
