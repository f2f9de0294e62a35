//! Jobs of a custom action of CodePipeline: each becomes a build, whose outcome is the job's answer.
//!
//! A job is noted in the store before it is acknowledged, and bound to its build in the transaction that queues the
//! build: whatever dies in between, somebody finds it there and goes on. Its answer is given by whichever process sees
//! that the build is over, again and again until CodePipeline has it or does not want it any more.

mod answer;
mod configuration;

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::patience::{self, Patience};
use super::{IntakeError, Reception, Refusal, ask};
use crate::config::CodePipelineConfig;
use crate::model::Site;
use crate::pipeline::{
    ActionType, Failure, FailureKind, JobDetails, JobState, OfferedJob, PipelineError, Pipelines,
};
use crate::store::{
    Arrival, AtLimit, Became, Claim, NewBuild, Next, StoreError, StoredBuild, Ticket,
};

/// Time between two looks whether there is room.
const ROOM_INTERVAL: Duration = Duration::from_millis(250);

/// Time between two looks for builds that are over.
const ANSWER_INTERVAL: Duration = Duration::from_secs(1);

/// Jobs that are taken at once at most.
const MOST: u32 = 10;

/// How long a job is this process's to deal with. All that is done in this time is a few calls.
const HOLD: Duration = Duration::from_mins(2);

/// Time between two questions whether a job is still wanted while its build goes on: CodePipeline tells nobody that it
/// was stopped.
const STILL_WANTED: Duration = Duration::from_mins(1);

/// The jobs of an action type.
#[derive(Debug)]
pub(super) struct Jobs {
    reception: Reception,
    site: Site,
    pipelines: Pipelines,
    action: ActionType,
    config: CodePipelineConfig,
    /// Their name in the store.
    intake: String,
}

impl Jobs {
    /// Those of an action type of this provider. Nobody is contacted.
    pub(super) async fn new(
        reception: Reception,
        site: Site,
        provider: &str,
        config: &CodePipelineConfig,
    ) -> Result<Self, IntakeError> {
        let action = ActionType {
            category: config.category.clone(),
            provider: provider.to_owned(),
            version: config.version.clone(),
            fleet: config.fleet.clone(),
        };
        check(&action)?;
        let ActionType {
            category, version, ..
        } = &action;
        Ok(Self {
            intake: format!(
                "codepipeline {} {category}/{provider}/{version}",
                site.region
            ),
            pipelines: Pipelines::new(reception.aws.agent()).await,
            config: config.clone(),
            action,
            reception,
            site,
        })
    }

    /// Takes jobs until `stop`.
    pub(super) async fn take(&self, stop: &CancellationToken) {
        tracing::info!("jobs of {} are taken", self.intake);
        let mut patience = Patience::default();
        while let Some(room) = stop.run_until_cancelled(self.wait_for_room()).await {
            let polled = match room {
                Ok(room) => {
                    let polled = self.pipelines.poll(&self.action, room).await;
                    polled.map_err(|error| error.to_string())
                }
                Err(error) => Err(error),
            };
            let pause = match polled {
                Ok(jobs) => {
                    patience.reset();
                    // Where some were, more may be.
                    let pause = if jobs.is_empty() {
                        patience::about(self.config.poll())
                    } else {
                        Duration::ZERO
                    };
                    for job in jobs {
                        self.welcome(job).await;
                    }
                    pause
                }
                Err(error) => {
                    tracing::warn!("no job of {} is taken for now: {error}", self.intake);
                    patience.pause()
                }
            };
            stop.run_until_cancelled(sleep(pause)).await;
        }
    }

    /// Waits until jobs may be taken: so many.
    async fn wait_for_room(&self) -> Result<u32, String> {
        loop {
            let room = self.room().await?;
            if room > 0 {
                return Ok(room);
            }
            sleep(ROOM_INTERVAL).await;
        }
    }

    /// How many jobs may be taken now.
    async fn room(&self) -> Result<u32, String> {
        let places = (self.reception.vacancies)();
        if places == 0 {
            return Ok(0);
        }
        let backlog = self.reception.store.backlog(&self.intake).await;
        let backlog = backlog.map_err(|error| format!("{:#}", anyhow::Error::from(error)))?;
        let may_wait = self.config.waiting.max(1).saturating_sub(backlog.waiting);
        Ok(places.saturating_sub(backlog.fresh).min(may_wait).min(MOST))
    }

    /// Notes a job that was offered, and takes it.
    async fn welcome(&self, offered: OfferedJob) {
        let ticket = Ticket {
            id: offered.id,
            ticket: offered.nonce,
        };
        let store = &self.reception.store;
        match store.note_arrival(&self.intake, &ticket, HOLD).await {
            Ok(true) => self.begin(&ticket, 0).await,
            Ok(false) => tracing::debug!("job {} is somebody else's", ticket.id),
            // Nobody has acknowledged it: it is handed out again.
            Err(error) => tracing::warn!("job {} is not taken: {error:#}", ticket.id),
        }
    }

    /// Gives answers, and looks after jobs that were left half way, until `ended` and once after it. What is begun with
    /// a job is not given up half way: it would be nobody's for a while.
    pub(super) async fn answer(&self, ended: &CancellationToken) {
        while !ended.is_cancelled() {
            self.answer_once().await;
            ended.run_until_cancelled(sleep(ANSWER_INTERVAL)).await;
        }
        self.answer_once().await;
    }

    /// Deals with the jobs whose turn it is.
    async fn answer_once(&self) {
        match self.reception.store.due_arrivals(&self.intake, HOLD).await {
            Ok(due) => {
                for arrival in due {
                    self.look_at(arrival).await;
                }
            }
            Err(error) => {
                tracing::warn!("the jobs of {} cannot be looked at: {error:#}", self.intake);
            }
        }
    }

    async fn look_at(&self, arrival: Arrival) {
        let Arrival {
            ticket,
            tries,
            became,
            ..
        } = arrival;
        match became {
            Became::Nothing => self.begin(&ticket, tries).await,
            Became::Build(build) if build.ended_at.is_some() => {
                let put = self.put(&ticket.id, &build).await;
                self.settle(&ticket.id, tries, put).await;
            }
            Became::Build(build) => self.ask_whether_wanted(&ticket, &build, tries).await,
            Became::Deleted => {
                let failure = Failure {
                    kind: FailureKind::Job,
                    message: "the build was deleted".to_owned(),
                    build: None,
                };
                let put = self.pipelines.fail(&ticket.id, &failure).await;
                self.settle(&ticket.id, tries, put).await;
            }
        }
    }

    /// Acknowledges a job and makes a build of it, or answers why there is none.
    async fn begin(&self, ticket: &Ticket, tries: u32) {
        let Ticket { id, ticket: nonce } = ticket;
        let details = match self.pipelines.acknowledge(id, nonce).await {
            Ok(JobState::InProgress) => self.pipelines.details(id).await,
            Ok(JobState::Other) => Err(PipelineError::Foreign(
                "it is not in progress after its acknowledgement".to_owned(),
            )),
            Err(error) => Err(error),
        };
        let details = match details {
            Ok(details) => details,
            Err(error @ (PipelineError::Foreign(_) | PipelineError::Over(_))) => {
                tracing::info!("job {id} is not taken: {error}");
                return self.forget(id).await;
            }
            Err(error) => return self.try_again(id, tries, &error.to_string()).await,
        };
        match self.become_build(ticket, details).await {
            Ok(()) => {}
            Err(Refusal::ForGood(reason)) => {
                tracing::warn!("job {id} is no build: {reason}");
                let failure = Failure {
                    kind: FailureKind::Configuration,
                    message: reason,
                    build: None,
                };
                let put = self.pipelines.fail(id, &failure).await;
                self.settle(id, tries, put).await;
            }
            Err(Refusal::ForNow(reason)) => self.try_again(id, tries, &reason).await,
        }
    }

    /// Queues the build of a job in the store, unless it is there already.
    async fn become_build(&self, ticket: &Ticket, details: JobDetails) -> Result<(), Refusal> {
        let store = self.reception.store.as_ref();
        let (ask, job) = configuration::read(details).map_err(Refusal::ForGood)?;
        let request = ask::request(&ask, store, &self.site).await?;
        let request = request
            .for_job(job)
            .map_err(|error| Refusal::ForGood(error.to_string()))?;
        let claim = Claim {
            intake: self.intake.clone(),
            token: format!("{} job {}", self.intake, ticket.id),
            // Jobs do not change, and none has the identity of another.
            fingerprint: String::new(),
            answer_to: Some(ticket.clone()),
        };
        let build = NewBuild {
            request,
            priority: 0,
            at_limit: AtLimit::Queue,
        };
        let claimed = store.claim(build, &claim).await?;
        let id = &claimed.build.id;
        tracing::info!(build.id = %id, "job {} of pipeline {} is build {id}", ticket.id, ask.initiator);
        // There is nothing to look at until the build is over.
        let next = Next::Look(STILL_WANTED);
        if let Err(error) = store.put_off_arrival(&self.intake, &ticket.id, next).await {
            tracing::debug!(
                "job {} is looked at sooner than it could: {error}",
                ticket.id
            );
        }
        Ok(())
    }

    /// Gives the outcome of a build as the answer.
    async fn put(&self, job: &str, build: &StoredBuild) -> Result<(), PipelineError> {
        let put = match answer::of(build) {
            Ok(success) => self.pipelines.succeed(job, &success).await,
            Err(failure) => self.pipelines.fail(job, &failure).await,
        };
        match put {
            Err(PipelineError::Variables(reason)) => {
                let failure = Failure {
                    kind: FailureKind::Configuration,
                    message: format!("the exported variables are too large: {reason}"),
                    build: Some(build.id.to_string()),
                };
                self.pipelines.fail(job, &failure).await
            }
            put => put,
        }
    }

    /// Writes down what became of an answer.
    async fn settle(&self, job: &str, tries: u32, put: Result<(), PipelineError>) {
        match put {
            Ok(()) => {
                tracing::info!("job {job} has its answer");
                self.forget(job).await;
            }
            Err(PipelineError::Over(reason)) => {
                tracing::info!("nobody waits for the answer to job {job} any more: {reason}");
                self.forget(job).await;
            }
            Err(error) => self.try_again(job, tries, &error.to_string()).await,
        }
    }

    /// Asks whether a job is still this worker's, and stops its build if it is not.
    async fn ask_whether_wanted(&self, ticket: &Ticket, build: &StoredBuild, tries: u32) {
        let job = &ticket.id;
        match self.pipelines.acknowledge(job, &ticket.ticket).await {
            // The job was acknowledged with this nonce before: that it does not count any more says nothing.
            Ok(JobState::InProgress) | Err(PipelineError::Foreign(_)) => {
                self.put_off(job, Next::Look(STILL_WANTED)).await;
            }
            Ok(JobState::Other) | Err(PipelineError::Over(_)) => {
                let id = &build.id;
                tracing::info!(build.id = %id, "job {job} is not wanted any more: build {id} is stopped");
                match self.reception.store.stop(id).await {
                    Ok(_) => self.forget(job).await,
                    Err(error) => self.try_again(job, tries, &error.to_string()).await,
                }
            }
            Err(error) => self.try_again(job, tries, &error.to_string()).await,
        }
    }

    async fn try_again(&self, job: &str, tries: u32, reason: &str) {
        tracing::warn!("job {job} is dealt with later: {reason}");
        self.put_off(job, Next::Again(patience::after(tries))).await;
    }

    async fn put_off(&self, job: &str, next: Next) {
        let store = &self.reception.store;
        told(job, store.put_off_arrival(&self.intake, job, next).await);
    }

    async fn forget(&self, job: &str) {
        let store = &self.reception.store;
        told(job, store.forget_arrival(&self.intake, job).await);
    }
}

/// What is not written down is done again later, and changes nothing then.
fn told(job: &str, written: Result<(), StoreError>) {
    if let Err(error) = written {
        tracing::warn!("what became of job {job} is not written down: {error:#}");
    }
}

/// What CodePipeline would refuse with each question (API, `ActionTypeId`).
fn check(action: &ActionType) -> Result<(), IntakeError> {
    let is_word = |text: &str, most: usize| {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        (1..=most).contains(&text.len()) && text.bytes().all(is_letter)
    };
    let ActionType {
        category,
        provider,
        version,
        fleet,
    } = action;
    let wrong = |what: &str, text: &str| {
        Err(IntakeError::Configuration(format!(
            "codepipeline: {text:?} is not {what}"
        )))
    };
    if ![
        "Approval", "Build", "Compute", "Deploy", "Invoke", "Source", "Test",
    ]
    .contains(&category.as_str())
    {
        return wrong("a category of actions, such as Build or Test", category);
    }
    if !is_word(provider, 35) {
        return wrong("a provider: at most 35 letters, digits, _ and -", provider);
    }
    if !is_word(version, 9) {
        return wrong("a version: at most 9 letters, digits, _ and -", version);
    }
    match fleet {
        Some(fleet) if !is_word(fleet, 50) => {
            wrong("a fleet: at most 50 letters, digits, _ and -", fleet)
        }
        _ => Ok(()),
    }
}
