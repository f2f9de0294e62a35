//! Writes of the agent that has a lease. Each is fenced: it happens only as long as the attempt is the
//! latest one and nobody took the lease away.

use serde_json::Value as Json;

use super::lanes::{self, Lane};
use super::{builds, reports, resources, retry};
use crate::model::{PhaseContext, Status};
use crate::store::database::{Session, Topic, Value};
use crate::store::{CommandsRan, Ended, Fence, Kind, StoreError};

const MARK: &str = "
UPDATE queue SET has_started = CASE WHEN $4 = 1 THEN 1 ELSE has_started END
WHERE build = $1 AND attempt = $2 AND agent = $3 RETURNING build";

const RECORD: &str = "UPDATE builds SET record = $2 WHERE id = $1";

const LEAVE: &str =
    "DELETE FROM queue WHERE build = $1 AND attempt = $2 AND agent = $3 RETURNING priority";

const END: &str = "
UPDATE builds SET status = $2, record = $3, ended_at = (SELECT now FROM clock) WHERE id = $1";

const WAIT_AGAIN: &str = "
UPDATE queue SET agent = NULL, leased_at = NULL, expires_at = NULL
WHERE build = $1 AND attempt = $2 AND agent = $3 RETURNING is_stopping";

const LEAVE_WAITING: &str = "DELETE FROM queue WHERE build = $1 AND agent IS NULL";

const HAS_STARTED: &str =
    "SELECT has_started FROM queue WHERE build = $1 AND attempt = $2 AND agent = $3";

/// How often a build is given to an agent, when each was lost before its first command: something
/// about the build may be what kills them.
const ATTEMPTS: u32 = 3;

fn key(fence: &Fence) -> Vec<Value> {
    vec![
        fence.build.uuid.into(),
        fence.attempt.into(),
        fence.agent.as_str().into(),
    ]
}

fn lost(fence: &Fence) -> StoreError {
    StoreError::LeaseLost {
        build: fence.build.clone(),
        attempt: fence.attempt,
    }
}

/// Writes down how far a build is.
pub(super) async fn progress(
    session: &mut dyn Session,
    fence: &Fence,
    record: &Json,
    has_started: bool,
) -> Result<(), StoreError> {
    let mut values = key(fence);
    values.push(has_started.into());
    if session.row(MARK, &values).await?.is_none() {
        return Err(lost(fence));
    }
    let values = [fence.build.uuid.into(), record.into()];
    session.rows(RECORD, &values).await.map(drop)
}

/// Writes down the outcome, with the reports.
pub(super) async fn finish(
    session: &mut dyn Session,
    fence: &Fence,
    ended: Ended,
) -> Result<(), StoreError> {
    let project = fence.build.project.to_string();
    let lane = lanes::hold(session, &project).await?;
    let left = session.row(LEAVE, &key(fence)).await?;
    let priority = left.ok_or_else(|| lost(fence))?.integer()?;
    let values = [
        fence.build.uuid.into(),
        ended.status.name().into(),
        (&ended.record).into(),
    ];
    session.rows(END, &values).await?;
    for (name, body) in &ended.report_groups {
        resources::put(session, Kind::ReportGroup, name, body).await?;
    }
    for report in &ended.reports {
        reports::insert(session, &fence.build, report).await?;
    }
    if retry::may_follow(ended.status) {
        retry::follow(session, &fence.build, priority).await?;
    }
    match lane {
        Lane::Limited => lanes::fill(session, &project).await,
        Lane::Free => Ok(()),
    }
}

/// Gives a lease up for a reason.
pub(super) async fn give_up(
    session: &mut dyn Session,
    fence: &Fence,
    reason: &str,
    ran: CommandsRan,
) -> Result<(), StoreError> {
    let project = fence.build.project.to_string();
    lanes::hold(session, &project).await?;
    let has_started = session.row(HAS_STARTED, &key(fence)).await?;
    let has_started = has_started.ok_or_else(|| lost(fence))?.is()?;
    let may_have_run = has_started && ran == CommandsRan::MaybeSo;
    if may_have_run || fence.attempt >= ATTEMPTS {
        end_without_agent(session, fence, reason).await
    } else {
        wait_again(session, fence).await
    }
}

/// Lets a leased build wait again. One that is to be stopped ends here: its agent will not do it.
async fn wait_again(session: &mut dyn Session, fence: &Fence) -> Result<(), StoreError> {
    let Some(mut row) = session.row(WAIT_AGAIN, &key(fence)).await? else {
        return Err(lost(fence));
    };
    if row.is()? {
        session
            .rows(LEAVE_WAITING, &[fence.build.uuid.into()])
            .await?;
        builds::end(session, &fence.build, Status::Stopped, None).await?;
        return lanes::fill(session, &fence.build.project.to_string()).await;
    }
    session.wake(Topic::Work).await
}

/// Ends a build that its agent will not bring to an end.
async fn end_without_agent(
    session: &mut dyn Session,
    fence: &Fence,
    reason: &str,
) -> Result<(), StoreError> {
    let left = session.row(LEAVE, &key(fence)).await?;
    let priority = left.ok_or_else(|| lost(fence))?.integer()?;
    let message = format!("attempt {} of the build was lost: {reason}", fence.attempt);
    let context = PhaseContext::new("INTERNAL_SERVICE_ERROR", message);
    builds::end(session, &fence.build, Status::Fault, Some(context)).await?;
    retry::follow(session, &fence.build, priority).await?;
    lanes::fill(session, &fence.build.project.to_string()).await
}
