//! Jobs that wait for an answer: they get the outcomes of their builds, and builds whose jobs nobody wants any more are
//! stopped.

use super::{Jobs, STILL_WANTED, answer};
use crate::pipeline::{Failure, FailureKind, JobState, PipelineError};
use crate::store::{Next, StoredBuild, Ticket};

impl Jobs {
    /// Gives the outcome of a build as the answer.
    pub(super) async fn put(&self, job: &str, build: &StoredBuild) -> Result<(), PipelineError> {
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
    pub(super) async fn settle(&self, job: &str, tries: u32, put: Result<(), PipelineError>) {
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
    pub(super) async fn ask_whether_wanted(
        &self,
        ticket: &Ticket,
        build: &StoredBuild,
        tries: u32,
    ) {
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
}
