//! The truth about builds: a request goes in and gets a number, a lease with an attempt number comes
//! out, and one outcome goes back in. Beside them stands whatever the API keeps by name.
//!
//! Two engines, one behaviour: SQLite inside this process for one machine, PostgreSQL for many. What
//! the store does is written once (`sql/`); an engine (`database/`) begins transactions, runs
//! statements and carries wake-up calls.

mod arrival;
mod build;
mod database;
mod error;
mod outbox;
mod queue;
mod report;
mod resource;
mod sql;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use arrival::{Arrival, Backlog, Became, CLAIM_LIFE, Claim, Next, Ticket};
pub use build::{
    AtLimit, Deletion, IdempotencyToken, NewBuild, Operation, StoredBuild, Submission,
};
pub use database::Changes;
pub use error::StoreError;
pub use outbox::{Change, Expired, Herald, Message, NewMessage, Outbox, Settled};
pub use queue::{
    AgentDescription, Answer, CommandsRan, Ended, Fence, Forgotten, HeldLease, Lease, Needs, Offer,
    Resources, Sweep, Waiting, Why,
};
pub use report::{NewReport, ReportFilter, StoredReport};
pub use resource::{Kind, Order, Page, PageRequest, Resource, ResourceSort};
use sql::{PostgresStore, SqliteStore};

use crate::model::{BuildId, ProjectName};

/// How long a token stands for the build it started (API, `idempotencyToken`: five minutes).
pub const TOKEN_LIFE: Duration = Duration::from_mins(5);

/// How long a report is kept (user guide, "Working with test reports": they expire 30 days after they were made).
pub const REPORT_LIFE: Duration = Duration::from_hours(30 * 24);

/// What the agent keeps of builds, projects and reports.
///
/// Every method is one transaction: it happens as a whole or, when it answers with an error, not at
/// all. Calls may be repeated after an error of the database.
#[async_trait]
pub trait Store: Outbox {
    /// Stores something new under its name. Of a project, the member `concurrentBuildLimit` counts
    /// from now on.
    async fn create_resource(
        &self,
        kind: Kind,
        name: &str,
        body: serde_json::Value,
    ) -> Result<Resource, StoreError>;

    /// Replaces the body of what is stored under a name.
    async fn update_resource(
        &self,
        kind: Kind,
        name: &str,
        body: serde_json::Value,
    ) -> Result<Resource, StoreError>;

    /// Replaces the body of what was looked up before, unless somebody has changed it since: then
    /// nothing happens, and the answer is `None`.
    async fn replace_resource(
        &self,
        kind: Kind,
        seen: &Resource,
        body: serde_json::Value,
    ) -> Result<Option<Resource>, StoreError>;

    /// Removes what is stored under a name, and tells whether there was something. Builds of a
    /// project stay, and so do its numbers.
    async fn delete_resource(&self, kind: Kind, name: &str) -> Result<bool, StoreError>;

    /// Looks names up; those that are not there are left out.
    async fn resources(&self, kind: Kind, names: &[String]) -> Result<Vec<Resource>, StoreError>;

    /// Lists names.
    async fn list_resources(
        &self,
        kind: Kind,
        sort: ResourceSort,
        page: &PageRequest,
    ) -> Result<Page<String>, StoreError>;

    /// Gives a build its number and queues it. A token that was seen within [`TOKEN_LIFE`] gives the build it started then.
    async fn submit(
        &self,
        build: NewBuild,
        token: Option<IdempotencyToken>,
    ) -> Result<Submission, StoreError>;

    /// Queues the build of something that came in through a queue or a pipeline, or gives the build that it has
    /// become within [`CLAIM_LIFE`]. A claim that waits for an answer is noted in the same transaction.
    async fn claim(&self, build: NewBuild, claim: &Claim) -> Result<Submission, StoreError>;

    /// Gives the build that something has become within [`CLAIM_LIFE`], if it has: what comes again needs nothing of
    /// what it needed at first. A claim that waits for an answer is noted, as by [`claim`](Self::claim).
    async fn claimed(&self, claim: &Claim) -> Result<Option<StoredBuild>, StoreError>;

    /// How many builds of an intake wait for a worker.
    async fn backlog(&self, intake: &str) -> Result<Backlog, StoreError>;

    /// Notes something that came in, before anything else is done about it, and tells whether it is the caller's to
    /// deal with for as long as `hold`. If not, somebody else does, or it is a build already.
    async fn note_arrival(
        &self,
        intake: &str,
        ticket: &Ticket,
        hold: Duration,
    ) -> Result<bool, StoreError>;

    /// Some of those that wait for an answer and whose turn it is. For as long as `hold` they are nobody else's.
    async fn due_arrivals(&self, intake: &str, hold: Duration) -> Result<Vec<Arrival>, StoreError>;

    /// Says when one of them is looked at again.
    async fn put_off_arrival(&self, intake: &str, id: &str, next: Next) -> Result<(), StoreError>;

    /// Forgets one that needs no answer any more. What it was claimed for stays claimed.
    async fn forget_arrival(&self, intake: &str, id: &str) -> Result<(), StoreError>;

    /// Takes builds of an intake that still wait, and whose services wait for an answer, back: they end as `STOPPED`, and
    /// what they came from may be claimed again.
    async fn withdraw_arrivals(&self, intake: &str) -> Result<Vec<Ticket>, StoreError>;

    /// Looks builds up; those that are not there are left out.
    async fn builds(&self, ids: &[BuildId]) -> Result<Vec<StoredBuild>, StoreError>;

    /// Lists builds, of one project or of all, by age.
    async fn list_builds(
        &self,
        project: Option<&ProjectName>,
        page: &PageRequest,
    ) -> Result<Page<BuildId>, StoreError>;

    /// Forgets a build that is over.
    async fn delete_build(&self, id: &BuildId) -> Result<Deletion, StoreError>;

    /// Stops a build: at once if it waits, otherwise by asking its agent. A build that is over stays
    /// as it is. `None` if there is no such build.
    async fn stop(&self, id: &BuildId) -> Result<Option<StoredBuild>, StoreError>;

    /// Looks reports up by their ARNs; those that are not there are left out.
    async fn reports(&self, arns: &[String]) -> Result<Vec<StoredReport>, StoreError>;

    /// Lists the ARNs of reports by their age.
    async fn list_reports(
        &self,
        filter: &ReportFilter,
        page: &PageRequest,
    ) -> Result<Page<String>, StoreError>;

    /// The test cases and coverages of a report, as its agent sent them.
    async fn report_details(&self, arn: &str) -> Result<Option<serde_json::Value>, StoreError>;

    /// Removes a report, and tells whether there was one.
    async fn delete_report(&self, arn: &str) -> Result<bool, StoreError>;

    /// Takes the next build that fits an agent, for as long as `life`, counted by the database's
    /// clock. Order: priority, then a fair turn among projects, then age. A large build that has
    /// waited for longer than `patience` is not overtaken any more: the agent gets nothing until
    /// enough of it is free.
    async fn lease(&self, offer: &Offer) -> Result<Option<Lease>, StoreError>;

    /// Says that an agent lives, extends the leases of the builds it runs, and gives all that it holds.
    /// One that is missing is lost: its build may run elsewhere. Leases of builds that it does not run
    /// any more, left by the process before, run out.
    async fn heartbeat(
        &self,
        agent: &AgentDescription,
        running: &[Fence],
        life: Duration,
    ) -> Result<Vec<HeldLease>, StoreError>;

    /// Makes sure that an agent still has a lease, and extends it: before something of its build is written
    /// where the store cannot refuse it.
    async fn confirm(&self, fence: &Fence, life: Duration) -> Result<(), StoreError>;

    /// The leases that an agent holds, without a sign of life.
    async fn held(&self, agent: &str) -> Result<Vec<HeldLease>, StoreError>;

    /// Forgets an agent that ends in good order. Leases it still has run out by themselves.
    async fn farewell(&self, agent: &str) -> Result<(), StoreError>;

    /// Writes down how far a leased build is. `has_started` is for good: from then on the build does
    /// not run again elsewhere when its agent is lost.
    async fn progress(
        &self,
        fence: &Fence,
        record: serde_json::Value,
        has_started: bool,
    ) -> Result<(), StoreError>;

    /// Writes down the one outcome of a leased build, with its reports.
    async fn finish(&self, fence: &Fence, ended: Ended) -> Result<(), StoreError>;

    /// Gives a lease up. If no command had started, the build waits again at its old place; otherwise
    /// nobody knows what it did, and it ends as `FAULT` for this reason.
    async fn give_up(
        &self,
        fence: &Fence,
        reason: &str,
        ran: CommandsRan,
    ) -> Result<(), StoreError>;

    /// What time does: queued builds whose time is up end as `TIMED_OUT`; builds of lost agents wait
    /// again if no command had started, and end as `FAULT` otherwise; old tokens are forgotten.
    async fn sweep(&self) -> Result<Sweep, StoreError>;

    /// Forgets what was over long ago, a bounded number at once: builds that ended longer ago than `builds`, reports
    /// after [`REPORT_LIFE`], and agents of which nobody has heard for a week. Numbers of builds are never given
    /// again.
    async fn forget(&self, builds: Duration) -> Result<Forgotten, StoreError>;

    /// Why a build waits, and for what. `None` if there is no such build.
    async fn why(&self, id: &BuildId) -> Result<Option<Why>, StoreError>;

    /// The agents that have been heard of, with their last sign of life.
    async fn agents(&self) -> Result<Vec<(AgentDescription, jiff::Timestamp)>, StoreError>;

    /// Wake-up calls: something may be leased, a leased build is to be stopped, or others are to be told of
    /// something.
    fn changes(&self) -> Changes;
}

/// Opens the store with this address: `sqlite:PATH`, or `postgres://…`. Brings its schema up to date.
pub async fn open(address: &str) -> Result<Arc<dyn Store>, StoreError> {
    if let Some(path) = address.strip_prefix("sqlite:") {
        Ok(Arc::new(SqliteStore::open(path.as_ref()).await?))
    } else if address.starts_with("postgres:") || address.starts_with("postgresql:") {
        Ok(Arc::new(PostgresStore::connect(address).await?))
    } else {
        Err(StoreError::UnknownAddress)
    }
}
