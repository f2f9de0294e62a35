//! Builds get their numbers, their records and their places in the queue.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::{lanes, millis, outbox, record};
use crate::store::database::{Session, Twin, of_each, timestamp};
use crate::store::{Needs, NewBuild, Resources, StoreError, StoredBuild};

const INSERT_BUILDS: Twin = of_each!(
    "
INSERT INTO builds (id, project, number, status, submitted_at, request, record)
SELECT id, project, number, 'IN_PROGRESS', $2, request, record FROM ",
    [id text, project text, number bigint, request text, record text],
    ""
);

const INSERT_CLASSES: Twin = of_each!(
    "
INSERT INTO classes (id, environment_type, fleet, processors_milli, memory_mib)
SELECT id, environment_type, fleet, processors_milli, memory_mib FROM ",
    [id text, environment_type text, fleet text, processors_milli bigint, memory_mib bigint],
    " WHERE true ORDER BY id ON CONFLICT (id) DO NOTHING"
);

const INSERT_WAITING: Twin = of_each!(
    "
INSERT INTO queue (
    build, project, class, priority, turn, submitted_at, deadline, is_ready, shows_status)
SELECT build, project, class, priority, turn, $2, $2 + timeout, is_ready, shows_status FROM ",
    [build text, project text, class text, priority bigint, turn bigint, timeout bigint, is_ready bigint,
        shows_status bigint],
    ""
);

/// A build that comes in.
#[derive(Debug)]
pub(super) struct Arrival<'b> {
    /// The build.
    pub(super) build: &'b NewBuild,
    /// What its record says of the tries before it.
    pub(super) auto_retry: Option<Json>,
}

/// Builds that have got their places, and what is written of them.
#[derive(Debug, Default)]
struct Entries {
    builds: Vec<Json>,
    classes: BTreeMap<String, Json>,
    waiting: Vec<Json>,
}

/// Queues builds, in this order; a build that its project's limit refuses is answered with that.
pub(super) async fn enqueue(
    session: &mut dyn Session,
    arrivals: Vec<Arrival<'_>>,
) -> Result<Vec<Result<StoredBuild, StoreError>>, StoreError> {
    if arrivals.is_empty() {
        return Ok(Vec::new());
    }
    let mut counts = BTreeMap::new();
    for arrival in &arrivals {
        *counts.entry(project(arrival)).or_insert(0) += 1;
    }
    let mut lanes = lanes::enter(session, &counts).await?;
    let now = session.now().await?;
    let mut entries = Entries::default();
    let mut queued = Vec::new();
    for arrival in arrivals {
        let name = project(&arrival);
        let places = lanes.get_mut(&name).ok_or(StoreError::Corrupt {
            what: "lane",
            value: name,
        })?;
        queued.push(match places.take(arrival.build.at_limit) {
            Ok(place) => Ok(entries.add(arrival, place, now)?),
            Err(limit) => Err(StoreError::LimitReached {
                project: arrival.build.request.id.project.clone(),
                limit,
            }),
        });
    }
    entries.insert(session, now).await?;
    for build in queued.iter().flatten() {
        outbox::tell(session, &build.request, None, &build.record).await?;
    }
    lanes::entered(session, &lanes).await?;
    Ok(queued)
}

fn project(arrival: &Arrival<'_>) -> String {
    arrival.build.request.id.project.to_string()
}

impl Entries {
    /// Adds a build that has its place, and gives it as it will be read.
    fn add(
        &mut self,
        arrival: Arrival<'_>,
        place: lanes::Place,
        now: i64,
    ) -> Result<StoredBuild, StoreError> {
        let mut request = arrival.build.request.clone();
        request.build_number = place.number.unsigned_abs();
        let mut record = record::open(&request);
        if let Some(config) = arrival.auto_retry {
            record["autoRetryConfig"] = config;
        }
        record::begin(&mut record, now);
        let (id, project) = (request.id.uuid.to_string(), request.id.project.to_string());
        self.builds.push(json!({
            "id": id,
            "project": project,
            "number": place.number,
            "request": json!(request).to_string(),
            "record": record.to_string(),
        }));
        let class = class(&Needs::of(&request));
        self.waiting.push(json!({
            "build": id,
            "project": project,
            "class": class["id"],
            "priority": arrival.build.priority,
            "turn": place.turn,
            "timeout": millis(request.queued_timeout),
            "is_ready": i64::from(place.is_ready),
            "shows_status": i64::from(request.reports_build_status()),
        }));
        self.classes.insert(class["id"].to_string(), class);
        Ok(StoredBuild {
            id: request.id.clone(),
            number: request.build_number,
            status: "IN_PROGRESS".to_owned(),
            submitted_at: timestamp(now)?,
            ended_at: None,
            request,
            record,
        })
    }

    async fn insert(self, session: &mut dyn Session, now: i64) -> Result<(), StoreError> {
        if self.builds.is_empty() {
            return Ok(());
        }
        let values = [(&Json::from(self.builds)).into(), now.into()];
        session.rows(session.text(INSERT_BUILDS), &values).await?;
        let classes: Json = self.classes.into_values().collect();
        let values = [(&classes).into()];
        session.rows(session.text(INSERT_CLASSES), &values).await?;
        let values = [(&Json::from(self.waiting)).into(), now.into()];
        session.rows(session.text(INSERT_WAITING), &values).await?;
        Ok(())
    }
}

/// The class of builds with these needs.
fn class(needs: &Needs) -> Json {
    let fleet = needs.fleet.as_deref().unwrap_or_default();
    let Resources {
        processors_milli,
        memory_mib,
    } = needs.resources;
    let environment_type = json!(needs.environment_type);
    let name = environment_type.as_str().unwrap_or_default();
    json!({
        "id": format!("{name}/{fleet}/{processors_milli}/{memory_mib}"),
        "environment_type": name,
        "fleet": fleet,
        "processors_milli": processors_milli,
        "memory_mib": memory_mib,
    })
}
