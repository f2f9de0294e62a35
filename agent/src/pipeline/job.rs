//! Jobs as CodePipeline tells of them.

use std::collections::HashMap;

use aws_credential_types::Credentials;
use aws_sdk_codepipeline::types::{Artifact, EncryptionKey, Job, JobData};

use crate::model::{PipelineArtifact, PipelineJob};

/// A job that nobody has taken yet.
#[derive(Debug, Clone)]
pub struct OfferedJob {
    /// Its identity.
    pub id: String,
    /// What this worker has to show when it takes the job.
    pub nonce: String,
}

impl OfferedJob {
    /// `None` for one that could not be taken.
    pub(super) fn of(job: &Job) -> Option<Self> {
        Some(Self {
            id: job.id()?.to_owned(),
            nonce: job.nonce()?.to_owned(),
        })
    }
}

/// A job with what goes with it.
#[derive(Debug, Clone)]
pub struct JobDetails {
    /// The job, its artifacts in CodePipeline's order; the error says which of them cannot be used.
    pub job: Result<PipelineJob, String>,
    /// The configuration of the action.
    pub configuration: HashMap<String, String>,
    /// Name of the pipeline.
    pub pipeline: String,
    /// What opens the artifacts, and them only; about an hour.
    pub credentials: Option<Credentials>,
}

impl JobDetails {
    pub(super) fn of(id: &str, data: &JobData) -> Self {
        let configuration = data.action_configuration();
        let configuration = configuration.and_then(|action| action.configuration());
        let pipeline = data.pipeline_context();
        let pipeline = pipeline.and_then(|pipeline| pipeline.pipeline_name());
        let credentials = data.artifact_credentials().map(|keys| {
            let token = Some(keys.session_token().to_owned()).filter(|token| !token.is_empty());
            Credentials::new(
                keys.access_key_id(),
                keys.secret_access_key(),
                token,
                None,
                "job of CodePipeline",
            )
        });
        Self {
            job: job(id, data),
            configuration: configuration.cloned().unwrap_or_default(),
            pipeline: pipeline.unwrap_or("unknown").to_owned(),
            credentials,
        }
    }
}

fn job(id: &str, data: &JobData) -> Result<PipelineJob, String> {
    let all = |artifacts: &[Artifact]| -> Result<Vec<_>, String> {
        artifacts.iter().map(artifact).collect()
    };
    Ok(PipelineJob {
        id: id.to_owned(),
        inputs: all(data.input_artifacts()).map_err(|why| format!("the input artifact {why}"))?,
        outputs: all(data.output_artifacts())
            .map_err(|why| format!("the output artifact {why}"))?,
        encryption_key: data
            .encryption_key()
            .map(EncryptionKey::id)
            .map(str::to_owned),
    })
}

/// Names become parts of paths and variables.
fn artifact(artifact: &Artifact) -> Result<PipelineArtifact, String> {
    let name = artifact.name().unwrap_or_default();
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if name.is_empty() || name.len() > 100 || !name.bytes().all(is_letter) {
        return Err(format!("{name:?} has a name that cannot be"));
    }
    let place = artifact
        .location()
        .and_then(|location| location.s3_location());
    let place = place.ok_or_else(|| format!("{name} does not lie in S3"))?;
    let (bucket, key) = (place.bucket_name(), place.object_key());
    if bucket.is_empty() || key.is_empty() || key.ends_with('/') {
        return Err(format!("{name} does not lie in an object of a bucket"));
    }
    Ok(PipelineArtifact {
        name: name.to_owned(),
        bucket: bucket.to_owned(),
        key: key.to_owned(),
        revision: artifact
            .revision()
            .filter(|revision| !revision.is_empty())
            .map(str::to_owned),
    })
}
