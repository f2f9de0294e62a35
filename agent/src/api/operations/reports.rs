//! Test reports and coverage.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::input::SortOrder;
use super::lists::ListInput;
use super::{Call, input, report_groups};
use crate::api::error::ApiError;
use crate::api::paging;
use crate::api::wire::Empty;
use crate::model::seconds;
use crate::store::{Order, REPORT_LIFE, ReportFilter, StoredReport};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ArnsInput {
    report_arns: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BatchGetOutput {
    reports: Vec<Value>,
    reports_not_found: Vec<String>,
}

/// Looks reports up, in the order of the input.
pub(super) async fn batch_get(call: Call, input: ArnsInput) -> Result<BatchGetOutput, ApiError> {
    let empty = "The input report ARN list cannot be empty.";
    let wanted = input::names("reportArns", input.report_arns, empty)?;
    let mut found = call.store().reports(&wanted).await?;
    let mut output = BatchGetOutput {
        reports: Vec::new(),
        reports_not_found: Vec::new(),
    };
    for arn in wanted {
        match found.iter().position(|report| report.arn == arn) {
            Some(place) => output.reports.push(shown(found.swap_remove(place))),
            None => output.reports_not_found.push(arn),
        }
    }
    Ok(output)
}

#[derive(Debug, Deserialize)]
pub(super) struct ArnInput {
    arn: Option<String>,
}

/// Forgets a report; one that is not there is no error.
pub(super) async fn delete(call: Call, input: ArnInput) -> Result<Empty, ApiError> {
    let arn = input::required("arn", input.arn)?;
    call.store().delete_report(&arn).await?;
    Ok(Empty {})
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListReportsInput {
    report_group_arn: Option<String>,
    filter: Option<Filter>,
    #[serde(flatten)]
    list: ListInput,
}

#[derive(Debug, Deserialize)]
struct Filter {
    status: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListOutput {
    reports: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

/// Lists the ARNs of all reports, the newest first.
pub(super) async fn list(call: Call, input: ListReportsInput) -> Result<ListOutput, ApiError> {
    of(&call, input, None).await
}

/// Lists the ARNs of a group's reports, the newest first.
pub(super) async fn list_for_group(
    call: Call,
    mut input: ListReportsInput,
) -> Result<ListOutput, ApiError> {
    let arn = input::required("reportGroupArn", input.report_group_arn.take())?;
    let group = report_groups::stored(&call, &arn).await?;
    let arn = report_groups::arn_of(&call, &group.name);
    of(&call, input, Some(arn)).await
}

async fn of(
    call: &Call,
    input: ListReportsInput,
    group_arn: Option<String>,
) -> Result<ListOutput, ApiError> {
    let status = input.filter.and_then(|filter| filter.status);
    let name = format!(
        "ListReports/{}/{}",
        group_arn.as_deref().unwrap_or_default(),
        status.as_deref().unwrap_or_default()
    );
    let list = input.list.list(&name, Order::Descending)?;
    let filter = ReportFilter { group_arn, status };
    let page = call.store().list_reports(&filter, &list.page).await?;
    Ok(ListOutput {
        next_token: list.next_token(&page),
        reports: page.entries,
    })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CasesInput {
    report_arn: Option<String>,
    next_token: Option<String>,
    max_results: Option<i64>,
    filter: Option<CaseFilter>,
}

#[derive(Debug, Deserialize)]
struct CaseFilter {
    status: Option<String>,
    keyword: Option<String>,
}

/// Gives the test cases of a report.
pub(super) async fn describe_cases(call: Call, input: CasesInput) -> Result<Value, ApiError> {
    let arn = input::required("reportArn", input.report_arn)?;
    let (report, mut cases) = details(&call, &arn, "testCases").await?;
    let filter = input.filter.as_ref();
    if let Some(status) = filter.and_then(|filter| filter.status.as_deref()) {
        cases.retain(|case| case["status"] == status);
    }
    if let Some(keyword) = filter.and_then(|filter| filter.keyword.as_deref()) {
        let has = |case: &Value, member: &str| {
            case[member]
                .as_str()
                .is_some_and(|text| text.contains(keyword))
        };
        cases.retain(|case| has(case, "name") || has(case, "prefix"));
    }
    let (mut cases, next_token) =
        page(cases, &arn, input.next_token.as_deref(), input.max_results)?;
    for case in &mut cases {
        case["reportArn"] = arn.as_str().into();
        case["expired"] = expired(&report);
    }
    Ok(json!({"testCases": cases, "nextToken": next_token}))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CoveragesInput {
    report_arn: Option<String>,
    next_token: Option<String>,
    max_results: Option<i64>,
    sort_order: Option<SortOrder>,
    sort_by: Option<CoverageSort>,
    min_line_coverage_percentage: Option<f64>,
    max_line_coverage_percentage: Option<f64>,
}

/// API, `ReportCodeCoverageSortByType`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum CoverageSort {
    LineCoveragePercentage,
    FilePath,
}

/// Gives the coverage of the files of a report.
pub(super) async fn describe_coverages(
    call: Call,
    input: CoveragesInput,
) -> Result<Value, ApiError> {
    let arn = input::required("reportArn", input.report_arn)?;
    let (report, mut files) = details(&call, &arn, "codeCoverages").await?;
    let lines = |file: &Value| file["lineCoveragePercentage"].as_f64().unwrap_or_default();
    let (least, most) = (
        input.min_line_coverage_percentage.unwrap_or(0.0),
        input.max_line_coverage_percentage.unwrap_or(100.0),
    );
    files.retain(|file| (least..=most).contains(&lines(file)));
    let by_path = |a: &Value, b: &Value| a["filePath"].as_str().cmp(&b["filePath"].as_str());
    match input.sort_by {
        Some(CoverageSort::LineCoveragePercentage) => files.sort_by(|a, b| {
            let order = lines(a).partial_cmp(&lines(b)).unwrap_or(Ordering::Equal);
            order.then_with(|| by_path(a, b))
        }),
        Some(CoverageSort::FilePath) | None => files.sort_by(by_path),
    }
    if input.sort_order == Some(SortOrder::Descending) {
        files.reverse();
    }
    let list = format!(
        "{arn}/{:?}/{:?}/{least}/{most}",
        input.sort_by, input.sort_order
    );
    let (mut files, next_token) =
        page(files, &list, input.next_token.as_deref(), input.max_results)?;
    for file in &mut files {
        // The one member that is written so.
        file["reportARN"] = arn.as_str().into();
        file["expired"] = expired(&report);
    }
    Ok(json!({"codeCoverages": files, "nextToken": next_token}))
}

/// A report, and a list of its details.
async fn details(
    call: &Call,
    arn: &str,
    member: &str,
) -> Result<(StoredReport, Vec<Value>), ApiError> {
    let unknown = || ApiError::not_found(format!("Report {arn} does not exist"));
    let found = call.store().reports(&[arn.to_owned()]).await?;
    let report = found.into_iter().next().ok_or_else(unknown)?;
    let mut details = call
        .store()
        .report_details(arn)
        .await?
        .ok_or_else(unknown)?;
    match details.get_mut(member).map(Value::take) {
        Some(Value::Array(items)) => Ok((report, items)),
        _ => Ok((report, Vec::new())),
    }
}

/// The part of a list that is wanted, and the token for the rest. Details do not change once they are
/// there, so that a position says where to go on.
fn page(
    items: Vec<Value>,
    list: &str,
    token: Option<&str>,
    wanted: Option<i64>,
) -> Result<(Vec<Value>, Option<String>), ApiError> {
    let limit = input::limit(wanted)? as usize;
    let start = paging::after(list, token)?;
    let start: usize = start.and_then(|start| start.parse().ok()).unwrap_or(0);
    let end = start.saturating_add(limit);
    let next = (end < items.len()).then(|| paging::token(list, &end.to_string()));
    let page = items.into_iter().skip(start).take(limit).collect();
    Ok((page, next))
}

fn expired(report: &StoredReport) -> Value {
    (seconds(report.created_at) + REPORT_LIFE.as_secs_f64())
        .floor()
        .into()
}

fn shown(stored: StoredReport) -> Value {
    let expired = expired(&stored);
    let mut report = stored.report;
    if let Some(members) = report.as_object_mut() {
        members.entry("expired").or_insert(expired);
        let export = json!({"exportConfigType": "NO_EXPORT"});
        members.entry("exportConfig").or_insert(export);
    }
    report
}
