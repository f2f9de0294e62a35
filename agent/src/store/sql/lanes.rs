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

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};

use crate::store::database::{Session, Topic, Twin, of_each};
use crate::store::{AtLimit, StoreError};

/// The turn that is being served: that of the newest leased build, otherwise of the first waiting
/// one, otherwise of the newest ever queued.
const CURRENT_TURN: &str = "
SELECT COALESCE(
    (SELECT turn FROM queue WHERE agent IS NOT NULL ORDER BY turn DESC LIMIT 1),
    (SELECT turn FROM queue WHERE agent IS NULL AND is_ready = 1 ORDER BY turn LIMIT 1),
    (SELECT last_turn FROM lanes ORDER BY last_turn DESC LIMIT 1),
    0)";

/// In the order of their names, so that transactions that enter several lanes do not wait for each other
/// in a circle.
const ENTER: Twin = of_each!(
    "
INSERT INTO lanes (project, last_number, last_turn)
SELECT project, builds, $2 + builds - 1 FROM ",
    [project text, builds bigint],
    " WHERE true ORDER BY project
ON CONFLICT (project) DO UPDATE SET
    last_number = lanes.last_number + excluded.last_number,
    last_turn = CASE WHEN lanes.last_turn >= $2
        THEN lanes.last_turn + excluded.last_number ELSE excluded.last_turn END
RETURNING project, last_number, last_turn, concurrent_limit"
);

const TAKE_BACK: &str = "
UPDATE lanes SET last_number = last_number - $2, last_turn = last_turn - $2 WHERE project = $1";

const LIMIT: &str = "
INSERT INTO lanes (project, last_number, last_turn, concurrent_limit) VALUES ($1, 0, 0, $2)
ON CONFLICT (project) DO UPDATE SET concurrent_limit = $2";

/// SQLite has one writer at a time.
const HOLD: Twin = Twin {
    sqlite: "
SELECT project, concurrent_limit FROM lanes
WHERE project IN (SELECT value FROM json_each($1))
    AND (concurrent_limit IS NOT NULL OR project IN (SELECT value FROM json_each($2)))",
    postgres: "
SELECT project, concurrent_limit FROM lanes
WHERE project IN (SELECT json_array_elements_text($1::json))
    AND (concurrent_limit IS NOT NULL OR project IN (SELECT json_array_elements_text($2::json)))
ORDER BY project FOR UPDATE",
};

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
    /// Whether it may be leased at once; in a lane with a limit, filling the lane decides.
    pub(super) is_ready: bool,
}

/// Places of one lane, for the builds that enter it together.
#[derive(Debug)]
pub(super) struct Places {
    next: Place,
    limit: Option<i64>,
    /// Builds of the project that wait or run; counted only where there is a limit.
    length: i64,
    refused: i64,
}

impl Places {
    /// The next place; the limit, if the build does not wait and there are as many as may be.
    pub(super) fn take(&mut self, at_limit: AtLimit) -> Result<Place, u64> {
        if let (Some(limit), AtLimit::Reject) = (self.limit, at_limit)
            && self.length >= limit
        {
            self.refused += 1;
            return Err(limit.unsigned_abs());
        }
        self.length += 1;
        let place = self.next;
        self.next.number += 1;
        self.next.turn += 1;
        Ok(place)
    }
}

/// Gives so many new builds of each project their numbers and turns. Holds the lanes until the
/// transaction ends.
pub(super) async fn enter(
    session: &mut dyn Session,
    builds: &BTreeMap<String, i64>,
) -> Result<BTreeMap<String, Places>, StoreError> {
    let current = match session.row(CURRENT_TURN, &[]).await? {
        Some(mut row) => row.integer()?,
        None => 0,
    };
    let asked = builds.iter();
    let asked: Json = asked
        .map(|(project, builds)| json!({"project": project, "builds": builds}))
        .collect();
    let values = [(&asked).into(), current.into()];
    let mut lanes = BTreeMap::new();
    for mut row in session.rows(session.text(ENTER), &values).await? {
        let project = row.text()?;
        let builds = builds.get(&project).copied().unwrap_or(1);
        let number = row.integer()? - builds + 1;
        let turn = row.integer()? - builds + 1;
        let limit = row.optional_integer()?;
        let is_ready = limit.is_none();
        let length = if is_ready {
            0
        } else {
            length(session, &project).await?
        };
        let next = Place {
            number,
            turn,
            is_ready,
        };
        let places = Places {
            next,
            limit,
            length,
            refused: 0,
        };
        lanes.insert(project, places);
    }
    Ok(lanes)
}

/// After new builds have got their places: takes back those of builds that were refused, makes the ones
/// that may be leased ready, and wakes agents for them.
pub(super) async fn entered(
    session: &mut dyn Session,
    lanes: &BTreeMap<String, Places>,
) -> Result<(), StoreError> {
    for (project, places) in lanes {
        if places.refused > 0 {
            let values = [project.as_str().into(), places.refused.into()];
            session.rows(TAKE_BACK, &values).await?;
        }
        if places.limit.is_some() {
            fill(session, project).await?;
        }
    }
    if lanes.values().any(|places| places.limit.is_none()) {
        session.wake(Topic::Work).await?;
    }
    Ok(())
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

/// Holds the lanes of these projects that have a limit, before anything of them is changed in the queue,
/// and those that are going to be entered, in one order for all transactions. Gives the ones that have a
/// limit: they are to be filled when a place comes free.
pub(super) async fn hold(
    session: &mut dyn Session,
    projects: &BTreeSet<String>,
    to_be_entered: &BTreeSet<String>,
) -> Result<BTreeSet<String>, StoreError> {
    let (projects, entered) = (json!(projects), json!(to_be_entered));
    let values = [(&projects).into(), (&entered).into()];
    let mut limited = BTreeSet::new();
    for mut row in session.rows(session.text(HOLD), &values).await? {
        let project = row.text()?;
        if row.optional_integer()?.is_some() {
            limited.insert(project);
        }
    }
    Ok(limited)
}

/// Holds the lane of one project, which may be entered.
pub(super) async fn hold_one(session: &mut dyn Session, project: &str) -> Result<(), StoreError> {
    let project = BTreeSet::from([project.to_owned()]);
    hold(session, &project, &project).await.map(drop)
}

/// Makes as many builds of a lane ready as its limit allows, the first ones in order.
pub(super) async fn fill(session: &mut dyn Session, project: &str) -> Result<(), StoreError> {
    let (projects, none) = (json!([project]), json!([]));
    let values = [(&projects).into(), (&none).into()];
    let Some(mut lane) = session.row(session.text(HOLD), &values).await? else {
        return Ok(());
    };
    lane.text()?;
    let values = [project.into(), lane.integer()?.into()];
    session.rows(MAKE_WAIT, &values).await?;
    let ready = session.rows(MAKE_READY, &values).await?;
    if ready.is_empty() {
        return Ok(());
    }
    session.wake(Topic::Work).await
}

/// How many builds of a project wait or run.
async fn length(session: &mut dyn Session, project: &str) -> Result<i64, StoreError> {
    match session.row(IN_QUEUE, &[project.into()]).await? {
        Some(mut row) => row.integer(),
        None => Ok(0),
    }
}
