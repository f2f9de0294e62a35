//! Groups of reports.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::lists::ListInput;
use super::{Call, arn, input};
use crate::api::error::{ApiError, Code};
use crate::api::wire::Empty;
use crate::model::{ReportType, Tag, seconds};
use crate::store::{Kind, Order, PageRequest, ReportFilter, Resource, StoreError};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreateInput {
    name: Option<String>,
    r#type: Option<ReportType>,
    export_config: Option<Value>,
    tags: Option<Vec<Tag>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GroupOutput {
    report_group: Value,
}

/// Makes a group.
pub(super) async fn create(call: Call, input: CreateInput) -> Result<GroupOutput, ApiError> {
    let name = input::required("name", input.name)?;
    let length = name.chars().count();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !(2..=128).contains(&length) || !name.chars().all(allowed) {
        return Err(ApiError::invalid(
            "Invalid input: name has to be 2 to 128 letters, digits, hyphens and underscores",
        ));
    }
    let report_type = input::required("type", input.r#type)?;
    let export_config = input::required("exportConfig", input.export_config)?;
    check_export(&export_config)?;
    let body = json!({
        "name": name,
        "type": report_type,
        "exportConfig": export_config,
        "tags": input.tags.unwrap_or_default(),
    });
    match call
        .store()
        .create_resource(Kind::ReportGroup, &name, body)
        .await
    {
        Ok(resource) => Ok(GroupOutput {
            report_group: shown(&call, resource),
        }),
        Err(StoreError::AlreadyExists { .. }) => Err(ApiError::new(
            Code::ResourceAlreadyExists,
            format!("Report group already exists: {}", arn_of(&call, &name)),
        )),
        Err(error) => Err(error.into()),
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UpdateInput {
    arn: Option<String>,
    export_config: Option<Value>,
    tags: Option<Vec<Tag>>,
}

/// Changes a group.
pub(super) async fn update(call: Call, input: UpdateInput) -> Result<GroupOutput, ApiError> {
    let arn = input::required("arn", input.arn)?;
    input.export_config.as_ref().map(check_export).transpose()?;
    let look = || stored(&call, &arn);
    let updated = call.change(Kind::ReportGroup, look, |mut group| {
        if let Some(export_config) = &input.export_config {
            group["exportConfig"] = export_config.clone();
        }
        if let Some(tags) = &input.tags {
            group["tags"] = json!(tags);
        }
        Ok(group)
    });
    Ok(GroupOutput {
        report_group: shown(&call, updated.await?),
    })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeleteInput {
    arn: Option<String>,
    delete_reports: Option<bool>,
}

/// Forgets a group, and its reports where that is wished.
pub(super) async fn delete(call: Call, input: DeleteInput) -> Result<Empty, ApiError> {
    let arn = input::required("arn", input.arn)?;
    let name = arn::short(&arn, "report-group").to_owned();
    let filter = ReportFilter {
        group_arn: Some(arn_of(&call, &name)),
        status: None,
    };
    let store = call.store();
    loop {
        let page = store
            .list_reports(&filter, &PageRequest::first(Order::Ascending))
            .await?;
        if page.entries.is_empty() {
            break;
        }
        if input.delete_reports != Some(true) {
            return Err(ApiError::invalid(format!(
                "Invalid input: report group {arn} has reports; set deleteReports to delete them with it"
            )));
        }
        for report in page.entries {
            store.delete_report(&report).await?;
        }
    }
    store.delete_resource(Kind::ReportGroup, &name).await?;
    Ok(Empty {})
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ArnsInput {
    report_group_arns: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BatchGetOutput {
    report_groups: Vec<Value>,
    report_groups_not_found: Vec<String>,
}

/// Looks groups up, in the order of the input.
pub(super) async fn batch_get(call: Call, input: ArnsInput) -> Result<BatchGetOutput, ApiError> {
    let empty = "The input report group ARN list cannot be empty.";
    let wanted = input::names("reportGroupArns", input.report_group_arns, empty)?;
    let names: Vec<_> = wanted
        .iter()
        .map(|arn| arn::short(arn, "report-group").to_owned())
        .collect();
    let mut found = call.store().resources(Kind::ReportGroup, &names).await?;
    let mut output = BatchGetOutput {
        report_groups: Vec::new(),
        report_groups_not_found: Vec::new(),
    };
    for (asked, name) in wanted.into_iter().zip(names) {
        match found.iter().position(|resource| resource.name == name) {
            Some(place) => output
                .report_groups
                .push(shown(&call, found.swap_remove(place))),
            None => output.report_groups_not_found.push(asked),
        }
    }
    Ok(output)
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListOutput {
    report_groups: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

/// Lists the ARNs of groups.
pub(super) async fn list(call: Call, input: ListInput) -> Result<ListOutput, ApiError> {
    let list = input.list("ListReportGroups", Order::Ascending)?;
    let page = call
        .store()
        .list_resources(Kind::ReportGroup, list.sort, &list.page)
        .await?;
    Ok(ListOutput {
        next_token: list.next_token(&page),
        report_groups: page
            .entries
            .iter()
            .map(|name| arn_of(&call, name))
            .collect(),
    })
}

/// A stored group.
pub(super) async fn stored(call: &Call, arn: &str) -> Result<Resource, ApiError> {
    let names = [arn::short(arn, "report-group").to_owned()];
    let found = call.store().resources(Kind::ReportGroup, &names).await?;
    let unknown = || ApiError::not_found(format!("Report group {arn} does not exist"));
    found.into_iter().next().ok_or_else(unknown)
}

fn check_export(export_config: &Value) -> Result<(), ApiError> {
    match export_config
        .get("exportConfigType")
        .and_then(Value::as_str)
    {
        Some("NO_EXPORT") | None => Ok(()),
        Some("S3") => Err(ApiError::invalid(
            "Invalid exportConfig: S3 is not supported, results of reports are kept by this server; use NO_EXPORT",
        )),
        Some(other) => Err(ApiError::invalid(format!(
            "Invalid exportConfig: exportConfigType `{other}` is neither S3 nor NO_EXPORT"
        ))),
    }
}

pub(super) fn arn_of(call: &Call, name: &str) -> String {
    arn::of(call.settings(), &format!("report-group/{name}"))
}

fn shown(call: &Call, resource: Resource) -> Value {
    let mut group = resource.body;
    group["arn"] = arn_of(call, &resource.name).into();
    group["name"] = resource.name.into();
    group["created"] = seconds(resource.created_at).into();
    group["lastModified"] = seconds(resource.modified_at).into();
    group["status"] = "ACTIVE".into();
    group
}
