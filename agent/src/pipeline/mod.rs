//! CodePipeline as a job worker sees it (API of CodePipeline, "custom actions"): jobs come out, answers go in.

mod answer;
mod job;

use std::collections::HashMap;

use aws_sdk_codepipeline::Client;
use aws_sdk_codepipeline::config::http::HttpResponse;
use aws_sdk_codepipeline::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_codepipeline::types::{
    ActionCategory, ActionOwner, ActionTypeId, ExecutionDetails, FailureDetails, JobStatus,
};

pub use answer::{Failure, FailureKind, Success};
pub use job::{JobDetails, OfferedJob};

use crate::credentials::{Session, describe, is_transient};

/// A custom action type, and whose jobs of it are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionType {
    /// `Build`, `Test` …
    pub category: String,
    /// Its provider, as it was named when it was made.
    pub provider: String,
    /// Its version.
    pub version: String,
    /// Value of the queryable property `Fleet`; without one, jobs of all fleets.
    pub fleet: Option<String>,
}

/// The job worker's side of CodePipeline.
#[derive(Debug, Clone)]
pub struct Pipelines {
    client: Client,
}

/// How CodePipeline sees a job that was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// It is this worker's.
    InProgress,
    /// It is another one's, or nobody wants it any more.
    Other,
}

/// Why CodePipeline did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The job is over, or there is none.
    #[error("the job is over: {0}")]
    Over(String),
    /// The job was given to somebody else.
    #[error("the job was given to another worker: {0}")]
    Foreign(String),
    /// The exported variables are more than CodePipeline takes.
    #[error("the exported variables are too large for CodePipeline: {0}")]
    Variables(String),
    /// CodePipeline refuses the call; asking again does not help, unless somebody changes something.
    #[error("{0}")]
    Refused(String),
    /// CodePipeline is out of reach, or overloaded.
    #[error("{0}")]
    Unreachable(String),
}

impl PipelineError {
    fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let text = describe(error);
        let code = error
            .as_service_error()
            .and_then(ProvideErrorMetadata::code);
        match code {
            Some("JobNotFoundException" | "InvalidJobStateException") => Self::Over(text),
            Some("InvalidNonceException") => Self::Foreign(text),
            Some("OutputVariablesSizeExceededException") => Self::Variables(text),
            _ if is_transient(error) => Self::Unreachable(text),
            _ => Self::Refused(text),
        }
    }
}

impl Pipelines {
    /// The clients' own; nobody is contacted.
    pub async fn new(session: &Session) -> Self {
        Self {
            client: session.codepipeline().await,
        }
    }

    /// Jobs that wait for a worker, so many at most; none is the usual answer, and comes at once.
    pub async fn poll(
        &self,
        action: &ActionType,
        most: u32,
    ) -> Result<Vec<OfferedJob>, PipelineError> {
        let of_type = ActionTypeId::builder()
            .category(ActionCategory::from(action.category.as_str()))
            .owner(ActionOwner::Custom)
            .provider(&action.provider)
            .version(&action.version)
            .build()
            .map_err(|error| PipelineError::Refused(error.to_string()))?;
        let fleet = action.fleet.as_ref();
        let query = fleet.map(|fleet| HashMap::from([("Fleet".to_owned(), fleet.clone())]));
        let polled = self
            .client
            .poll_for_jobs()
            .action_type_id(of_type)
            .max_batch_size(i32::try_from(most.clamp(1, 100)).unwrap_or(1))
            .set_query_param(query)
            .send()
            .await
            .map_err(|error| PipelineError::of(&error))?;
        Ok(polled.jobs().iter().filter_map(OfferedJob::of).collect())
    }

    /// Takes a job, or asks whether it is still this worker's.
    pub async fn acknowledge(&self, job: &str, nonce: &str) -> Result<JobState, PipelineError> {
        let acknowledged = self.client.acknowledge_job().job_id(job).nonce(nonce);
        let acknowledged = acknowledged
            .send()
            .await
            .map_err(|error| PipelineError::of(&error))?;
        Ok(match acknowledged.status() {
            Some(JobStatus::InProgress) => JobState::InProgress,
            _ => JobState::Other,
        })
    }

    /// What a job is, with fresh credentials.
    pub async fn details(&self, job: &str) -> Result<JobDetails, PipelineError> {
        let details = self.client.get_job_details().job_id(job).send().await;
        let details = details.map_err(|error| PipelineError::of(&error))?;
        let data = details
            .job_details()
            .and_then(aws_sdk_codepipeline::types::JobDetails::data);
        let data = data.ok_or_else(|| PipelineError::Refused("the job has no data".to_owned()))?;
        Ok(JobDetails::of(job, data))
    }

    /// Says that a job is done.
    pub async fn succeed(&self, job: &str, success: &Success) -> Result<(), PipelineError> {
        let details = ExecutionDetails::builder()
            .summary(success.summary())
            .external_execution_id(&success.build)
            .percent_complete(100)
            .build();
        let variables = Some(success.variables()).filter(|variables| !variables.is_empty());
        self.client
            .put_job_success_result()
            .job_id(job)
            .execution_details(details)
            .set_output_variables(variables)
            .send()
            .await
            .map(drop)
            .map_err(|error| PipelineError::of(&error))
    }

    /// Says that a job has failed.
    pub async fn fail(&self, job: &str, failure: &Failure) -> Result<(), PipelineError> {
        let details = FailureDetails::builder()
            .r#type(failure.kind.into())
            .message(failure.message())
            .set_external_execution_id(failure.build.clone())
            .build()
            .map_err(|error| PipelineError::Refused(error.to_string()))?;
        self.client
            .put_job_failure_result()
            .job_id(job)
            .failure_details(details)
            .send()
            .await
            .map(drop)
            .map_err(|error| PipelineError::of(&error))
    }
}
