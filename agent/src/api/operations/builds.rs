//! Builds that were started.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::lists::ListInput;
use super::record::ShownBuild;
use super::start_build::BuildOutput;
use super::{Call, arn, input, projects, record};
use crate::api::auth::Caller;
use crate::api::error::ApiError;
use crate::model::{BuildId, ProjectName};
use crate::store::{Deletion, Kind, Order, StoredBuild};

#[derive(Debug, Deserialize)]
pub(super) struct IdsInput {
    ids: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct IdInput {
    pub(super) id: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BatchGetOutput {
    builds: Vec<ShownBuild>,
    builds_not_found: Vec<String>,
}

/// Looks builds up, in the order of the input.
pub(super) async fn batch_get(call: Call, input: IdsInput) -> Result<BatchGetOutput, ApiError> {
    let asked = ids(input)?;
    let mut wanted = Vec::new();
    for text in &asked {
        wanted.extend(build_id(text)?);
    }
    let found = call.store().builds(&wanted).await?;
    let mut found: HashMap<_, _> = found
        .into_iter()
        .map(|build| (build.id.clone(), build))
        .collect();
    let mut output = BatchGetOutput {
        builds: Vec::new(),
        builds_not_found: Vec::new(),
    };
    for text in asked {
        match build_id(&text)?.and_then(|id| found.remove(&id)) {
            Some(build) => output.builds.push(record::shown(build)?),
            None => output.builds_not_found.push(text),
        }
    }
    Ok(output)
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BatchDeleteOutput {
    builds_deleted: Vec<String>,
    builds_not_deleted: Vec<NotDeleted>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct NotDeleted {
    id: String,
    status_code: &'static str,
}

/// Forgets builds that are over.
pub(super) async fn batch_delete(
    call: Call,
    input: IdsInput,
) -> Result<BatchDeleteOutput, ApiError> {
    let mut output = BatchDeleteOutput {
        builds_deleted: Vec::new(),
        builds_not_deleted: Vec::new(),
    };
    for text in ids(input)? {
        let name = format!("build/{}", arn::short(&text, "build"));
        let id = arn::of(call.settings(), &name);
        let deletion = match build_id(&text)? {
            Some(build) => call.store().delete_build(&build).await?,
            None => Deletion::Unknown,
        };
        let status_code = match deletion {
            Deletion::Deleted => {
                output.builds_deleted.push(id);
                continue;
            }
            Deletion::InProgress => "BUILD_IN_PROGRESS",
            Deletion::Unknown => "BUILD_NOT_FOUND",
        };
        output
            .builds_not_deleted
            .push(NotDeleted { id, status_code });
    }
    Ok(output)
}

/// Asks for a build to be stopped; one that is over stays as it is.
pub(super) async fn stop(call: Call, input: IdInput) -> Result<BuildOutput, ApiError> {
    let (text, id) = one(input)?;
    match call.store().stop(&id).await? {
        Some(build) => Ok(BuildOutput {
            build: record::shown(build)?,
        }),
        None => Err(unknown(&text)),
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListOutput {
    ids: Vec<BuildId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

/// Lists all builds, the newest first.
pub(super) async fn list(call: Call, input: ListInput) -> Result<ListOutput, ApiError> {
    of(&call, &input, None).await
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProjectInput {
    project_name: Option<String>,
    #[serde(flatten)]
    list: ListInput,
}

/// Lists the builds of a project, the newest first.
pub(super) async fn list_for_project(
    call: Call,
    input: ProjectInput,
) -> Result<ListOutput, ApiError> {
    let name = input::required("projectName", input.project_name)?;
    let name = arn::short(&name, "project");
    let unknown = || {
        let arn = projects::project_arn(call.settings(), name);
        ApiError::not_found(format!("The provided project {arn} does not exist"))
    };
    let project: ProjectName = name.parse().map_err(|_| unknown())?;
    let names = [name.to_owned()];
    // At the command line, builds are queued without a project as well.
    let needs_project = !matches!(call.caller, Caller::User(_));
    if needs_project
        && call
            .store()
            .resources(Kind::Project, &names)
            .await?
            .is_empty()
    {
        return Err(unknown());
    }
    of(&call, &input.list, Some(&project)).await
}

async fn of(
    call: &Call,
    input: &ListInput,
    project: Option<&ProjectName>,
) -> Result<ListOutput, ApiError> {
    let name = match project {
        Some(project) => format!("ListBuildsForProject/{project}"),
        None => "ListBuilds".to_owned(),
    };
    let list = input.list(&name, Order::Descending)?;
    let page = call.store().list_builds(project, &list.page).await?;
    Ok(ListOutput {
        next_token: list.next_token(&page),
        ids: page.entries,
    })
}

/// A build that has to be there.
pub(super) async fn stored(call: &Call, input: IdInput) -> Result<StoredBuild, ApiError> {
    let (text, id) = one(input)?;
    let found = call.store().builds(&[id]).await?;
    found.into_iter().next().ok_or_else(|| unknown(&text))
}

pub(super) fn one(input: IdInput) -> Result<(String, BuildId), ApiError> {
    let text = input::required("id", input.id)?;
    match build_id(&text)? {
        Some(id) => Ok((text, id)),
        None => Err(unknown(&text)),
    }
}

pub(super) fn unknown(text: &str) -> ApiError {
    let id = arn::short(text, "build");
    ApiError::not_found(format!("Build {id} does not exist"))
}

fn ids(input: IdsInput) -> Result<Vec<String>, ApiError> {
    input::names("ids", input.ids, "The input build ID list cannot be empty.")
}

/// The build that an id or an ARN names; `None` for what has the form of one and cannot be one.
fn build_id(text: &str) -> Result<Option<BuildId>, ApiError> {
    let id = arn::short(text, "build");
    if !id.contains(':') || id.starts_with("arn:") {
        return Err(ApiError::invalid("Invalid build ID provided"));
    }
    Ok(id.parse().ok())
}
