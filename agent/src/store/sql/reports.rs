//! Reports as they are kept.

use serde_json::Value as Json;

use super::pages;
use crate::model::BuildId;
use crate::store::database::{Row, Session, Twin};
use crate::store::{NewReport, Order, Page, PageRequest, ReportFilter, StoreError, StoredReport};

const INSERT: &str = "
INSERT INTO reports (arn, report_group, build, status, created_at, report, details)
SELECT $1, $2, $3, $4, now, $5, $6 FROM clock WHERE true ON CONFLICT (arn) DO NOTHING";

const OF_ARNS: Twin = Twin {
    sqlite: "SELECT arn, report_group, created_at, report FROM reports
WHERE arn IN (SELECT value FROM json_each($1)) ORDER BY arn",
    postgres: "SELECT arn, report_group, created_at, report FROM reports
WHERE arn IN (SELECT json_array_elements_text($1::json)) ORDER BY arn",
};

const LIST: &str = "
SELECT arn, created_at FROM reports
WHERE (created_at, arn) > ($1, $2) AND (CAST($4 AS TEXT) IS NULL OR status = $4)
ORDER BY created_at, arn LIMIT $3";

const LIST_DOWN: &str = "
SELECT arn, created_at FROM reports
WHERE (created_at, arn) < ($1, $2) AND (CAST($4 AS TEXT) IS NULL OR status = $4)
ORDER BY created_at DESC, arn DESC LIMIT $3";

const LIST_OF_GROUP: &str = "
SELECT arn, created_at FROM reports
WHERE report_group = $5 AND (created_at, arn) > ($1, $2)
    AND (CAST($4 AS TEXT) IS NULL OR status = $4)
ORDER BY created_at, arn LIMIT $3";

const LIST_OF_GROUP_DOWN: &str = "
SELECT arn, created_at FROM reports
WHERE report_group = $5 AND (created_at, arn) < ($1, $2)
    AND (CAST($4 AS TEXT) IS NULL OR status = $4)
ORDER BY created_at DESC, arn DESC LIMIT $3";

const DETAILS: &str = "SELECT details FROM reports WHERE arn = $1";

const DELETE: &str = "DELETE FROM reports WHERE arn = $1 RETURNING arn";

/// Stores a report of a build.
pub(super) async fn insert(
    session: &mut dyn Session,
    build: &BuildId,
    report: &NewReport,
) -> Result<(), StoreError> {
    let values = [
        report.arn.as_str().into(),
        report.group_arn.as_str().into(),
        build.uuid.into(),
        report.status.as_str().into(),
        (&report.report).into(),
        (&report.details).into(),
    ];
    session.rows(INSERT, &values).await.map(drop)
}

/// Looks reports up.
pub(super) async fn of_arns(
    session: &mut dyn Session,
    arns: &[String],
) -> Result<Vec<StoredReport>, StoreError> {
    let arns = Json::from(arns);
    let rows = session
        .rows(session.text(OF_ARNS), &[(&arns).into()])
        .await?;
    let report = |mut row: Row| {
        Ok(StoredReport {
            arn: row.text()?,
            group_arn: row.text()?,
            created_at: row.time()?,
            report: row.json("report")?,
        })
    };
    rows.into_iter().map(report).collect()
}

/// Lists ARNs by age.
pub(super) async fn list(
    session: &mut dyn Session,
    filter: &ReportFilter,
    page: &PageRequest,
) -> Result<Page<String>, StoreError> {
    let (time, arn) = pages::start(page)?;
    let mut values = vec![
        time.into(),
        arn.into(),
        pages::rows(page).into(),
        filter.status.clone().into(),
    ];
    let statement = match (&filter.group_arn, page.order) {
        (None, Order::Ascending) => LIST,
        (None, Order::Descending) => LIST_DOWN,
        (Some(_), Order::Ascending) => LIST_OF_GROUP,
        (Some(_), Order::Descending) => LIST_OF_GROUP_DOWN,
    };
    values.extend(filter.group_arn.as_deref().map(Into::into));
    let mut entries = Vec::new();
    for mut row in session.rows(statement, &values).await? {
        let arn = row.text()?;
        entries.push((arn.clone(), row.integer()?, arn));
    }
    Ok(pages::cut(page, entries))
}

/// Cases and coverages of a report.
pub(super) async fn details(
    session: &mut dyn Session,
    arn: &str,
) -> Result<Option<Json>, StoreError> {
    let row = session.row(DETAILS, &[arn.into()]).await?;
    row.map(|mut row| row.json("report")).transpose()
}

/// Removes a report.
pub(super) async fn delete(session: &mut dyn Session, arn: &str) -> Result<bool, StoreError> {
    Ok(session.row(DELETE, &[arn.into()]).await?.is_some())
}
