//! Writes of the agent that has a lease. Each is fenced: it happens only as long as the attempt is the
//! latest one and nobody took the lease away.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::together::{Answers, Call};
use super::{builds, lanes, outbox, reports, resources, retry};
use crate::model::{PhaseContext, Status};
use crate::store::database::{Durability, Session, Topic, Twin, Value, of_each};
use crate::store::{CommandsRan, Ended, Fence, Kind, StoreError};

/// In one order, so that transactions about several builds of an agent do not wait for each other in a
/// circle.
const HOLD: Twin = of_each!(
    "
SELECT queue.build, queue.attempt, queue.agent, queue.priority, queue.shows_status FROM queue JOIN ",
    [build text, attempt bigint, agent text],
    " ON queue.build = asked.build AND queue.attempt = asked.attempt AND queue.agent = asked.agent
ORDER BY queue.build",
    postgres: " FOR UPDATE OF queue"
);

const MARK: Twin = of_each!(
    "
UPDATE queue SET has_started = 1 WHERE has_started = 0 AND build IN (SELECT build FROM ",
    [build text],
    ")"
);

const RECORD: Twin = of_each!(
    "
UPDATE builds SET record = asked.record FROM ",
    [build text, record text],
    " WHERE id = asked.build"
);

const LEAVE_ALL: Twin = of_each!(
    "
DELETE FROM queue WHERE build IN (SELECT build FROM ",
    [build text],
    ")"
);

const END: Twin = of_each!(
    "
UPDATE builds SET status = asked.status, record = asked.record, ended_at = (SELECT now FROM clock) FROM ",
    [build text, status text, record text],
    " WHERE id = asked.build"
);

const LEAVE: &str =
    "DELETE FROM queue WHERE build = $1 AND attempt = $2 AND agent = $3 RETURNING priority";

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

/// The lease is another attempt's, or the build is over.
pub(super) fn lost(fence: &Fence) -> StoreError {
    StoreError::LeaseLost {
        build: fence.build.clone(),
        attempt: fence.attempt,
    }
}

/// A lease that is held until the transaction ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    /// The build's priority.
    priority: i64,
    /// Whether the place its source comes from is to show how it stands.
    shows_status: bool,
}

/// Leases that are held until the transaction ends, by their builds. An older attempt may ask in the same
/// transaction as the one that holds the lease, so that the build alone says nothing.
#[derive(Debug, Default)]
pub(super) struct Holds(BTreeMap<Uuid, Lease>);

#[derive(Debug)]
struct Lease {
    attempt: i64,
    agent: String,
    held: Held,
}

impl Lease {
    fn is_of(&self, fence: &Fence) -> bool {
        self.attempt == i64::from(fence.attempt) && self.agent == fence.agent
    }
}

impl Holds {
    /// The lease of this attempt, if it holds it.
    fn of(&self, fence: &Fence) -> Option<Held> {
        let lease = self.0.get(&fence.build.uuid);
        lease
            .filter(|lease| lease.is_of(fence))
            .map(|lease| lease.held)
    }

    /// The same, once: whoever asks again is too late.
    fn take(&mut self, fence: &Fence) -> Option<Held> {
        let held = self.of(fence)?;
        self.0.remove(&fence.build.uuid);
        Some(held)
    }

    /// The builds.
    pub(super) fn builds(&self) -> impl Iterator<Item = &Uuid> {
        self.0.keys()
    }
}

/// Holds leases until the transaction ends, as far as they are still the agents'.
pub(super) async fn hold(
    session: &mut dyn Session,
    fences: impl Iterator<Item = &Fence> + Send,
) -> Result<Holds, StoreError> {
    let asked: Json = fences
        .map(|fence| {
            json!({"build": fence.build.uuid.to_string(), "attempt": fence.attempt, "agent": fence.agent})
        })
        .collect();
    if asked == json!([]) {
        return Ok(Holds::default());
    }
    let rows = session.rows(session.text(HOLD), &[(&asked).into()]).await?;
    let held = rows.into_iter().map(|mut row| {
        let build = row.parsed("build id")?;
        let lease = Lease {
            attempt: row.integer()?,
            agent: row.text()?,
            held: Held {
                priority: row.integer()?,
                shows_status: row.is()?,
            },
        };
        Ok((build, lease))
    });
    held.collect::<Result<_, StoreError>>().map(Holds)
}

/// Writes down what others are to be told of a record before it takes the place of the one before. Of a
/// build of which nobody has to hear, nothing is read.
async fn tell(
    session: &mut dyn Session,
    fence: &Fence,
    held: Held,
    record: &Json,
) -> Result<(), StoreError> {
    if !outbox::is_heard(session, held.shows_status) {
        return Ok(());
    }
    let Some(before) = builds::of_id(session, &fence.build).await? else {
        return Ok(());
    };
    outbox::tell(session, &before.request, Some(&before.record), record).await
}

/// How far a leased build is.
#[derive(Debug)]
pub(super) struct Progress {
    /// Who says it.
    pub(super) fence: Fence,
    /// The record.
    pub(super) record: Json,
    /// Whether commands of it may have run.
    pub(super) has_started: bool,
}

#[async_trait]
impl Call for Progress {
    type Answer = ();

    /// Commands run once it is written that they may have. Before that nothing depends on it.
    fn durability(&self) -> Durability {
        if self.has_started {
            Durability::Kept
        } else {
            Durability::Following
        }
    }

    async fn answer(session: &mut dyn Session, calls: &[Self]) -> Result<Answers<()>, StoreError> {
        let held = hold(session, calls.iter().map(|call| &call.fence)).await?;
        let is_held = |call: &&Self| held.of(&call.fence).is_some();
        let started = calls.iter().filter(is_held).filter(|call| call.has_started);
        let started: Vec<Json> = started
            .map(|call| json!({"build": call.fence.build.uuid.to_string()}))
            .collect();
        if !started.is_empty() {
            let values = [(&Json::from(started)).into()];
            session.rows(session.text(MARK), &values).await?;
        }
        // Of one build the latest word counts.
        let latest = calls.iter().filter(is_held);
        let latest: BTreeMap<Uuid, &Self> =
            latest.map(|call| (call.fence.build.uuid, call)).collect();
        for call in latest.values() {
            if let Some(held) = held.of(&call.fence) {
                tell(session, &call.fence, held, &call.record).await?;
            }
        }
        let records = latest.into_iter().map(
            |(build, call)| json!({"build": build.to_string(), "record": call.record.to_string()}),
        );
        let records: Json = records.collect();
        if records != json!([]) {
            let values = [(&records).into()];
            session.rows(session.text(RECORD), &values).await?;
        }
        let answer = |call: &Self| match held.of(&call.fence) {
            Some(_) => Ok(()),
            None => Err(lost(&call.fence)),
        };
        Ok(calls.iter().map(answer).collect())
    }
}

/// The outcome of a leased build, with its reports.
#[derive(Debug)]
pub(super) struct Finish {
    /// Who says it.
    pub(super) fence: Fence,
    /// The outcome.
    pub(super) ended: Ended,
}

impl Finish {
    fn project(&self) -> String {
        self.fence.build.project.to_string()
    }
}

#[async_trait]
impl Call for Finish {
    type Answer = ();

    async fn answer(session: &mut dyn Session, calls: &[Self]) -> Result<Answers<()>, StoreError> {
        let projects = calls.iter().map(Self::project).collect();
        let retried = calls
            .iter()
            .filter(|call| retry::may_follow(call.ended.status));
        let retried: BTreeSet<String> = retried.map(Self::project).collect();
        let limited = lanes::hold(session, &projects, &retried).await?;
        let mut held = hold(session, calls.iter().map(|call| &call.fence)).await?;
        let mut finished = Vec::new();
        let mut answers = Vec::new();
        for call in calls {
            // A second outcome of one build comes too late, also with the first one.
            answers.push(match held.take(&call.fence) {
                Some(held) => {
                    finished.push((call, held));
                    Ok(())
                }
                None => Err(lost(&call.fence)),
            });
        }
        if !finished.is_empty() {
            end(session, &mut finished).await?;
        }
        for project in limited {
            lanes::fill(session, &project).await?;
        }
        Ok(answers)
    }
}

/// Takes builds out of the queue and writes their outcomes.
async fn end(
    session: &mut dyn Session,
    finished: &mut [(&Finish, Held)],
) -> Result<(), StoreError> {
    for (Finish { fence, ended }, held) in finished.iter() {
        tell(session, fence, *held, &ended.record).await?;
    }
    let outcomes = finished.iter().map(|(call, _)| {
        let status = call.ended.status.name();
        let record = call.ended.record.to_string();
        json!({"build": call.fence.build.uuid.to_string(), "status": status, "record": record})
    });
    let outcomes: Json = outcomes.collect();
    let values = [(&outcomes).into()];
    session.rows(session.text(LEAVE_ALL), &values).await?;
    session.rows(session.text(END), &values).await?;
    // Lanes are entered in the order in which they are held.
    finished.sort_by_key(|(call, _)| call.project());
    for (Finish { fence, ended }, held) in finished {
        for (name, body) in &ended.report_groups {
            resources::put(session, Kind::ReportGroup, name, body).await?;
        }
        for report in &ended.reports {
            reports::insert(session, &fence.build, report).await?;
        }
        if retry::may_follow(ended.status) {
            retry::follow(session, &fence.build, held.priority).await?;
        }
    }
    Ok(())
}

/// Gives a lease up for a reason.
pub(super) async fn give_up(
    session: &mut dyn Session,
    fence: &Fence,
    reason: &str,
    ran: CommandsRan,
) -> Result<(), StoreError> {
    let project = fence.build.project.to_string();
    lanes::hold_one(session, &project).await?;
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
