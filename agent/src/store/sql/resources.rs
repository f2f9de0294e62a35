//! What is kept by name.

use serde_json::Value as Json;

use super::{lanes, pages};
use crate::store::database::{Row, Session, Twin};
use crate::store::{Kind, Order, Page, PageRequest, Resource, ResourceSort, StoreError};

const CREATE: &str = "
INSERT INTO resources (kind, name, created_at, modified_at, body)
SELECT $1, $2, now, now, $3 FROM clock WHERE true
ON CONFLICT (kind, name) DO NOTHING
RETURNING name, created_at, modified_at, body";

/// The time of a change is later than that of the one before, so that it tells them apart.
const UPDATE: &str = "
UPDATE resources SET body = $3, modified_at = CASE
    WHEN (SELECT now FROM clock) > modified_at THEN (SELECT now FROM clock)
    ELSE modified_at + 1 END
WHERE kind = $1 AND name = $2
RETURNING name, created_at, modified_at, body";

const REPLACE: &str = "
UPDATE resources SET body = $3, modified_at = CASE
    WHEN (SELECT now FROM clock) > modified_at THEN (SELECT now FROM clock)
    ELSE modified_at + 1 END
WHERE kind = $1 AND name = $2 AND modified_at = $4
RETURNING name, created_at, modified_at, body";

const DELETE: &str = "DELETE FROM resources WHERE kind = $1 AND name = $2 RETURNING name";

const OF_NAMES: Twin = Twin {
    sqlite: "SELECT name, created_at, modified_at, body FROM resources
WHERE kind = $1 AND name IN (SELECT value FROM json_each($2)) ORDER BY name",
    postgres: "SELECT name, created_at, modified_at, body FROM resources
WHERE kind = $1 AND name IN (SELECT json_array_elements_text($2::json)) ORDER BY name",
};

const BY_NAME: &str = "
SELECT name, 0 FROM resources WHERE kind = $1 AND name > $2 ORDER BY name LIMIT $3";

const BY_NAME_DOWN: &str = "
SELECT name, 0 FROM resources WHERE kind = $1 AND name < $2 ORDER BY name DESC LIMIT $3";

const BY_CREATION: &str = "
SELECT name, created_at FROM resources WHERE kind = $1 AND (created_at, name) > ($4, $2)
ORDER BY created_at, name LIMIT $3";

const BY_CREATION_DOWN: &str = "
SELECT name, created_at FROM resources WHERE kind = $1 AND (created_at, name) < ($4, $2)
ORDER BY created_at DESC, name DESC LIMIT $3";

const BY_MODIFICATION: &str = "
SELECT name, modified_at FROM resources WHERE kind = $1 AND (modified_at, name) > ($4, $2)
ORDER BY modified_at, name LIMIT $3";

const BY_MODIFICATION_DOWN: &str = "
SELECT name, modified_at FROM resources WHERE kind = $1 AND (modified_at, name) < ($4, $2)
ORDER BY modified_at DESC, name DESC LIMIT $3";

/// Stores something new.
pub(super) async fn create(
    session: &mut dyn Session,
    kind: Kind,
    name: &str,
    body: Json,
) -> Result<Resource, StoreError> {
    match put(session, kind, name, &body).await? {
        Some(resource) => Ok(resource),
        None => Err(StoreError::AlreadyExists {
            kind,
            name: name.to_owned(),
        }),
    }
}

/// Stores something unless there is something of this name.
pub(super) async fn put(
    session: &mut dyn Session,
    kind: Kind,
    name: &str,
    body: &Json,
) -> Result<Option<Resource>, StoreError> {
    let values = [kind.key().into(), name.into(), body.into()];
    let row = session.row(CREATE, &values).await?;
    let resource = row.map(resource).transpose()?;
    if resource.is_some() {
        limit_lane(session, kind, name, body).await?;
    }
    Ok(resource)
}

/// Replaces the body.
pub(super) async fn update(
    session: &mut dyn Session,
    kind: Kind,
    name: &str,
    body: Json,
) -> Result<Resource, StoreError> {
    let values = [kind.key().into(), name.into(), (&body).into()];
    let row = session.row(UPDATE, &values).await?;
    let row = row.ok_or_else(|| StoreError::NotFound {
        kind,
        name: name.to_owned(),
    })?;
    limit_lane(session, kind, name, &body).await?;
    resource(row)
}

/// Replaces the body of what was seen before, if it is still the same.
pub(super) async fn replace(
    session: &mut dyn Session,
    kind: Kind,
    seen: &Resource,
    body: Json,
) -> Result<Option<Resource>, StoreError> {
    let values = [
        kind.key().into(),
        seen.name.as_str().into(),
        (&body).into(),
        seen.modified_at.as_millisecond().into(),
    ];
    let Some(row) = session.row(REPLACE, &values).await? else {
        return Ok(None);
    };
    limit_lane(session, kind, &seen.name, &body).await?;
    resource(row).map(Some)
}

/// A project's limit counts for its queue.
async fn limit_lane(
    session: &mut dyn Session,
    kind: Kind,
    name: &str,
    body: &Json,
) -> Result<(), StoreError> {
    if kind == Kind::Project {
        let limit = body.get("concurrentBuildLimit").and_then(Json::as_i64);
        lanes::limit(session, name, limit.filter(|limit| *limit > 0)).await?;
    }
    Ok(())
}

/// Removes something.
pub(super) async fn delete(
    session: &mut dyn Session,
    kind: Kind,
    name: &str,
) -> Result<bool, StoreError> {
    let deleted = session
        .row(DELETE, &[kind.key().into(), name.into()])
        .await?;
    if deleted.is_some() && kind == Kind::Project {
        lanes::limit(session, name, None).await?;
    }
    Ok(deleted.is_some())
}

/// Looks names up.
pub(super) async fn of_names(
    session: &mut dyn Session,
    kind: Kind,
    names: &[String],
) -> Result<Vec<Resource>, StoreError> {
    let names = Json::from(names);
    let values = [kind.key().into(), (&names).into()];
    let rows = session.rows(session.text(OF_NAMES), &values).await?;
    rows.into_iter().map(resource).collect()
}

/// Lists names.
pub(super) async fn list(
    session: &mut dyn Session,
    kind: Kind,
    sort: ResourceSort,
    page: &PageRequest,
) -> Result<Page<String>, StoreError> {
    let statement = match (sort, page.order) {
        (ResourceSort::Name, Order::Ascending) => BY_NAME,
        (ResourceSort::Name, Order::Descending) => BY_NAME_DOWN,
        (ResourceSort::Created, Order::Ascending) => BY_CREATION,
        (ResourceSort::Created, Order::Descending) => BY_CREATION_DOWN,
        (ResourceSort::Modified, Order::Ascending) => BY_MODIFICATION,
        (ResourceSort::Modified, Order::Descending) => BY_MODIFICATION_DOWN,
    };
    let (time, name) = pages::start(page)?;
    let mut values = vec![kind.key().into(), name.into(), pages::rows(page).into()];
    if sort != ResourceSort::Name {
        values.push(time.into());
    }
    let mut entries = Vec::new();
    for mut row in session.rows(statement, &values).await? {
        let name = row.text()?;
        entries.push((name.clone(), row.integer()?, name));
    }
    Ok(pages::cut(page, entries))
}

fn resource(mut row: Row) -> Result<Resource, StoreError> {
    Ok(Resource {
        name: row.text()?,
        created_at: row.time()?,
        modified_at: row.time()?,
        body: row.json("resource")?,
    })
}
