//! Projects.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::lists::ListInput;
use super::{Call, arn, input};
use crate::api::Settings;
use crate::api::error::{ApiError, Code};
use crate::api::wire::Empty;
use crate::model::json::{UnknownMembers, shape};
use crate::model::{
    BuildId, BuildRequest, CACHE_GENERATION, Overrides, Project, ProjectVisibility, Start, seconds,
};
use crate::store::{Kind, Order, Resource, StoreError};

/// Members that the service gives a project, and that no client sets.
const OUTPUT_ONLY: [&str; 6] = [
    "arn",
    "badge",
    "created",
    "lastModified",
    "publicProjectAlias",
    "webhook",
];

/// Members that `CreateProject` wants (service model).
const REQUIRED: [&str; 5] = ["artifacts", "environment", "name", "serviceRole", "source"];

#[derive(Debug, Serialize)]
pub(super) struct ProjectOutput {
    project: Value,
}

/// Makes a project.
pub(super) async fn create(call: Call, input: Value) -> Result<ProjectOutput, ApiError> {
    let mut members = of(input);
    for member in OUTPUT_ONLY {
        members.remove(member);
    }
    for member in REQUIRED {
        input::required(member, members.get(member))?;
    }
    let project = check(&call, members.clone())?;
    let body = body(&project, &members)?;
    let name = project.name.to_string();
    match call
        .store()
        .create_resource(Kind::Project, &name, body)
        .await
    {
        Ok(resource) => Ok(ProjectOutput {
            project: shown(call.settings(), resource),
        }),
        Err(StoreError::AlreadyExists { .. }) => Err(ApiError::new(
            Code::ResourceAlreadyExists,
            format!(
                "Project already exists: {}",
                project_arn(call.settings(), &name)
            ),
        )),
        Err(error) => Err(error.into()),
    }
}

/// Changes a project: each member that is given replaces the whole of it, the others stay.
pub(super) async fn update(call: Call, input: Value) -> Result<ProjectOutput, ApiError> {
    let given = of(input);
    let name = given.get("name").and_then(Value::as_str);
    let name = arn::short(input::required("name", name)?, "project").to_owned();
    let updated = change(&call, &name, |stored| {
        let mut members = of(stored);
        for (member, value) in &given {
            if !value.is_null() && member != "name" && !OUTPUT_ONLY.contains(&member.as_str()) {
                members.insert(member.clone(), value.clone());
            }
        }
        if members.get("concurrentBuildLimit") == Some(&json!(-1)) {
            members.remove("concurrentBuildLimit");
        }
        let project = check(&call, members.clone())?;
        body(&project, &members)
    });
    Ok(ProjectOutput {
        project: shown(call.settings(), updated.await?),
    })
}

/// Changes what is stored of a project.
async fn change(
    call: &Call,
    name: &str,
    changed: impl Fn(Value) -> Result<Value, ApiError>,
) -> Result<Resource, ApiError> {
    let look = || stored(call, name);
    call.change(Kind::Project, look, changed).await
}

#[derive(Debug, Deserialize)]
pub(super) struct NameInput {
    name: Option<String>,
}

/// Forgets a project; one that is not there is no error, and its builds stay.
pub(super) async fn delete(call: Call, input: NameInput) -> Result<Empty, ApiError> {
    let name = input::required("name", input.name)?;
    let name = arn::short(&name, "project");
    call.store().delete_resource(Kind::Project, name).await?;
    Ok(Empty {})
}

#[derive(Debug, Deserialize)]
pub(super) struct NamesInput {
    names: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BatchGetOutput {
    projects: Vec<Value>,
    projects_not_found: Vec<String>,
}

/// Looks projects up, in the order of the input.
pub(super) async fn batch_get(call: Call, input: NamesInput) -> Result<BatchGetOutput, ApiError> {
    let empty = "The input project name list cannot be empty.";
    let wanted = input::names("names", input.names, empty)?;
    let names: Vec<_> = wanted
        .iter()
        .map(|name| arn::short(name, "project").to_owned())
        .collect();
    let mut found = call.store().resources(Kind::Project, &names).await?;
    let mut output = BatchGetOutput {
        projects: Vec::new(),
        projects_not_found: Vec::new(),
    };
    for (asked, name) in wanted.into_iter().zip(names) {
        match found.iter().position(|resource| resource.name == name) {
            Some(place) => {
                let resource = found.swap_remove(place);
                output.projects.push(shown(call.settings(), resource));
            }
            None => output.projects_not_found.push(asked),
        }
    }
    Ok(output)
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListOutput {
    projects: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

/// Lists the names of projects.
pub(super) async fn list(call: Call, input: ListInput) -> Result<ListOutput, ApiError> {
    let list = input.list("ListProjects", Order::Ascending)?;
    let page = call
        .store()
        .list_resources(Kind::Project, list.sort, &list.page)
        .await?;
    Ok(ListOutput {
        next_token: list.next_token(&page),
        projects: page.entries,
    })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProjectNameInput {
    project_name: Option<String>,
}

/// Lets later builds of a project start without what earlier ones cached.
pub(super) async fn invalidate_cache(
    call: Call,
    input: ProjectNameInput,
) -> Result<Empty, ApiError> {
    let name = input::required("projectName", input.project_name)?;
    change(&call, arn::short(&name, "project"), |mut project| {
        let generation = project.get(CACHE_GENERATION).and_then(Value::as_u64);
        project[CACHE_GENERATION] = generation.unwrap_or_default().saturating_add(1).into();
        Ok(project)
    })
    .await?;
    Ok(Empty {})
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VisibilityInput {
    project_arn: Option<String>,
    project_visibility: Option<ProjectVisibility>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VisibilityOutput {
    project_arn: String,
    project_visibility: ProjectVisibility,
}

/// Says who may see the builds of a project: those who have a key.
pub(super) async fn update_visibility(
    call: Call,
    input: VisibilityInput,
) -> Result<VisibilityOutput, ApiError> {
    let name = input::required("projectArn", input.project_arn)?;
    let project_visibility = input::required("projectVisibility", input.project_visibility)?;
    let resource = stored(&call, arn::short(&name, "project")).await?;
    if project_visibility == ProjectVisibility::PublicRead {
        return Err(ApiError::invalid(
            "Invalid project visibility: PUBLIC_READ is not supported, this server shows builds to holders of a key only",
        ));
    }
    Ok(VisibilityOutput {
        project_arn: project_arn(call.settings(), &resource.name),
        project_visibility,
    })
}

/// A stored project.
pub(super) async fn stored(call: &Call, name: &str) -> Result<Resource, ApiError> {
    let names = [name.to_owned()];
    let found = call.store().resources(Kind::Project, &names).await?;
    found.into_iter().next().ok_or_else(|| unknown(call, name))
}

/// What CodeBuild says of a project that is not there.
fn unknown(call: &Call, name: &str) -> ApiError {
    let arn = project_arn(call.settings(), name);
    ApiError::not_found(format!("Project cannot be found: {arn}"))
}

pub(super) fn project_arn(settings: &Settings, name: &str) -> String {
    arn::of(settings, &format!("project/{name}"))
}

fn of(input: Value) -> Map<String, Value> {
    match input {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// Reads and checks a project: whatever would make its builds impossible is refused now.
fn check(call: &Call, members: Map<String, Value>) -> Result<Project, ApiError> {
    let project: Project =
        shape(Value::Object(members), UnknownMembers::Ignored).map_err(invalid)?;
    check_lengths(&project)?;
    if project.environment.compute_type.is_none() {
        return Err(invalid("environment.computeType is required"));
    }
    if project
        .concurrent_build_limit
        .is_some_and(|limit| limit < 1)
    {
        return Err(invalid("concurrentBuildLimit has to be 1 at least"));
    }
    if project.project_visibility == Some(ProjectVisibility::PublicRead) {
        return Err(invalid("projectVisibility PUBLIC_READ is not supported"));
    }
    let start = Start {
        project: &project,
        overrides: &Overrides::default(),
        id: BuildId::new(project.name.clone()),
        build_number: 0,
        initiator: String::new(),
        region: call.settings().region.clone(),
        account: call.settings().account.clone(),
        directory: None,
        artifact_directory: None,
    };
    let request = BuildRequest::new(start).map_err(|error| ApiError::invalid(error.to_string()))?;
    super::start_build::check_privileged(call.settings(), &request)?;
    Ok(project)
}

/// Lengths that no client checks (service model).
fn check_lengths(project: &Project) -> Result<(), ApiError> {
    let length = |what: &str, text: &str, allowed: RangeInclusive<usize>| {
        if allowed.contains(&text.chars().count()) {
            return Ok(());
        }
        let (least, most) = (allowed.start(), allowed.end());
        Err(invalid(format!(
            "{what} has to have {least} to {most} characters"
        )))
    };
    length("name", &project.name.to_string(), 2..=150)?;
    length(
        "description",
        project.description.as_deref().unwrap_or_default(),
        0..=255,
    )?;
    if project.tags.len() > 50 {
        return Err(invalid("at most 50 tags are allowed"));
    }
    for tag in &project.tags {
        length("the key of a tag", &tag.key, 1..=127)?;
        length("the value of a tag", &tag.value, 0..=255)?;
    }
    Ok(())
}

fn invalid(text: impl std::fmt::Display) -> ApiError {
    ApiError::invalid(format!("Invalid input: {text}"))
}

/// A project as it is stored: with its defaults, and what only this service knows of it.
fn body(project: &Project, members: &Map<String, Value>) -> Result<Value, ApiError> {
    let mut body = serde_json::to_value(project).map_err(ApiError::fault)?;
    for member in ["badgeEnabled", CACHE_GENERATION] {
        if let Some(value) = members.get(member) {
            body[member] = value.clone();
        }
    }
    Ok(body)
}

/// A project as clients see it, with what CodeBuild fills in.
fn shown(settings: &Settings, resource: Resource) -> Value {
    let mut project = of(resource.body);
    let is_badge_enabled = project.remove("badgeEnabled").unwrap_or(json!(false));
    project.remove(CACHE_GENERATION);
    let mut fill = |member: &str, value: Value| {
        project.entry(member).or_insert(value);
    };
    fill("arn", project_arn(settings, &resource.name).into());
    fill("badge", json!({"badgeEnabled": is_badge_enabled}));
    fill("created", seconds(resource.created_at).into());
    fill("encryptionKey", default_key(settings).into());
    fill("lastModified", seconds(resource.modified_at).into());
    fill("projectVisibility", "PRIVATE".into());
    fill("tags", json!([]));
    for (place, member, value) in [
        (
            "environment",
            "imagePullCredentialsType",
            json!("CODEBUILD"),
        ),
        ("source", "insecureSsl", json!(false)),
    ] {
        if let Some(members) = project.get_mut(place).and_then(Value::as_object_mut) {
            members.entry(member).or_insert(value);
        }
    }
    if let Some(artifacts) = project.get_mut("artifacts").and_then(Value::as_object_mut)
        && artifacts.get("type") == Some(&json!("S3"))
    {
        artifacts.entry("name").or_insert(resource.name.into());
    }
    Value::Object(project)
}

/// The key that CodeBuild shows where none is set.
fn default_key(settings: &Settings) -> String {
    let Settings {
        region, account, ..
    } = settings;
    format!("arn:aws:kms:{region}:{account}:alias/aws/s3")
}
