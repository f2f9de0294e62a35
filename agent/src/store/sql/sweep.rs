//! What time does to the queue: leases of lost agents and builds that wait for too long.
//!
//! Every agent sweeps from time to time. Each build is dealt with in a transaction of its own, so that
//! agents that sweep at the same time are not in each other's way; the second one finds nothing left
//! to do.

use super::{builds, fenced, lanes};
use crate::model::{BuildId, PhaseContext, Status};
use crate::store::database::{Database, Durability, Session};
use crate::store::{CommandsRan, Fence, StoreError, Sweep};

/// Builds dealt with at once; the rest is for the next time. While the database was down, no agent could
/// give a sign of life: for a minute after its start, none is missed.
const EXPIRED: &str = "
SELECT build, project, attempt, agent FROM queue
WHERE agent IS NOT NULL AND expires_at <= (SELECT now FROM clock)
    AND (SELECT now - up_since FROM clock) > 60000
ORDER BY expires_at LIMIT 100";

const STILL_EXPIRED: &str = "
SELECT build FROM queue WHERE build = $1 AND attempt = $2 AND agent = $3
AND expires_at <= (SELECT now FROM clock)";

const OVERDUE: &str = "
SELECT build, project FROM queue
WHERE agent IS NULL AND deadline <= (SELECT now FROM clock) ORDER BY deadline LIMIT 100";

const LEAVE_OVERDUE: &str = "
DELETE FROM queue WHERE build = $1 AND agent IS NULL AND deadline <= (SELECT now FROM clock)
RETURNING build";

const LIMITED: &str = "
SELECT project FROM lanes WHERE concurrent_limit IS NOT NULL AND EXISTS (
    SELECT 1 FROM queue WHERE queue.project = lanes.project AND agent IS NULL AND is_ready = 0)";

const FORGET_TOKENS: &str = "DELETE FROM idempotency WHERE expires_at <= (SELECT now FROM clock)";

const FORGET_CLAIMS: &str = "DELETE FROM claims WHERE expires_at <= (SELECT now FROM clock)";

/// Deals with everything whose time is up. A build that cannot be dealt with keeps no other one back.
pub(super) async fn sweep(database: &dyn Database) -> Result<Sweep, StoreError> {
    let mut done = Sweep::default();
    let (expired, overdue, limited) = {
        let mut transaction = database.read().await?;
        let session = transaction.as_mut();
        (
            expired(session).await?,
            overdue(session).await?,
            session.rows(LIMITED, &[]).await?,
        )
    };
    for fence in expired {
        let mut transaction = database.write(Durability::Kept).await?;
        let lost = lose(transaction.as_mut(), &fence).await;
        if told(&fence.build, lost)? {
            transaction.commit().await?;
            done.lost += 1;
        }
    }
    for build in overdue {
        let mut transaction = database.write(Durability::Kept).await?;
        let timed_out = time_out(transaction.as_mut(), &build).await;
        if told(&build, timed_out)? {
            transaction.commit().await?;
            done.timed_out += 1;
        }
    }
    // A limit that was set while the last build before it ended may have left places empty.
    for mut row in limited {
        let mut transaction = database.write(Durability::Kept).await?;
        lanes::fill(transaction.as_mut(), &row.text()?).await?;
        transaction.commit().await?;
    }
    let mut transaction = database.write(Durability::Kept).await?;
    transaction.rows(FORGET_TOKENS, &[]).await?;
    transaction.rows(FORGET_CLAIMS, &[]).await?;
    transaction.commit().await?;
    Ok(done)
}

/// Passes on whether something was done; that a build's rows cannot be understood is told and passed over.
fn told(build: &BuildId, done: Result<bool, StoreError>) -> Result<bool, StoreError> {
    match done {
        Err(error) if !error.is_passing() => {
            tracing::error!("cannot deal with build {build}: {error}");
            Ok(false)
        }
        done => done,
    }
}

async fn expired(session: &mut dyn Session) -> Result<Vec<Fence>, StoreError> {
    let mut expired = Vec::new();
    for mut row in session.rows(EXPIRED, &[]).await? {
        expired.push(Fence {
            build: builds::build_id(&mut row)?,
            attempt: row.count()?,
            agent: row.text()?,
        });
    }
    Ok(expired)
}

async fn overdue(session: &mut dyn Session) -> Result<Vec<BuildId>, StoreError> {
    let rows = session.rows(OVERDUE, &[]).await?;
    rows.into_iter()
        .map(|mut row| builds::build_id(&mut row))
        .collect()
}

/// Takes the lease of a lost agent away, unless it was extended meanwhile. Tells whether it did.
async fn lose(session: &mut dyn Session, fence: &Fence) -> Result<bool, StoreError> {
    lanes::hold_one(session, &fence.build.project.to_string()).await?;
    let values = [
        fence.build.uuid.into(),
        fence.attempt.into(),
        fence.agent.as_str().into(),
    ];
    if session.row(STILL_EXPIRED, &values).await?.is_none() {
        return Ok(false);
    }
    let reason = format!("agent {} gave no sign of life", fence.agent);
    fenced::give_up(session, fence, &reason, CommandsRan::MaybeSo).await?;
    Ok(true)
}

/// Ends a build that waited for too long (API, `queuedTimeoutInMinutes`).
async fn time_out(session: &mut dyn Session, build: &BuildId) -> Result<bool, StoreError> {
    let project = build.project.to_string();
    lanes::hold_one(session, &project).await?;
    if session
        .row(LEAVE_OVERDUE, &[build.uuid.into()])
        .await?
        .is_none()
    {
        return Ok(false);
    }
    let context = PhaseContext::new("BUILD_TIMED_OUT", "Build has timed out while queued.");
    builds::end(session, build, Status::TimedOut, Some(context)).await?;
    lanes::fill(session, &project).await?;
    Ok(true)
}
