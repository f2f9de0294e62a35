//! Agents and their signs of life.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::{builds, fenced, millis};
use crate::store::database::{Session, Twin, of_each};
use crate::store::{AgentDescription, Fence, HeldLease, StoreError};

const SEEN: &str = "
INSERT INTO agents (id, seen_at, description) SELECT $1, now, $2 FROM clock WHERE true
ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, description = excluded.description";

/// A lease that has run out is extended all the same as long as nobody took it away.
const EXTEND: Twin = of_each!(
    "
UPDATE queue SET expires_at = (SELECT now FROM clock) + $2 WHERE build IN (SELECT build FROM ",
    [build text],
    ")"
);

const HELD: &str =
    "SELECT build, project, attempt, is_stopping, has_started FROM queue WHERE agent = $1";

const FORGET: &str = "DELETE FROM agents WHERE id = $1";

const ALL: &str = "SELECT description, seen_at FROM agents ORDER BY id";

/// Notes a sign of life and extends the leases of running builds.
pub(super) async fn heartbeat(
    session: &mut dyn Session,
    agent: &AgentDescription,
    running: &[Fence],
    life: Duration,
) -> Result<Vec<HeldLease>, StoreError> {
    let description = json!(agent);
    let values = [agent.id.as_str().into(), (&description).into()];
    session.rows(SEEN, &values).await?;
    let own = running.iter().filter(|fence| fence.agent == agent.id);
    extend(session, own, life).await?;
    held(session, &agent.id).await
}

/// Extends a lease, and fails if it is lost.
pub(super) async fn confirm(
    session: &mut dyn Session,
    fence: &Fence,
    life: Duration,
) -> Result<(), StoreError> {
    if extend(session, std::iter::once(fence), life).await? {
        Ok(())
    } else {
        Err(fenced::lost(fence))
    }
}

/// Extends the leases that are still those of their agents. Tells whether there was any.
async fn extend(
    session: &mut dyn Session,
    fences: impl Iterator<Item = &Fence> + Send,
    life: Duration,
) -> Result<bool, StoreError> {
    let kept = fenced::hold(session, fences).await?;
    let kept: Vec<Json> = kept
        .builds()
        .map(|build| json!({"build": build.to_string()}))
        .collect();
    let is_any = !kept.is_empty();
    if is_any {
        let kept = Json::from(kept);
        let values = [(&kept).into(), millis(life).into()];
        session.rows(session.text(EXTEND), &values).await?;
    }
    Ok(is_any)
}

/// The leases of an agent.
pub(super) async fn held(
    session: &mut dyn Session,
    agent: &str,
) -> Result<Vec<HeldLease>, StoreError> {
    let mut held = Vec::new();
    for mut row in session.rows(HELD, &[agent.into()]).await? {
        held.push(HeldLease {
            fence: Fence {
                build: builds::build_id(&mut row)?,
                attempt: row.count()?,
                agent: agent.to_owned(),
            },
            is_stopping: row.is()?,
            has_started: row.is()?,
        });
    }
    Ok(held)
}

/// Forgets an agent.
pub(super) async fn farewell(session: &mut dyn Session, agent: &str) -> Result<(), StoreError> {
    session.rows(FORGET, &[agent.into()]).await.map(drop)
}

/// All agents that have been heard of.
pub(super) async fn all(
    session: &mut dyn Session,
) -> Result<Vec<(AgentDescription, Timestamp)>, StoreError> {
    let rows = session.rows(ALL, &[]).await?;
    rows.into_iter()
        .map(|mut row| Ok((row.json("agent")?, row.time()?)))
        .collect()
}
