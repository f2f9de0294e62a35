//! Why a build waits, and for what.

use jiff::Timestamp;

use super::{builds, lease};
use crate::model::BuildId;
use crate::store::database::{Row, Session, timestamp};
use crate::store::{AgentDescription, Answer, Needs, Resources, StoreError, Waiting, Why};

const ENTRY: &str = "
SELECT class, priority, turn, submitted_at, deadline, is_ready, is_stopping, attempt, agent, leased_at
FROM queue WHERE build = $1";

const AHEAD: &str = "
SELECT count(*) FROM (
    SELECT 1 FROM queue WHERE class = $1 AND agent IS NULL AND is_ready = 1
    AND (priority > $2 OR (priority = $2 AND (turn, submitted_at) < ($3, $4))) LIMIT 1000) AS ahead";

const LIMIT: &str = "
SELECT concurrent_limit,
    (SELECT count(*) FROM queue WHERE queue.project = lanes.project AND agent IS NOT NULL)
FROM lanes WHERE project = $1";

/// Agents whose last sign of life is older are not counted on.
const LIVING: &str = "
SELECT description, (SELECT count(*) FROM queue WHERE queue.agent = agents.id)
FROM agents WHERE seen_at > (SELECT now FROM clock) - 120000 ORDER BY id";

/// An entry of the queue.
struct Entry {
    class: String,
    order: (i64, i64, i64),
    since: Timestamp,
    until: Timestamp,
    is_ready: bool,
    is_stopping: bool,
    attempt: u32,
    lease: Option<(String, Timestamp)>,
}

/// Explains where a build stands.
pub(super) async fn why(
    session: &mut dyn Session,
    id: &BuildId,
) -> Result<Option<Why>, StoreError> {
    let Some(build) = builds::of_id(session, id).await? else {
        return Ok(None);
    };
    let row = session.row(ENTRY, &[id.uuid.into()]).await?;
    let answer = match row.map(entry).transpose()? {
        None => Answer::Over {
            status: build.status,
        },
        Some(Entry {
            lease: Some((agent, since)),
            attempt,
            is_stopping,
            ..
        }) => Answer::Running {
            agent,
            attempt,
            since,
            is_stopping,
        },
        Some(entry) => Answer::Waiting {
            since: entry.since,
            until: entry.until,
            ahead: ahead(session, &entry).await?,
            reasons: reasons(session, id, &entry).await?,
        },
    };
    Ok(Some(Why {
        build: id.clone(),
        answer,
    }))
}

fn entry(mut row: Row) -> Result<Entry, StoreError> {
    let class = row.text()?;
    let order = (row.integer()?, row.integer()?, row.integer()?);
    let until = row.time()?;
    let (is_ready, is_stopping) = (row.is()?, row.is()?);
    let attempt = row.count()?;
    let agent = row.optional_text()?;
    let leased_at = row.optional_time()?;
    Ok(Entry {
        class,
        order,
        since: timestamp(order.2)?,
        until,
        is_ready,
        is_stopping,
        attempt,
        lease: agent.zip(leased_at),
    })
}

async fn ahead(session: &mut dyn Session, entry: &Entry) -> Result<u32, StoreError> {
    let (priority, turn, submitted_at) = entry.order;
    let values = [
        entry.class.as_str().into(),
        priority.into(),
        turn.into(),
        submitted_at.into(),
    ];
    match session.row(AHEAD, &values).await? {
        Some(mut row) => row.count(),
        None => Ok(0),
    }
}

async fn reasons(
    session: &mut dyn Session,
    id: &BuildId,
    entry: &Entry,
) -> Result<Vec<Waiting>, StoreError> {
    let mut reasons = Vec::new();
    if !entry.is_ready
        && let Some(mut row) = session.row(LIMIT, &[id.project.to_string().into()]).await?
        && let Some(limit) = row.optional_integer()?
    {
        reasons.push(Waiting::ConcurrentLimit {
            limit: limit.unsigned_abs(),
            running: row.count()?,
        });
    }
    let mut agents = Vec::new();
    for mut row in session.rows(LIVING, &[]).await? {
        let agent: AgentDescription = row.json("agent")?;
        agents.push((agent, row.count()?));
    }
    let classes = lease::classes(session).await?;
    if let Some(class) = classes.into_iter().find(|class| class.id == entry.class) {
        reasons.extend(of_agents(&class.needs, &agents));
    }
    Ok(reasons)
}

/// What the living agents, each with the number of builds it runs, have to do with it.
fn of_agents(needs: &Needs, agents: &[(AgentDescription, u64)]) -> Vec<Waiting> {
    let routed = || agents.iter().filter(|(agent, _)| agent.routes(needs));
    let largest = routed().map(|(agent, _)| agent.capacity);
    let largest =
        largest.max_by_key(|capacity: &Resources| (capacity.memory_mib, capacity.processors_milli));
    let Some(largest) = largest else {
        return vec![Waiting::NoAgent {
            environment_type: needs.environment_type,
            fleet: needs.fleet.clone(),
        }];
    };
    let suited: Vec<_> = routed()
        .filter(|(agent, _)| agent.share(needs).is_some())
        .collect();
    if suited.is_empty() {
        return vec![Waiting::TooLarge {
            needs: needs.resources,
            largest,
        }];
    }
    let mut reasons = Vec::new();
    let mut busy = (0, 0);
    for (agent, running) in suited {
        match &agent.closed {
            Some(reason) => reasons.push(Waiting::Closed {
                agent: agent.id.clone(),
                reason: reason.clone(),
            }),
            None => busy = (busy.0 + 1, busy.1 + running),
        }
    }
    if let (agents @ 1.., running @ 1..) = busy {
        reasons.push(Waiting::Busy { agents, running });
    }
    reasons
}
