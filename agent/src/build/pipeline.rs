//! The artifacts of a pipeline's job, opened with the credentials that belong to this job and to nothing else.

use tokio_util::sync::CancellationToken;

use crate::credentials::Session;
use crate::model::{BuildRequest, PipelineArtifact, PipelineJob};
use crate::pipeline::{PipelineError, Pipelines};

/// Clients with fresh credentials of the job. They last about an hour and are asked for whenever something is to be
/// fetched or stored; nobody keeps them.
pub(super) async fn session(
    job: &PipelineJob,
    agent: &Session,
    stop: &CancellationToken,
) -> Option<Result<Session, PipelineError>> {
    let pipelines = Pipelines::new(agent).await;
    let details = stop.run_until_cancelled(pipelines.details(&job.id)).await?;
    let keys = details.and_then(|details| {
        details.credentials.ok_or_else(|| {
            PipelineError::Refused("CodePipeline gave no credentials with the job".to_owned())
        })
    });
    match keys {
        Ok(keys) => Some(Ok(agent.with(keys).await)),
        Err(error) => Some(Err(error)),
    }
}

/// The input artifact that a source of a build is: the primary one, or the one of this name.
pub(super) fn input<'r>(
    request: &'r BuildRequest,
    name: Option<&str>,
) -> Option<(&'r PipelineJob, &'r PipelineArtifact)> {
    let job = request.pipeline.as_ref()?;
    let mut inputs = job.inputs.iter();
    let input = match name {
        None => inputs.next(),
        Some(name) => inputs.skip(1).find(|input| input.name == name),
    };
    Some((job, input?))
}
