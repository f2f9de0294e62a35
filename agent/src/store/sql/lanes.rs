//! The lane of a project in the queue: its numbers, its turns and its limit.
//!
//! Fair turns: each build gets a turn when it is queued, and among builds of the same priority the
//! lowest turn goes first. The builds of one project get one turn after the other; a project that had
//! nothing in the queue starts at the turn that is being served now. So projects that wait go in turns,
//! however many builds each of them has, and the next build is found by an index, however many wait.
//!
//! Limits: of a project that may have no more than so many builds at once, only so many are made
//! ready, and only ready ones are leased. Whoever frees a place makes the next one ready, holding the
//! lane's row; leasing needs no lock on it.

use crate::model::ProjectName;
use crate::store::StoreError;
use crate::store::database::{Session, Topic};

/// The turn that is being served: that of the newest leased build, otherwise of the first waiting
/// one, otherwise of the newest ever queued.
const CURRENT_TURN: &str = "
SELECT COALESCE(
    (SELECT turn FROM queue WHERE agent IS NOT NULL ORDER BY turn DESC LIMIT 1),
    (SELECT turn FROM queue WHERE agent IS NULL AND is_ready = 1 ORDER BY turn LIMIT 1),
    (SELECT last_turn FROM lanes ORDER BY last_turn DESC LIMIT 1),
    0)";

const ENTER: &str = "
INSERT INTO lanes (project, last_number, last_turn) VALUES ($1, 1, $2)
ON CONFLICT (project) DO UPDATE SET
    last_number = lanes.last_number + 1,
    last_turn = CASE WHEN lanes.last_turn >= $2 THEN lanes.last_turn + 1 ELSE $2 END
RETURNING last_number, last_turn, concurrent_limit";

const LIMIT: &str = "
INSERT INTO lanes (project, last_number, last_turn, concurrent_limit) VALUES ($1, 0, 0, $2)
ON CONFLICT (project) DO UPDATE SET concurrent_limit = $2";

/// Changes nothing, and holds the row until the transaction ends.
const LOCK: &str = "
UPDATE lanes SET last_number = last_number
WHERE project = $1 AND concurrent_limit IS NOT NULL RETURNING concurrent_limit";

const IS_LIMITED: &str =
    "SELECT project FROM lanes WHERE project = $1 AND concurrent_limit IS NOT NULL";

/// How many builds of a project have no place: those that are ready beyond it have to wait again. Each
/// statement counts and changes in one view of the queue: a lease in between changes no sum.
const MAKE_WAIT: &str = "
UPDATE queue SET is_ready = 0
WHERE project = $1 AND agent IS NULL AND is_ready = 1 AND build NOT IN (
    SELECT build FROM queue WHERE project = $1 AND agent IS NULL
    ORDER BY priority DESC, turn
    LIMIT (SELECT CASE WHEN $2 > count(*) THEN $2 - count(*) ELSE 0 END
           FROM queue WHERE project = $1 AND agent IS NOT NULL))
RETURNING build";

const MAKE_READY: &str = "
UPDATE queue SET is_ready = 1
WHERE is_ready = 0 AND agent IS NULL AND build IN (
    SELECT build FROM queue WHERE project = $1 AND agent IS NULL
    ORDER BY priority DESC, turn
    LIMIT (SELECT CASE WHEN $2 > count(*) THEN $2 - count(*) ELSE 0 END
           FROM queue WHERE project = $1 AND agent IS NOT NULL))
RETURNING build";

const MAKE_ALL_READY: &str = "
UPDATE queue SET is_ready = 1 WHERE project = $1 AND agent IS NULL AND is_ready = 0
RETURNING build";

const IN_QUEUE: &str = "SELECT count(*) FROM queue WHERE project = $1";

/// The place of a new build.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Its number within the project.
    pub(super) number: i64,
    /// Its turn.
    pub(super) turn: i64,
    /// How many builds of the project may run at once.
    pub(super) limit: Option<i64>,
}

/// Gives a new build its number and turn. Holds the lane until the transaction ends.
pub(super) async fn enter(
    session: &mut dyn Session,
    project: &ProjectName,
) -> Result<Place, StoreError> {
    let current = match session.row(CURRENT_TURN, &[]).await? {
        Some(mut row) => row.integer()?,
        None => 0,
    };
    let values = [project.to_string().into(), current.into()];
    let row = session.row(ENTER, &values).await?;
    let mut row = row.ok_or_else(|| StoreError::Corrupt {
        what: "lane",
        value: project.to_string(),
    })?;
    Ok(Place {
        number: row.integer()?,
        turn: row.integer()?,
        limit: row.optional_integer()?,
    })
}

/// Sets the limit of a project.
pub(super) async fn limit(
    session: &mut dyn Session,
    project: &str,
    limit: Option<i64>,
) -> Result<(), StoreError> {
    session.rows(LIMIT, &[project.into(), limit.into()]).await?;
    if limit.is_some() {
        fill(session, project).await
    } else {
        let ready = session.rows(MAKE_ALL_READY, &[project.into()]).await?;
        if ready.is_empty() {
            return Ok(());
        }
        session.wake(Topic::Work).await
    }
}

/// Whether a lane has a limit, and so has to be filled when a place in it comes free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// It has one.
    Limited,
    /// Nothing depends on what others do in it.
    Free,
}

/// Holds the lane if it has a limit, before anything of it is changed in the queue.
pub(super) async fn hold(session: &mut dyn Session, project: &str) -> Result<Lane, StoreError> {
    if session.row(IS_LIMITED, &[project.into()]).await?.is_none() {
        return Ok(Lane::Free);
    }
    session.row(LOCK, &[project.into()]).await?;
    Ok(Lane::Limited)
}

/// Makes as many builds of a lane ready as its limit allows, the first ones in order.
pub(super) async fn fill(session: &mut dyn Session, project: &str) -> Result<(), StoreError> {
    let Some(mut lane) = session.row(LOCK, &[project.into()]).await? else {
        return Ok(());
    };
    let values = [project.into(), lane.integer()?.into()];
    session.rows(MAKE_WAIT, &values).await?;
    let ready = session.rows(MAKE_READY, &values).await?;
    if ready.is_empty() {
        return Ok(());
    }
    session.wake(Topic::Work).await
}

/// How many builds of a project wait or run.
pub(super) async fn length(
    session: &mut dyn Session,
    project: &ProjectName,
) -> Result<i64, StoreError> {
    match session.row(IN_QUEUE, &[project.to_string().into()]).await? {
        Some(mut row) => row.integer(),
        None => Ok(0),
    }
}
