//! A lease goes out: the next build that fits an agent.

use std::cmp::Reverse;

use super::{builds, millis};
use crate::store::database::{Row, Session, Twin};
use crate::store::{Fence, Lease, Needs, Offer, Resources, StoreError};

const CLASSES: &str =
    "SELECT id, environment_type, fleet, processors_milli, memory_mib FROM classes";

/// The classes of which builds are ready, each with its first one, by an index: it does not matter how
/// many wait behind it.
const HEADS: Twin = Twin {
    sqlite: "
SELECT classes.id, environment_type, fleet, processors_milli, memory_mib,
    priority, turn, submitted_at, now
FROM classes JOIN queue ON build = (
    SELECT build FROM queue AS first
    WHERE first.class = classes.id AND first.agent IS NULL AND first.is_ready = 1
    ORDER BY first.priority DESC, first.turn, first.submitted_at LIMIT 1), clock",
    postgres: "
SELECT classes.id, environment_type, fleet, processors_milli, memory_mib,
    priority, turn, submitted_at, now
FROM classes CROSS JOIN LATERAL (
    SELECT priority, turn, submitted_at FROM queue
    WHERE class = classes.id AND agent IS NULL AND is_ready = 1
    ORDER BY priority DESC, turn, submitted_at LIMIT 1) AS first, clock",
};

/// SQLite has one writer at a time; in PostgreSQL agents claim past each other's locks.
const CLAIM: Twin = Twin {
    sqlite: "
UPDATE queue SET agent = $2, attempt = attempt + 1, has_started = 0,
    leased_at = (SELECT now FROM clock), expires_at = (SELECT now FROM clock) + $3
WHERE build = (
    SELECT build FROM queue WHERE class = $1 AND agent IS NULL AND is_ready = 1
    ORDER BY priority DESC, turn, submitted_at LIMIT 1)
RETURNING build, project, attempt,
    (SELECT request FROM builds WHERE id = build), (SELECT record FROM builds WHERE id = build)",
    postgres: "
UPDATE queue SET agent = $2, attempt = attempt + 1, has_started = 0,
    leased_at = (SELECT now FROM clock), expires_at = (SELECT now FROM clock) + $3
WHERE build = (
    SELECT build FROM queue WHERE class = $1 AND agent IS NULL AND is_ready = 1
    ORDER BY priority DESC, turn, submitted_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING build, project, attempt,
    (SELECT request FROM builds WHERE id = build), (SELECT record FROM builds WHERE id = build)",
};

/// Its record cannot be closed: it may be what cannot be read.
const DISCARD: &str =
    "UPDATE builds SET status = 'FAULT', ended_at = (SELECT now FROM clock) WHERE id = $1";

const LEAVE: &str = "DELETE FROM queue WHERE build = $1";

/// A set of needs that some build has or had.
#[derive(Debug)]
pub(super) struct Class {
    /// Its key.
    pub(super) id: String,
    /// The needs.
    pub(super) needs: Needs,
}

/// A class that an agent can run, what a build of it takes of the agent, and its first one.
#[derive(Debug)]
struct Suitable {
    class: Class,
    share: Resources,
    /// What decides on the order, smallest first.
    order: (Reverse<i64>, i64, i64),
    /// How long the first build has waited.
    waited_millis: i64,
}

/// Takes the next build that fits.
pub(super) async fn next(
    session: &mut dyn Session,
    offer: &Offer,
) -> Result<Option<Lease>, StoreError> {
    if offer.agent.closed.is_some() {
        return Ok(None);
    }
    for Suitable { class, share, .. } in in_order(session, offer).await? {
        let values = [
            class.id.into(),
            offer.agent.id.as_str().into(),
            millis(offer.life).into(),
        ];
        // Another agent may be faster.
        while let Some(mut row) = session.row(session.text(CLAIM), &values).await? {
            let fence = Fence {
                build: builds::build_id(&mut row)?,
                attempt: row.count()?,
                agent: offer.agent.id.clone(),
            };
            match lease(&mut row, &fence, share) {
                Ok(lease) => return Ok(Some(lease)),
                // Whoever takes it next could not read it either, and all behind it would wait.
                Err(error) => {
                    tracing::error!("build {} cannot be run: {error}", fence.build);
                    session.rows(DISCARD, &[fence.build.uuid.into()]).await?;
                    session.rows(LEAVE, &[fence.build.uuid.into()]).await?;
                }
            }
        }
    }
    Ok(None)
}

/// The classes to take from, in the order of their first builds. One that the agent could run, and
/// that has waited too long for the agent to have room, keeps everything behind it back.
async fn in_order(session: &mut dyn Session, offer: &Offer) -> Result<Vec<Suitable>, StoreError> {
    let mut suitable = Vec::new();
    for mut row in session.rows(session.text(HEADS), &[]).await? {
        let class = class(&mut row)?;
        let (priority, turn, submitted_at) = (row.integer()?, row.integer()?, row.integer()?);
        let waited_millis = row.integer()? - submitted_at;
        let order = (Reverse(priority), turn, submitted_at);
        suitable.extend(offer.agent.share(&class.needs).map(|share| Suitable {
            class,
            share,
            order,
            waited_millis,
        }));
    }
    suitable.sort_by_key(|suitable| suitable.order);
    let fits = |suitable: &Suitable| offer.free.hold(suitable.share);
    let keeps_back =
        |first: &Suitable| !fits(first) && first.waited_millis > millis(offer.patience);
    let end = suitable.iter().position(keeps_back);
    suitable.truncate(end.unwrap_or(suitable.len()));
    suitable.retain(fits);
    Ok(suitable)
}

/// All classes; there are as many as there are different needs.
pub(super) async fn classes(session: &mut dyn Session) -> Result<Vec<Class>, StoreError> {
    let rows = session.rows(CLASSES, &[]).await?;
    rows.into_iter().map(|mut row| class(&mut row)).collect()
}

fn class(row: &mut Row) -> Result<Class, StoreError> {
    Ok(Class {
        id: row.text()?,
        needs: Needs {
            environment_type: row.named("environment type")?,
            fleet: Some(row.text()?).filter(|fleet| !fleet.is_empty()),
            resources: Resources {
                processors_milli: row.count()?,
                memory_mib: row.count()?,
            },
        },
    })
}

fn lease(row: &mut Row, fence: &Fence, resources: Resources) -> Result<Lease, StoreError> {
    Ok(Lease {
        fence: fence.clone(),
        resources,
        request: row.json("build request")?,
        record: row.json("build record")?,
    })
}
