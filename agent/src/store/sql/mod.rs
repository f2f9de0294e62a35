//! What the store does, written once for both engines.

mod agents;
mod arrivals;
mod builds;
mod enqueue;
mod fenced;
mod forget;
mod lanes;
mod lease;
mod outbox;
mod pages;
mod record;
mod reports;
mod resources;
mod retry;
mod submit;
mod sweep;
mod together;
mod tokens;
mod why;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value as Json;

use fenced::{Finish, Progress};
use submit::Submit;
use together::Together;

use super::database::{Changes, Database, Durability, Postgres, Sqlite};
use super::{
    AgentDescription, Arrival, Backlog, Claim, CommandsRan, Deletion, Ended, Fence, Forgotten,
    HeldLease, IdempotencyToken, Kind, Lease, NewBuild, Next, Offer, Page, PageRequest,
    ReportFilter, Resource, ResourceSort, Store, StoreError, StoredBuild, StoredReport, Submission,
    Sweep, Ticket, Why,
};
use crate::model::{BuildId, ProjectName};

/// A store in a database.
#[derive(Debug)]
pub(super) struct SqlStore<D: Database> {
    database: Arc<D>,
    submissions: Together<Submit>,
    progress: Together<Progress>,
    outcomes: Together<Finish>,
}

impl<D: Database> SqlStore<D> {
    fn new(database: D) -> Self {
        let database = Arc::new(database);
        Self {
            submissions: Together::new(Arc::clone(&database)),
            progress: Together::new(Arc::clone(&database)),
            outcomes: Together::new(Arc::clone(&database)),
            database,
        }
    }
}

/// A store in a file of this machine.
pub(super) type SqliteStore = SqlStore<Sqlite>;

/// A store on a PostgreSQL server.
pub(super) type PostgresStore = SqlStore<Postgres>;

impl SqliteStore {
    /// Opens the store in a file, which is made if needed, readable by its owner only.
    pub(in crate::store) async fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self::new(Sqlite::open(path).await?))
    }
}

impl PostgresStore {
    /// Opens the store in the database of a URL.
    pub(in crate::store) async fn connect(url: &str) -> Result<Self, StoreError> {
        Ok(Self::new(Postgres::connect(url).await?))
    }
}

/// The value of an expression in a transaction that is committed after it.
macro_rules! written {
    ($store:expr, |$session:ident| $expression:expr) => {
        written!($store, Durability::Kept, |$session| $expression)
    };
    ($store:expr, $durability:expr, |$session:ident| $expression:expr) => {{
        let mut transaction = $store.database.write($durability).await?;
        let $session = transaction.as_mut();
        let value = $expression.await?;
        transaction.commit().await?;
        Ok(value)
    }};
}

/// The value of an expression of one statement that only reads.
macro_rules! look {
    ($store:expr, |$session:ident| $expression:expr) => {{
        let mut looking = $store.database.look().await?;
        let $session = looking.as_mut();
        $expression.await
    }};
}

/// The value of an expression in a transaction that only reads.
macro_rules! read {
    ($store:expr, |$session:ident| $expression:expr) => {{
        let mut transaction = $store.database.read().await?;
        let $session = transaction.as_mut();
        $expression.await
    }};
}

#[async_trait]
impl<D: Database> Store for SqlStore<D> {
    async fn create_resource(
        &self,
        kind: Kind,
        name: &str,
        body: Json,
    ) -> Result<Resource, StoreError> {
        written!(self, |session| resources::create(session, kind, name, body))
    }

    async fn update_resource(
        &self,
        kind: Kind,
        name: &str,
        body: Json,
    ) -> Result<Resource, StoreError> {
        written!(self, |session| resources::update(session, kind, name, body))
    }

    async fn replace_resource(
        &self,
        kind: Kind,
        seen: &Resource,
        body: Json,
    ) -> Result<Option<Resource>, StoreError> {
        written!(self, |session| resources::replace(
            session, kind, seen, body
        ))
    }

    async fn delete_resource(&self, kind: Kind, name: &str) -> Result<bool, StoreError> {
        written!(self, |session| resources::delete(session, kind, name))
    }

    async fn resources(&self, kind: Kind, names: &[String]) -> Result<Vec<Resource>, StoreError> {
        look!(self, |session| resources::of_names(session, kind, names))
    }

    async fn list_resources(
        &self,
        kind: Kind,
        sort: ResourceSort,
        page: &PageRequest,
    ) -> Result<Page<String>, StoreError> {
        look!(self, |session| resources::list(session, kind, sort, page))
    }

    async fn submit(
        &self,
        build: NewBuild,
        token: Option<IdempotencyToken>,
    ) -> Result<Submission, StoreError> {
        self.submissions.call(Submit { build, token }).await
    }

    async fn claim(&self, build: NewBuild, claim: &Claim) -> Result<Submission, StoreError> {
        written!(self, |session| arrivals::claim(session, build, claim))
    }

    async fn claimed(&self, claim: &Claim) -> Result<Option<StoredBuild>, StoreError> {
        written!(self, |session| arrivals::claimed(session, claim))
    }

    async fn backlog(&self, intake: &str) -> Result<Backlog, StoreError> {
        read!(self, |session| arrivals::backlog(session, intake))
    }

    async fn note_arrival(
        &self,
        intake: &str,
        ticket: &Ticket,
        hold: Duration,
    ) -> Result<bool, StoreError> {
        written!(self, |session| arrivals::note(
            session, intake, ticket, hold
        ))
    }

    async fn due_arrivals(&self, intake: &str, hold: Duration) -> Result<Vec<Arrival>, StoreError> {
        written!(self, |session| arrivals::due(session, intake, hold))
    }

    async fn put_off_arrival(&self, intake: &str, id: &str, next: Next) -> Result<(), StoreError> {
        written!(self, |session| arrivals::put_off(session, intake, id, next))
    }

    async fn forget_arrival(&self, intake: &str, id: &str) -> Result<(), StoreError> {
        written!(self, |session| arrivals::forget(session, intake, id))
    }

    async fn withdraw_arrivals(&self, intake: &str) -> Result<Vec<Ticket>, StoreError> {
        written!(self, |session| arrivals::withdraw(session, intake))
    }

    async fn builds(&self, ids: &[BuildId]) -> Result<Vec<StoredBuild>, StoreError> {
        look!(self, |session| builds::of_ids(session, ids))
    }

    async fn list_builds(
        &self,
        project: Option<&ProjectName>,
        page: &PageRequest,
    ) -> Result<Page<BuildId>, StoreError> {
        look!(self, |session| builds::list(session, project, page))
    }

    async fn delete_build(&self, id: &BuildId) -> Result<Deletion, StoreError> {
        written!(self, |session| builds::delete(session, id))
    }

    async fn stop(&self, id: &BuildId) -> Result<Option<StoredBuild>, StoreError> {
        written!(self, |session| builds::stop(session, id))
    }

    async fn reports(&self, arns: &[String]) -> Result<Vec<StoredReport>, StoreError> {
        look!(self, |session| reports::of_arns(session, arns))
    }

    async fn list_reports(
        &self,
        filter: &ReportFilter,
        page: &PageRequest,
    ) -> Result<Page<String>, StoreError> {
        look!(self, |session| reports::list(session, filter, page))
    }

    async fn report_details(&self, arn: &str) -> Result<Option<Json>, StoreError> {
        look!(self, |session| reports::details(session, arn))
    }

    async fn delete_report(&self, arn: &str) -> Result<bool, StoreError> {
        written!(self, |session| reports::delete(session, arn))
    }

    async fn lease(&self, offer: &Offer) -> Result<Option<Lease>, StoreError> {
        // The attempt counts once its agent has written down that commands may run.
        written!(self, Durability::Following, |session| lease::next(
            session, offer
        ))
    }

    async fn heartbeat(
        &self,
        agent: &AgentDescription,
        running: &[Fence],
        life: Duration,
    ) -> Result<Vec<HeldLease>, StoreError> {
        written!(self, Durability::Following, |session| agents::heartbeat(
            session, agent, running, life
        ))
    }

    async fn confirm(&self, fence: &Fence, life: Duration) -> Result<(), StoreError> {
        written!(self, Durability::Following, |session| agents::confirm(
            session, fence, life
        ))
    }

    async fn held(&self, agent: &str) -> Result<Vec<HeldLease>, StoreError> {
        look!(self, |session| agents::held(session, agent))
    }

    async fn farewell(&self, agent: &str) -> Result<(), StoreError> {
        written!(self, |session| agents::farewell(session, agent))
    }

    async fn progress(
        &self,
        fence: &Fence,
        record: Json,
        has_started: bool,
    ) -> Result<(), StoreError> {
        let fence = fence.clone();
        let progress = Progress {
            fence,
            record,
            has_started,
        };
        self.progress.call(progress).await
    }

    async fn finish(&self, fence: &Fence, ended: Ended) -> Result<(), StoreError> {
        let fence = fence.clone();
        self.outcomes.call(Finish { fence, ended }).await
    }

    async fn give_up(
        &self,
        fence: &Fence,
        reason: &str,
        ran: CommandsRan,
    ) -> Result<(), StoreError> {
        written!(self, |session| fenced::give_up(session, fence, reason, ran))
    }

    async fn sweep(&self) -> Result<Sweep, StoreError> {
        sweep::sweep(self.database.as_ref()).await
    }

    async fn forget(&self, builds: Duration) -> Result<Forgotten, StoreError> {
        // Whatever comes back after a loss of power is forgotten again.
        written!(self, Durability::Following, |session| forget::forget(
            session, builds
        ))
    }

    async fn why(&self, id: &BuildId) -> Result<Option<Why>, StoreError> {
        read!(self, |session| why::why(session, id))
    }

    async fn agents(&self) -> Result<Vec<(AgentDescription, Timestamp)>, StoreError> {
        look!(self, |session| agents::all(session))
    }

    fn changes(&self) -> Changes {
        self.database.changes()
    }
}

/// A length of time as the database counts it.
fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}
