//! What is forgotten because it was over long ago.

use std::time::Duration;

use super::millis;
use crate::store::database::{Session, Twin};
use crate::store::{Forgotten, REPORT_LIFE, StoreError};

/// How long an agent is remembered that gave no sign of life and said no farewell.
const AGENT_LIFE: Duration = Duration::from_hours(7 * 24);

/// Builds that were queued that long ago but are not over yet are few; the index leads past them. Of several agents
/// that forget at the same time, each takes others.
const BUILDS: Twin = Twin {
    sqlite: "
DELETE FROM builds WHERE id IN (
    SELECT id FROM builds WHERE submitted_at <= (SELECT now FROM clock) - $1
        AND ended_at <= (SELECT now FROM clock) - $1
    ORDER BY submitted_at, id LIMIT 500)
RETURNING id",
    postgres: "
DELETE FROM builds WHERE id IN (
    SELECT id FROM builds WHERE submitted_at <= (SELECT now FROM clock) - $1
        AND ended_at <= (SELECT now FROM clock) - $1
    ORDER BY submitted_at, id LIMIT 500 FOR UPDATE SKIP LOCKED)
RETURNING id",
};

const REPORTS: Twin = Twin {
    sqlite: "
DELETE FROM reports WHERE arn IN (
    SELECT arn FROM reports WHERE created_at <= (SELECT now FROM clock) - $1
    ORDER BY created_at, arn LIMIT 500)
RETURNING arn",
    postgres: "
DELETE FROM reports WHERE arn IN (
    SELECT arn FROM reports WHERE created_at <= (SELECT now FROM clock) - $1
    ORDER BY created_at, arn LIMIT 500 FOR UPDATE SKIP LOCKED)
RETURNING arn",
};

const AGENTS: Twin = Twin {
    sqlite: "
DELETE FROM agents WHERE seen_at <= (SELECT now FROM clock) - $1
    AND NOT EXISTS (SELECT 1 FROM queue WHERE queue.agent = agents.id)
RETURNING id",
    postgres: "
DELETE FROM agents WHERE id IN (
    SELECT id FROM agents WHERE seen_at <= (SELECT now FROM clock) - $1
        AND NOT EXISTS (SELECT 1 FROM queue WHERE queue.agent = agents.id)
    FOR UPDATE SKIP LOCKED)
RETURNING id",
};

/// Forgets builds that ended so long ago, reports that have expired, and agents that are gone.
pub(super) async fn forget(
    session: &mut dyn Session,
    builds: Duration,
) -> Result<Forgotten, StoreError> {
    Ok(Forgotten {
        builds: delete(session, BUILDS, builds).await?,
        reports: delete(session, REPORTS, REPORT_LIFE).await?,
        agents: delete(session, AGENTS, AGENT_LIFE).await?,
    })
}

async fn delete(
    session: &mut dyn Session,
    statement: Twin,
    age: Duration,
) -> Result<usize, StoreError> {
    let statement = session.text(statement);
    let deleted = session.rows(statement, &[millis(age).into()]).await?;
    Ok(deleted.len())
}
