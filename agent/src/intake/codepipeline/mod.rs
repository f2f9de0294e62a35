//! Jobs of a custom action of CodePipeline: each becomes a build, whose outcome is the job's answer.
//!
//! A job is noted in the store before it is acknowledged, and bound to its build in the transaction that queues the
//! build: whatever dies in between, somebody finds it there and goes on. Its answer is given by whichever process sees
//! that the build is over, again and again until CodePipeline has it or does not want it any more.

mod action_type;
mod answer;
mod answering;
mod configuration;

use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::{Intake, IntakeError, Reception, Refusal, ask, patience, unless_stopped};
use crate::config::CodePipelineConfig;
use crate::model::Site;
use crate::pipeline::{
    ActionType, Failure, FailureKind, JobDetails, JobState, OfferedJob, PipelineError, Pipelines,
};
use crate::store::{Arrival, Became, Claim, Next, StoreError, Ticket};

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
    /// Their name, as people know it.
    title: String,
}

#[async_trait]
impl Intake for Jobs {
    fn key(&self) -> &str {
        &self.intake
    }

    fn title(&self) -> &str {
        &self.title
    }

    fn most_waiting(&self) -> u32 {
        self.config.waiting
    }

    fn answers_within(&self) -> Option<Duration> {
        Some(HOLD)
    }

    async fn take(&self, room: u32, stop: &CancellationToken) -> Result<Duration, String> {
        let polled = unless_stopped(stop, self.pipelines.poll(&self.action, room)).await;
        let Some(polled) = polled else {
            return Ok(Duration::ZERO);
        };
        let jobs = polled.map_err(|error| error.to_string())?;
        // Where some were, more may be.
        let pause = if jobs.is_empty() {
            patience::about(self.config.poll())
        } else {
            Duration::ZERO
        };
        for job in jobs {
            // A job that is not acknowledged is handed out again.
            if stop.is_cancelled() {
                break;
            }
            self.welcome(job).await;
        }
        Ok(pause)
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
        action_type::check(&action)?;
        let ActionType {
            category, version, ..
        } = &action;
        Ok(Self {
            intake: format!(
                "codepipeline {} {category}/{provider}/{version}",
                site.region
            ),
            title: format!("{category} action {provider}:{version} of CodePipeline"),
            pipelines: Pipelines::new(reception.aws.agent()).await,
            config: config.clone(),
            action,
            reception,
            site,
        })
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
        let claimed = self.reception.queue(request, &claim).await?;
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
