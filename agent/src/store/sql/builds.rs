//! Builds as they are kept.

use std::collections::HashMap;

use serde_json::Value as Json;

use super::{lanes, outbox, pages, record};
use crate::model::{BuildId, ProjectName, Status};
use crate::store::database::{Row, Session, Topic, Twin};
use crate::store::{Deletion, Order, Page, PageRequest, StoreError, StoredBuild};

const OF_IDS: Twin = Twin {
    sqlite:
        "SELECT id, project, number, status, submitted_at, ended_at, request, record FROM builds
WHERE id IN (SELECT value FROM json_each($1))",
    postgres:
        "SELECT id, project, number, status, submitted_at, ended_at, request, record FROM builds
WHERE id IN (SELECT json_array_elements_text($1::json))",
};

const LIST: &str = "
SELECT id, project, submitted_at FROM builds WHERE (submitted_at, id) > ($1, $2)
ORDER BY submitted_at, id LIMIT $3";

const LIST_DOWN: &str = "
SELECT id, project, submitted_at FROM builds WHERE (submitted_at, id) < ($1, $2)
ORDER BY submitted_at DESC, id DESC LIMIT $3";

const LIST_OF_PROJECT: &str = "
SELECT id, project, number FROM builds WHERE project = $3 AND number > $1
ORDER BY number LIMIT $2";

const LIST_OF_PROJECT_DOWN: &str = "
SELECT id, project, number FROM builds WHERE project = $3 AND number < $1
ORDER BY number DESC LIMIT $2";

const DELETE: &str =
    "DELETE FROM builds WHERE id = $1 AND project = $2 AND ended_at IS NOT NULL RETURNING id";

const EXISTS: &str = "SELECT id FROM builds WHERE id = $1 AND project = $2";

const ASK_TO_STOP: &str = "
UPDATE queue SET is_stopping = 1 WHERE build = $1 AND agent IS NOT NULL RETURNING build";

const LEAVE_QUEUE: &str = "DELETE FROM queue WHERE build = $1 AND agent IS NULL RETURNING build";

const END: &str = "
UPDATE builds SET status = $2, record = $3, ended_at = $4 WHERE id = $1 AND ended_at IS NULL
RETURNING id";

/// Looks builds up.
pub(super) async fn of_ids(
    session: &mut dyn Session,
    ids: &[BuildId],
) -> Result<Vec<StoredBuild>, StoreError> {
    let uuids: Json = ids.iter().map(|id| id.uuid.to_string()).collect();
    let rows = session
        .rows(session.text(OF_IDS), &[(&uuids).into()])
        .await?;
    let mut found: HashMap<BuildId, StoredBuild> = HashMap::new();
    for row in rows {
        let build = stored(row)?;
        found.insert(build.id.clone(), build);
    }
    // The same UUID with another project is no build.
    Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
}

/// Looks one build up.
pub(super) async fn of_id(
    session: &mut dyn Session,
    id: &BuildId,
) -> Result<Option<StoredBuild>, StoreError> {
    Ok(of_ids(session, std::slice::from_ref(id)).await?.pop())
}

/// Lists builds.
pub(super) async fn list(
    session: &mut dyn Session,
    project: Option<&ProjectName>,
    page: &PageRequest,
) -> Result<Page<BuildId>, StoreError> {
    let (number, id) = pages::start(page)?;
    let rows = match project {
        None => {
            let statement = match page.order {
                Order::Ascending => LIST,
                Order::Descending => LIST_DOWN,
            };
            let values = [number.into(), id.into(), pages::rows(page).into()];
            session.rows(statement, &values).await?
        }
        Some(project) => {
            let statement = match page.order {
                Order::Ascending => LIST_OF_PROJECT,
                Order::Descending => LIST_OF_PROJECT_DOWN,
            };
            let project = project.to_string();
            let values = [number.into(), pages::rows(page).into(), project.into()];
            session.rows(statement, &values).await?
        }
    };
    let mut entries = Vec::new();
    for mut row in rows {
        let id = build_id(&mut row)?;
        let uuid = id.uuid.to_string();
        entries.push((id, row.integer()?, uuid));
    }
    Ok(pages::cut(page, entries))
}

/// Forgets a build that is over.
pub(super) async fn delete(
    session: &mut dyn Session,
    id: &BuildId,
) -> Result<Deletion, StoreError> {
    let values = [id.uuid.into(), id.project.to_string().into()];
    if session.row(DELETE, &values).await?.is_some() {
        return Ok(Deletion::Deleted);
    }
    let exists = session.row(EXISTS, &values).await?.is_some();
    Ok(if exists {
        Deletion::InProgress
    } else {
        Deletion::Unknown
    })
}

/// Stops a build that waits, asks the agent of one that runs.
pub(super) async fn stop(
    session: &mut dyn Session,
    id: &BuildId,
) -> Result<Option<StoredBuild>, StoreError> {
    let values = [id.uuid.into(), id.project.to_string().into()];
    if session.row(EXISTS, &values).await?.is_none() {
        return Ok(None);
    }
    let project = id.project.to_string();
    lanes::hold_one(session, &project).await?;
    let uuid = [id.uuid.into()];
    if session.row(LEAVE_QUEUE, &uuid).await?.is_some() {
        end(session, id, Status::Stopped, None).await?;
        lanes::fill(session, &project).await?;
    } else if session.row(ASK_TO_STOP, &uuid).await?.is_some() {
        session.wake(Topic::Stop).await?;
    }
    of_id(session, id).await
}

/// Ends a build that has left the queue without its agent.
pub(super) async fn end(
    session: &mut dyn Session,
    id: &BuildId,
    status: Status,
    context: Option<crate::model::PhaseContext>,
) -> Result<(), StoreError> {
    let Some(build) = of_id(session, id).await? else {
        return Ok(());
    };
    let end = record::End {
        status,
        context,
        at: session.now().await?,
    };
    let mut record = build.record.clone();
    record::close(&mut record, &end);
    let values = [
        id.uuid.into(),
        status.name().into(),
        (&record).into(),
        end.at.into(),
    ];
    if session.row(END, &values).await?.is_none() {
        return Ok(());
    }
    if outbox::is_heard(session, build.request.reports_build_status()) {
        outbox::tell(session, &build.request, Some(&build.record), &record).await?;
    }
    Ok(())
}

fn stored(mut row: Row) -> Result<StoredBuild, StoreError> {
    Ok(StoredBuild {
        id: build_id(&mut row)?,
        number: row.count()?,
        status: row.text()?,
        submitted_at: row.time()?,
        ended_at: row.optional_time()?,
        request: row.json("build request")?,
        record: row.json("build record")?,
    })
}

/// A build's identity in two columns: its UUID and its project.
pub(super) fn build_id(row: &mut Row) -> Result<BuildId, StoreError> {
    Ok(BuildId {
        uuid: row.parsed("build id")?,
        project: row.parsed("project name")?,
    })
}
