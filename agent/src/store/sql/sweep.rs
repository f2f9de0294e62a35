//! What time does to the queue: leases of lost agents and builds that wait for too long.
//!
//! Every agent sweeps from time to time. Each build is dealt with in a transaction of its own, so that
//! agents that sweep at the same time are not in each other's way; the second one finds nothing left
//! to do.

use super::{builds, fenced, lanes};
use crate::model::{BuildId, PhaseContext, Status};
use crate::store::database::{Database, Session};
use crate::store::{Fence, StoreError, Sweep};

/// Builds dealt with at once; the rest is for the next time.
const EXPIRED: &str = "
SELECT build, project, attempt, agent, has_started FROM queue
WHERE agent IS NOT NULL AND expires_at <= (SELECT now FROM clock) ORDER BY expires_at LIMIT 100";

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

/// How often a build is given to another agent, when each was lost before its first command: something
/// about the build may be what kills them.
const ATTEMPTS: u32 = 3;

/// Deals with everything whose time is up.
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
    for (fence, has_started) in expired {
        let mut transaction = database.write().await?;
        let lost = lose(transaction.as_mut(), &fence, has_started).await?;
        transaction.commit().await?;
        match lost {
            Some(Lost::Ended) => done.lost += 1,
            Some(Lost::Waits) => done.queued_again += 1,
            None => {}
        }
    }
    for build in overdue {
        let mut transaction = database.write().await?;
        let timed_out = time_out(transaction.as_mut(), &build).await?;
        transaction.commit().await?;
        done.timed_out += u32::from(timed_out);
    }
    // A limit that was set while the last build before it ended may have left places empty.
    for mut row in limited {
        let mut transaction = database.write().await?;
        lanes::fill(transaction.as_mut(), &row.text()?).await?;
        transaction.commit().await?;
    }
    let mut transaction = database.write().await?;
    transaction.rows(FORGET_TOKENS, &[]).await?;
    transaction.commit().await?;
    Ok(done)
}

async fn expired(session: &mut dyn Session) -> Result<Vec<(Fence, bool)>, StoreError> {
    let mut expired = Vec::new();
    for mut row in session.rows(EXPIRED, &[]).await? {
        let fence = Fence {
            build: builds::build_id(&mut row)?,
            attempt: row.count()?,
            agent: row.text()?,
        };
        expired.push((fence, row.is()?));
    }
    Ok(expired)
}

async fn overdue(session: &mut dyn Session) -> Result<Vec<BuildId>, StoreError> {
    let rows = session.rows(OVERDUE, &[]).await?;
    rows.into_iter()
        .map(|mut row| builds::build_id(&mut row))
        .collect()
}

/// What became of a build whose agent was lost.
enum Lost {
    /// It waits for another agent.
    Waits,
    /// It is over.
    Ended,
}

/// Takes the lease of a lost agent away. If a command had started, nobody knows what it did: the build
/// ends. Otherwise nothing has happened yet, and another agent may begin.
async fn lose(
    session: &mut dyn Session,
    fence: &Fence,
    has_started: bool,
) -> Result<Option<Lost>, StoreError> {
    let project = fence.build.project.to_string();
    lanes::hold(session, &project).await?;
    let values = [
        fence.build.uuid.into(),
        fence.attempt.into(),
        fence.agent.as_str().into(),
    ];
    if session.row(STILL_EXPIRED, &values).await?.is_none() {
        return Ok(None);
    }
    if !has_started && fence.attempt < ATTEMPTS {
        fenced::wait_again(session, fence).await?;
        return Ok(Some(Lost::Waits));
    }
    fenced::leave(session, fence).await?;
    let message = format!(
        "agent {} was lost during attempt {} of the build",
        fence.agent, fence.attempt
    );
    let context = PhaseContext::new("INTERNAL_SERVICE_ERROR", message);
    builds::end(session, &fence.build, Status::Fault, Some(context)).await?;
    lanes::fill(session, &project).await?;
    Ok(Some(Lost::Ended))
}

/// Ends a build that waited for too long (API, `queuedTimeoutInMinutes`).
async fn time_out(session: &mut dyn Session, build: &BuildId) -> Result<bool, StoreError> {
    let project = build.project.to_string();
    lanes::hold(session, &project).await?;
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
