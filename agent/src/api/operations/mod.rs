//! The operations, one file a family: an input goes in, the store is asked, an output comes out.

mod arn;
mod builds;
mod credentials;
mod explain;
mod images;
mod input;
mod lists;
mod logs;
pub(super) mod paused;
mod projects;
mod record;
mod report_groups;
mod reports;
mod start_build;

use std::future::Future;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Settings;
use super::auth::{Access, Caller};
use super::error::{ApiError, Code};
use super::wire::{Protocol, Service, Target};
use crate::data_directory::DataDirectory;
use crate::docker::Engine;
use crate::logs::KeptLogs;
use crate::model::json::{self, UnknownMembers};
use crate::store::{Kind, Resource, Store, StoreError};
use crate::vault::Vault;
pub(super) use credentials::purpose as credential_purpose;

/// What operations need of the world.
#[derive(Debug)]
pub(super) struct Tools {
    pub(super) settings: Settings,
    pub(super) store: Arc<dyn Store>,
    /// Seals credentials, where this process takes some in.
    pub(super) vault: Option<Vault>,
    pub(super) logs: KeptLogs,
    /// Where builds of this machine are.
    pub(super) data: DataDirectory,
    /// The engine in which they run, where this process runs some.
    pub(super) engine: Option<Engine>,
}

/// One call of an operation.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) tools: Arc<Tools>,
    pub(super) caller: Caller,
    pub(super) protocol: Protocol,
    /// What SDKs send along unchanged when they try the same call again.
    pub(super) invocation: Option<String>,
}

/// Operations that look at something.
const READ: [&str; 28] = [
    "BatchGetBuildBatches",
    "BatchGetBuilds",
    "BatchGetCommandExecutions",
    "BatchGetFleets",
    "BatchGetProjects",
    "BatchGetReportGroups",
    "BatchGetReports",
    "BatchGetSandboxes",
    "DescribeCodeCoverages",
    "DescribeTestCases",
    "GetReportGroupTrend",
    "GetResourcePolicy",
    "ListBuildBatches",
    "ListBuildBatchesForProject",
    "ListBuilds",
    "ListBuildsForProject",
    "ListCommandExecutionsForSandbox",
    "ListCuratedEnvironmentImages",
    "ListFleets",
    "ListProjects",
    "ListReportGroups",
    "ListReports",
    "ListReportsForReportGroup",
    "ListSandboxes",
    "ListSandboxesForProject",
    "ListSharedProjects",
    "ListSharedReportGroups",
    "ListSourceCredentials",
];

/// Operations that start or end builds.
const START: [&str; 9] = [
    "RetryBuild",
    "RetryBuildBatch",
    "StartBuild",
    "StartBuildBatch",
    "StartCommandExecution",
    "StartSandbox",
    "StopBuild",
    "StopBuildBatch",
    "StopSandbox",
];

/// Operations that change what builds are, or forget something.
const ADMIN: [&str; 22] = [
    "BatchDeleteBuilds",
    "CreateFleet",
    "CreateProject",
    "CreateReportGroup",
    "CreateWebhook",
    "DeleteBuildBatch",
    "DeleteFleet",
    "DeleteProject",
    "DeleteReport",
    "DeleteReportGroup",
    "DeleteResourcePolicy",
    "DeleteSourceCredentials",
    "DeleteWebhook",
    "ImportSourceCredentials",
    "InvalidateProjectCache",
    "PutResourcePolicy",
    "StartSandboxConnection",
    "UpdateFleet",
    "UpdateProject",
    "UpdateProjectVisibility",
    "UpdateReportGroup",
    "UpdateWebhook",
];

/// All operations of CodeBuild.
#[cfg(test)]
pub(super) const CODEBUILD: [&[&str]; 3] = [&READ, &START, &ADMIN];

/// Operations of CloudWatch Logs with which the logs of builds are read.
const LOGS: [&str; 4] = [
    "DescribeLogGroups",
    "DescribeLogStreams",
    "FilterLogEvents",
    "GetLogEvents",
];

/// This program's own operations, for its command line.
const OWN: [(&str, Access); 4] = [
    ("AttachBuild", Access::Enter),
    ("DescribePause", Access::Enter),
    ("ExplainBuild", Access::Read),
    ("ResumeBuild", Access::Enter),
];

/// What an operation needs of its caller; `None` if there is no such operation.
pub(super) fn access(service: Service, operation: &str) -> Option<Access> {
    match service {
        Service::Logs if LOGS.contains(&operation) => Some(Access::Read),
        Service::Logs => None,
        Service::Own => OWN
            .iter()
            .find(|(known, _)| *known == operation)
            .map(|(_, access)| *access),
        Service::CodeBuild if READ.contains(&operation) => Some(Access::Read),
        Service::CodeBuild if START.contains(&operation) => Some(Access::Start),
        Service::CodeBuild => ADMIN.contains(&operation).then_some(Access::Admin),
    }
}

/// What an input is about, for the audit log: the names in it.
pub(super) fn resource(input: &Value) -> Option<String> {
    let named = [
        "projectName",
        "name",
        "id",
        "arn",
        "ids",
        "serverType",
        "projectArn",
    ]
    .into_iter()
    .find_map(|member| input.get(member))?;
    let text = match named {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Some(text.chars().take(300).collect())
}

/// Carries out an operation that [`access`] knows.
pub(super) async fn run(call: Call, target: &Target, body: &[u8]) -> Result<Vec<u8>, ApiError> {
    if target.service == Service::Own {
        return paused::run(call, &target.operation, body).await;
    }
    if target.service == Service::Logs {
        // CloudWatch Logs calls it so.
        return logs::run(call, &target.operation, body)
            .await
            .map_err(|mut error| {
                if error.code == Code::InvalidInput {
                    error.code = Code::InvalidParameter;
                }
                error
            });
    }
    match target.operation.as_str() {
        "BatchDeleteBuilds" => call.with(body, builds::batch_delete).await,
        "BatchGetBuilds" => call.with(body, builds::batch_get).await,
        "BatchGetProjects" => call.with(body, projects::batch_get).await,
        "BatchGetReportGroups" => call.with(body, report_groups::batch_get).await,
        "BatchGetReports" => call.with(body, reports::batch_get).await,
        "CreateProject" => call.with(body, projects::create).await,
        "CreateReportGroup" => call.with(body, report_groups::create).await,
        "DeleteProject" => call.with(body, projects::delete).await,
        "DeleteReport" => call.with(body, reports::delete).await,
        "DeleteReportGroup" => call.with(body, report_groups::delete).await,
        "DeleteSourceCredentials" => call.with(body, credentials::delete).await,
        "DescribeCodeCoverages" => call.with(body, reports::describe_coverages).await,
        "DescribeTestCases" => call.with(body, reports::describe_cases).await,
        "ImportSourceCredentials" => call.with(body, credentials::import).await,
        "InvalidateProjectCache" => call.with(body, projects::invalidate_cache).await,
        "ListBuilds" => call.with(body, builds::list).await,
        "ListBuildsForProject" => call.with(body, builds::list_for_project).await,
        "ListCuratedEnvironmentImages" => call.with(body, images::list).await,
        "ListProjects" => call.with(body, projects::list).await,
        "ListReportGroups" => call.with(body, report_groups::list).await,
        "ListReports" => call.with(body, reports::list).await,
        "ListReportsForReportGroup" => call.with(body, reports::list_for_group).await,
        "ListSourceCredentials" => call.with(body, credentials::list).await,
        "RetryBuild" => call.with(body, start_build::retry).await,
        "StartBuild" => call.with(body, start_build::start).await,
        "StopBuild" => call.with(body, builds::stop).await,
        "UpdateProject" => call.with(body, projects::update).await,
        "UpdateProjectVisibility" => call.with(body, projects::update_visibility).await,
        "UpdateReportGroup" => call.with(body, report_groups::update).await,
        other => {
            let protocol = call.protocol;
            let input = protocol.decode(body)?;
            protocol.encode(&without(other, &input)?)
        }
    }
}

/// What is answered of things that do not exist here: lists of them are empty, and each one that is
/// asked for is not found. What would make one is refused with the reason.
fn without(operation: &str, input: &Value) -> Result<Value, ApiError> {
    let asked = |member: &str| input.get(member).cloned().unwrap_or_else(|| json!([]));
    Ok(match operation {
        "BatchGetBuildBatches" => {
            json!({"buildBatches": [], "buildBatchesNotFound": asked("ids")})
        }
        "BatchGetFleets" => json!({"fleets": [], "fleetsNotFound": asked("names")}),
        "BatchGetSandboxes" => json!({"sandboxes": [], "sandboxesNotFound": asked("ids")}),
        "ListBuildBatches"
        | "ListBuildBatchesForProject"
        | "ListSandboxes"
        | "ListSandboxesForProject" => json!({"ids": []}),
        "ListFleets" => json!({"fleets": []}),
        "ListSharedProjects" => json!({"projects": []}),
        "ListSharedReportGroups" => json!({"reportGroups": []}),
        _ => {
            let reason = match operation {
                name if name.contains("Webhook") => {
                    "webhooks are not received by this server yet: start builds with StartBuild"
                }
                name if name.contains("BuildBatch") => {
                    "batches of builds are not carried out by this server yet: start builds with StartBuild"
                }
                name if name.contains("Fleet") => {
                    "fleets are made by starting workers, not by this operation"
                }
                name if name.contains("Policy") => {
                    "resource policies have no meaning outside of AWS: issue access keys with `buildspec-agent keys create`"
                }
                "GetReportGroupTrend" => {
                    "trends of report groups are not computed by this server yet"
                }
                _ => "sandboxes are not offered by this server: use breakpoints in a build",
            };
            let message = format!("{operation} is not supported: {reason}");
            return Err(ApiError::invalid(message));
        }
    })
}

impl Call {
    /// Reads the input, carries out the operation and writes its output.
    async fn with<I, O, R>(
        self,
        body: &[u8],
        operation: impl FnOnce(Self, I) -> R,
    ) -> Result<Vec<u8>, ApiError>
    where
        I: DeserializeOwned,
        O: Serialize,
        R: Future<Output = Result<O, ApiError>>,
    {
        let protocol = self.protocol;
        let input: Value = protocol.decode(body)?;
        if !input.is_object() {
            let message = "the body is not an object with the members of the input";
            return Err(ApiError::new(Code::Serialization, message));
        }
        let input = json::shape(input, UnknownMembers::Ignored)
            .map_err(|error| ApiError::invalid(format!("Invalid input: {error}")))?;
        let output = operation(self, input).await?;
        protocol.encode(&output)
    }

    /// Changes what is kept by a name: `look` finds it, `changed` makes the new body of the old one. Of
    /// two who do so at the same time, the second one starts from what the first one has left.
    async fn change<L: Future<Output = Result<Resource, ApiError>>>(
        &self,
        kind: Kind,
        look: impl Fn() -> L,
        changed: impl Fn(Value) -> Result<Value, ApiError>,
    ) -> Result<Resource, ApiError> {
        loop {
            let seen = look().await?;
            let body = changed(seen.body.clone())?;
            let replaced = self.store().replace_resource(kind, &seen, body).await?;
            // Whoever loses a turn has lost it to somebody who is through: it cannot go on for ever.
            if let Some(resource) = replaced {
                return Ok(resource);
            }
        }
    }

    fn store(&self) -> &dyn Store {
        self.tools.store.as_ref()
    }

    fn settings(&self) -> &Settings {
        &self.tools.settings
    }

    fn data(&self) -> &DataDirectory {
        &self.tools.data
    }

    pub(super) fn engine(&self) -> Option<&Engine> {
        self.tools.engine.as_ref()
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::InvalidToken => Self::invalid("Invalid next token"),
            StoreError::TokenMismatch => Self::invalid(
                "Invalid idempotency token: parameter mismatch with the request it was used for first",
            ),
            other => Self::fault(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_of_the_service_is_known_once() {
        let mut all = CODEBUILD.concat();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 59);
        assert_eq!(
            access(Service::CodeBuild, "StartBuild"),
            Some(Access::Start)
        );
        assert_eq!(access(Service::CodeBuild, "GetLogEvents"), None);
        assert_eq!(access(Service::Logs, "GetLogEvents"), Some(Access::Read));
        assert_eq!(access(Service::Logs, "PutLogEvents"), None);
    }
}
