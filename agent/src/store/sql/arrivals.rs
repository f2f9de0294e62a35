//! What comes in through queues and pipelines: claimed in one transaction with the build it becomes, and kept
//! until its service has the answer.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use uuid::Uuid;

use super::{builds, enqueue, lanes, millis};
use crate::model::{BuildId, Status};
use crate::store::database::{Row, Session};
use crate::store::{
    Arrival, Backlog, Became, CLAIM_LIFE, Claim, NewBuild, Next, StoreError, StoredBuild,
    Submission, Ticket,
};

/// Of those that are due, so many are given at once.
const MOST: i64 = 10;

const FORGET_CLAIM: &str =
    "DELETE FROM claims WHERE token = $1 AND expires_at <= (SELECT now FROM clock)";

const TAKE: &str = "
INSERT INTO claims (token, fingerprint, build, expires_at)
SELECT $1, $2, $3, now + $4 FROM clock WHERE true
ON CONFLICT (token) DO NOTHING RETURNING token";

const TAKEN: &str = "
SELECT fingerprint, build FROM claims WHERE token = $1 AND expires_at > (SELECT now FROM clock)";

/// A claim whose build was deleted stands for nothing any more.
const TAKE_OVER: &str = "UPDATE claims SET build = $2 WHERE token = $1";

const NAME_INTAKE: &str = "UPDATE queue SET intake = $2 WHERE build = $1";

const BIND: &str = "
INSERT INTO arrivals (intake, id, ticket, build, arrived_at, look_at, held_until)
SELECT $1, $2, $3, $4, now, now, 0 FROM clock WHERE true
ON CONFLICT (intake, id) DO UPDATE SET ticket = $3, build = $4, look_at = excluded.look_at, held_until = 0,
    tries = 0";

const NOTE: &str = "
INSERT INTO arrivals (intake, id, ticket, arrived_at, look_at, held_until)
SELECT $1, $2, $3, now, now, now + $4 FROM clock WHERE true
ON CONFLICT (intake, id) DO UPDATE SET ticket = $3, held_until = excluded.held_until
    WHERE arrivals.build IS NULL AND arrivals.held_until <= excluded.arrived_at
RETURNING id";

/// The condition on `held_until` stands there twice: whoever comes second waits for the first one's rows, and finds
/// them held.
const DUE: &str = "
UPDATE arrivals SET held_until = (SELECT now FROM clock) + $2, tries = tries + 1
WHERE intake = $1 AND held_until <= (SELECT now FROM clock) AND id IN (
    SELECT arrivals.id FROM arrivals LEFT JOIN builds ON builds.id = arrivals.build
    WHERE intake = $1 AND held_until <= (SELECT now FROM clock)
        AND (look_at <= (SELECT now FROM clock) OR builds.ended_at IS NOT NULL)
    ORDER BY look_at LIMIT $3)
RETURNING id, ticket, arrived_at, tries, build";

const LOOK: &str = "
UPDATE arrivals SET held_until = 0, tries = 0, look_at = (SELECT now FROM clock) + $3
WHERE intake = $1 AND id = $2";

const AGAIN: &str = "
UPDATE arrivals SET held_until = (SELECT now FROM clock) + $3 WHERE intake = $1 AND id = $2";

const FORGET: &str = "DELETE FROM arrivals WHERE intake = $1 AND id = $2";

const OF_WAITING: &str = "
SELECT id, ticket, arrivals.build, queue.project
FROM arrivals JOIN queue ON queue.build = arrivals.build
WHERE arrivals.intake = $1 AND agent IS NULL";

const LEAVE_QUEUE: &str = "DELETE FROM queue WHERE build = $1 AND agent IS NULL RETURNING build";

const FORGET_CLAIMS_OF: &str = "DELETE FROM claims WHERE build = $1";

const FORGET_ARRIVALS_OF: &str = "DELETE FROM arrivals WHERE build = $1";

/// Builds that came within the last five seconds are fresh, as long as nothing but a worker keeps them back.
const BACKLOG: &str = "
SELECT count(*), count(CASE WHEN is_ready = 1 AND submitted_at > (SELECT now FROM clock) - 5000 THEN 1 END)
FROM queue WHERE intake = $1 AND agent IS NULL";

const PROJECT: &str = "SELECT project FROM builds WHERE id = $1";

/// Queues the build of something that came in, or gives the one that it has become before.
pub(super) async fn claim(
    session: &mut dyn Session,
    build: NewBuild,
    claim: &Claim,
) -> Result<Submission, StoreError> {
    let known = taken(session, &build, claim).await?;
    let is_new = known.is_none();
    let build = match known {
        Some(build) => build,
        None => queued(session, &build).await?,
    };
    if is_new {
        let values = [build.id.uuid.into(), claim.intake.as_str().into()];
        session.rows(NAME_INTAKE, &values).await?;
    }
    bind(session, claim, &build).await?;
    Ok(Submission { build, is_new })
}

/// Gives the build that something has become before.
pub(super) async fn claimed(
    session: &mut dyn Session,
    claim: &Claim,
) -> Result<Option<StoredBuild>, StoreError> {
    let known = stands_for(session, claim).await?;
    if let Some(build) = &known {
        bind(session, claim, build).await?;
    }
    Ok(known)
}

/// Notes what waits for the outcome of a build.
async fn bind(
    session: &mut dyn Session,
    claim: &Claim,
    build: &StoredBuild,
) -> Result<(), StoreError> {
    let Some(Ticket { id, ticket }) = &claim.answer_to else {
        return Ok(());
    };
    let values = [
        claim.intake.as_str().into(),
        id.as_str().into(),
        ticket.as_str().into(),
        build.id.uuid.into(),
    ];
    session.rows(BIND, &values).await.map(drop)
}

async fn queued(session: &mut dyn Session, build: &NewBuild) -> Result<StoredBuild, StoreError> {
    let arrival = enqueue::Arrival {
        build,
        auto_retry: None,
    };
    let queued = enqueue::enqueue(session, vec![arrival]).await?.pop();
    queued.ok_or_else(|| StoreError::Corrupt {
        what: "new build",
        value: build.request.id.to_string(),
    })?
}

/// The build that a claim stands for, if it was made before. Another transaction with the same claim waits for the
/// end of this one.
async fn taken(
    session: &mut dyn Session,
    build: &NewBuild,
    claim: &Claim,
) -> Result<Option<StoredBuild>, StoreError> {
    let token = || claim.token.as_str().into();
    let uuid = build.request.id.uuid;
    session.rows(FORGET_CLAIM, &[token()]).await?;
    let values = [
        token(),
        claim.fingerprint.as_str().into(),
        uuid.into(),
        millis(CLAIM_LIFE).into(),
    ];
    if session.row(TAKE, &values).await?.is_some() {
        return Ok(None);
    }
    let known = stands_for(session, claim).await?;
    if known.is_none() {
        session.rows(TAKE_OVER, &[token(), uuid.into()]).await?;
    }
    Ok(known)
}

/// The build that a claim stands for, unless somebody has deleted it.
async fn stands_for(
    session: &mut dyn Session,
    claim: &Claim,
) -> Result<Option<StoredBuild>, StoreError> {
    let row = session.row(TAKEN, &[claim.token.as_str().into()]).await?;
    let Some(mut row) = row else {
        return Ok(None);
    };
    if row.text()? != claim.fingerprint {
        return Err(StoreError::TokenMismatch);
    }
    of_uuid(session, row.parsed("build id")?).await
}

/// Notes something that came in, before anything else is done about it. Tells whether it is the caller's to deal
/// with for so long; otherwise somebody else does.
pub(super) async fn note(
    session: &mut dyn Session,
    intake: &str,
    ticket: &Ticket,
    hold: Duration,
) -> Result<bool, StoreError> {
    let values = [
        intake.into(),
        ticket.id.as_str().into(),
        ticket.ticket.as_str().into(),
        millis(hold).into(),
    ];
    Ok(session.row(NOTE, &values).await?.is_some())
}

/// Gives those that are to be looked at now; for so long they are nobody else's.
pub(super) async fn due(
    session: &mut dyn Session,
    intake: &str,
    hold: Duration,
) -> Result<Vec<Arrival>, StoreError> {
    let values = [intake.into(), millis(hold).into(), MOST.into()];
    let mut due = Vec::new();
    for mut row in session.rows(DUE, &values).await? {
        let ticket = ticket(&mut row)?;
        let (arrived_at, tries) = (row.time()?, row.count::<u32>()?);
        let became = match row.optional_text()? {
            None => Became::Nothing,
            Some(uuid) => match of_uuid(session, parsed(&uuid)?).await? {
                Some(build) => Became::Build(Box::new(build)),
                None => Became::Deleted,
            },
        };
        due.push(Arrival {
            ticket,
            arrived_at,
            tries: tries.saturating_sub(1),
            became,
        });
    }
    Ok(due)
}

/// Says when one is looked at again.
pub(super) async fn put_off(
    session: &mut dyn Session,
    intake: &str,
    id: &str,
    next: Next,
) -> Result<(), StoreError> {
    let (statement, time) = match next {
        Next::Look(time) => (LOOK, time),
        Next::Again(time) => (AGAIN, time),
    };
    let values = [intake.into(), id.into(), millis(time).into()];
    session.rows(statement, &values).await.map(drop)
}

/// Forgets one that needs no answer any more.
pub(super) async fn forget(
    session: &mut dyn Session,
    intake: &str,
    id: &str,
) -> Result<(), StoreError> {
    session
        .rows(FORGET, &[intake.into(), id.into()])
        .await
        .map(drop)
}

/// Ends the builds of an intake that still wait, and forgets that what they came from was claimed.
pub(super) async fn withdraw(
    session: &mut dyn Session,
    intake: &str,
) -> Result<Vec<Ticket>, StoreError> {
    let mut waiting = Vec::new();
    for mut row in session.rows(OF_WAITING, &[intake.into()]).await? {
        waiting.push((ticket(&mut row)?, builds::build_id(&mut row)?));
    }
    let projects = waiting.iter().map(|(_, id)| id.project.to_string());
    lanes::hold(session, &projects.collect(), &BTreeSet::new()).await?;
    let mut withdrawn = Vec::new();
    let mut ended = HashSet::new();
    for (ticket, id) in waiting {
        // Several messages may have become one build.
        if ended.contains(&id) || leave(session, &id).await? {
            ended.insert(id);
            withdrawn.push(ticket);
        }
    }
    Ok(withdrawn)
}

/// Ends a build unless a worker was quicker. Tells whether it did.
async fn leave(session: &mut dyn Session, id: &BuildId) -> Result<bool, StoreError> {
    let uuid = [id.uuid.into()];
    if session.row(LEAVE_QUEUE, &uuid).await?.is_none() {
        return Ok(false);
    }
    builds::end(session, id, Status::Stopped, None).await?;
    lanes::fill(session, &id.project.to_string()).await?;
    session.rows(FORGET_CLAIMS_OF, &uuid).await?;
    session.rows(FORGET_ARRIVALS_OF, &uuid).await?;
    Ok(true)
}

/// How many builds of an intake wait.
pub(super) async fn backlog(
    session: &mut dyn Session,
    intake: &str,
) -> Result<Backlog, StoreError> {
    let row = session.row(BACKLOG, &[intake.into()]).await?;
    let mut row = row.ok_or_else(|| StoreError::Corrupt {
        what: "backlog",
        value: String::new(),
    })?;
    Ok(Backlog {
        waiting: row.count()?,
        fresh: row.count()?,
    })
}

fn ticket(row: &mut Row) -> Result<Ticket, StoreError> {
    Ok(Ticket {
        id: row.text()?,
        ticket: row.text()?,
    })
}

fn parsed(uuid: &str) -> Result<Uuid, StoreError> {
    uuid.parse().map_err(|_| StoreError::Corrupt {
        what: "build id",
        value: uuid.chars().take(40).collect(),
    })
}

async fn of_uuid(session: &mut dyn Session, uuid: Uuid) -> Result<Option<StoredBuild>, StoreError> {
    let Some(mut row) = session.row(PROJECT, &[uuid.into()]).await? else {
        return Ok(None);
    };
    let project = row.parsed("project name")?;
    builds::of_id(session, &BuildId { project, uuid }).await
}
