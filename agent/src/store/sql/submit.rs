//! A build comes in: number, record and place in the queue in one transaction.

use serde_json::{Value as Json, json};

use super::{builds, lanes, millis, record};
use crate::model::ProjectName;
use crate::store::database::{Session, Topic};
use crate::store::{
    AtLimit, IdempotencyToken, Needs, NewBuild, Resources, StoreError, StoredBuild, Submission,
    TOKEN_LIFE,
};

const FORGET_TOKEN: &str =
    "DELETE FROM idempotency WHERE token = $1 AND expires_at <= (SELECT now FROM clock)";

const REMEMBER_TOKEN: &str = "
INSERT INTO idempotency (token, fingerprint, build, expires_at)
SELECT $1, $2, $3, now + $4 FROM clock WHERE true
ON CONFLICT (token) DO NOTHING RETURNING token";

const KNOWN_TOKEN: &str = "SELECT fingerprint, build FROM idempotency WHERE token = $1";

const INSERT_BUILD: &str = "
INSERT INTO builds (id, project, number, status, submitted_at, request, record)
VALUES ($1, $2, $3, 'IN_PROGRESS', $4, $5, $6)";

const INSERT_CLASS: &str = "
INSERT INTO classes (id, environment_type, fleet, processors_milli, memory_mib)
VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING";

const INSERT_WAITING: &str = "
INSERT INTO queue (build, project, class, priority, turn, submitted_at, deadline, is_ready)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

/// Queues a build, or gives the one that its token started before.
pub(super) async fn submit(
    session: &mut dyn Session,
    build: NewBuild,
    token: Option<IdempotencyToken>,
) -> Result<Submission, StoreError> {
    if let Some(token) = token
        && let Some(build) = known(session, &token, &build).await?
    {
        return Ok(Submission {
            build,
            is_new: false,
        });
    }
    Ok(Submission {
        build: queue(session, build, None).await?,
        is_new: true,
    })
}

/// Queues a build; `auto_retry` is what its record says of the tries before it.
pub(super) async fn queue(
    session: &mut dyn Session,
    mut build: NewBuild,
    auto_retry: Option<Json>,
) -> Result<StoredBuild, StoreError> {
    let project = build.request.id.project.clone();
    let place = lanes::enter(session, &project).await?;
    if let (Some(limit), AtLimit::Reject) = (place.limit, build.at_limit) {
        reject_at_limit(session, &project, limit).await?;
    }
    build.request.build_number = place.number.unsigned_abs();
    let mut record = record::open(&build.request);
    if let Some(config) = auto_retry {
        record["autoRetryConfig"] = config;
    }
    insert(session, &build, record, place).await?;
    if place.limit.is_some() {
        lanes::fill(session, &project.to_string()).await?;
    } else {
        session.wake(Topic::Work).await?;
    }
    let stored = builds::of_id(session, &build.request.id).await?;
    stored.ok_or_else(|| lost(&build))
}

/// The build that a token stands for, if it was seen before. From now on it stands for `build`
/// otherwise; another transaction with the same token waits for the end of this one.
async fn known(
    session: &mut dyn Session,
    token: &IdempotencyToken,
    build: &NewBuild,
) -> Result<Option<StoredBuild>, StoreError> {
    let key = format!("{}:{}", token.operation.key(), token.token);
    session.rows(FORGET_TOKEN, &[key.as_str().into()]).await?;
    let values = [
        key.as_str().into(),
        token.fingerprint.as_str().into(),
        build.request.id.to_string().into(),
        millis(TOKEN_LIFE).into(),
    ];
    if session.row(REMEMBER_TOKEN, &values).await?.is_some() {
        return Ok(None);
    }
    let Some(mut row) = session.row(KNOWN_TOKEN, &[key.into()]).await? else {
        return Ok(None);
    };
    if row.text()? != token.fingerprint {
        return Err(StoreError::TokenMismatch);
    }
    let id = row.parsed("build id")?;
    builds::of_id(session, &id).await
}

async fn reject_at_limit(
    session: &mut dyn Session,
    project: &ProjectName,
    limit: i64,
) -> Result<(), StoreError> {
    if lanes::length(session, project).await? < limit {
        return Ok(());
    }
    Err(StoreError::LimitReached {
        project: project.clone(),
        limit: limit.unsigned_abs(),
    })
}

async fn insert(
    session: &mut dyn Session,
    build: &NewBuild,
    mut record: Json,
    place: lanes::Place,
) -> Result<(), StoreError> {
    let request = &build.request;
    let (uuid, project) = (request.id.uuid, request.id.project.to_string());
    let submitted_at = session.now().await?;
    record::begin(&mut record, submitted_at);
    let values = [
        uuid.into(),
        project.as_str().into(),
        place.number.into(),
        submitted_at.into(),
        (&json!(request)).into(),
        (&record).into(),
    ];
    session.rows(INSERT_BUILD, &values).await?;
    let class = class(session, &Needs::of(request)).await?;
    let values = [
        uuid.into(),
        project.into(),
        class.into(),
        i64::from(build.priority).into(),
        place.turn.into(),
        submitted_at.into(),
        (submitted_at + millis(request.queued_timeout)).into(),
        // In a lane with a limit, filling the lane decides.
        place.limit.is_none().into(),
    ];
    session.rows(INSERT_WAITING, &values).await?;
    Ok(())
}

/// The class of builds with these needs.
async fn class(session: &mut dyn Session, needs: &Needs) -> Result<String, StoreError> {
    let fleet = needs.fleet.as_deref().unwrap_or_default();
    let Resources {
        processors_milli,
        memory_mib,
    } = needs.resources;
    let environment_type = json!(needs.environment_type);
    let environment_type = environment_type.as_str().unwrap_or_default();
    let key = format!("{environment_type}/{fleet}/{processors_milli}/{memory_mib}");
    let values = [
        key.as_str().into(),
        environment_type.into(),
        fleet.into(),
        processors_milli.into(),
        memory_mib.into(),
    ];
    session.rows(INSERT_CLASS, &values).await?;
    Ok(key)
}

fn lost(build: &NewBuild) -> StoreError {
    StoreError::Corrupt {
        what: "new build",
        value: build.request.id.to_string(),
    }
}
