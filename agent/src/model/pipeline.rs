//! Builds that are the work of a job of CodePipeline: sources and artifacts are the pipeline's.

use serde::{Deserialize, Serialize};

use super::{
    ArtifactDestination, ArtifactPackaging, ArtifactSettings, ArtifactsType, BuildRequest,
    InvalidInput, ProjectSource, SecondarySource, SourceLocation, SourceType,
};

/// A job of CodePipeline (API of CodePipeline, `JobData`), without the credentials that come with it: those are asked
/// for when they are needed, and kept nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineJob {
    /// Its identity.
    pub id: String,
    /// What it works on, the primary source first.
    pub inputs: Vec<PipelineArtifact>,
    /// What it is to yield.
    pub outputs: Vec<PipelineArtifact>,
    /// ARN, id or alias of the key that encrypts what it yields; S3's own of the account if there is none.
    pub encryption_key: Option<String>,
}

/// An artifact of a pipeline: one ZIP archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineArtifact {
    /// Its name within the pipeline.
    pub name: String,
    /// The bucket it lies in, or is to lie in.
    pub bucket: String,
    /// Its key there.
    pub key: String,
    /// What its source calls this version, such as a commit.
    pub revision: Option<String>,
}

impl PipelineArtifact {
    /// Its ARN, which is the version of a source (user guide, `CODEBUILD_SOURCE_VERSION`).
    pub fn arn(&self) -> String {
        format!("arn:aws:s3:::{}/{}", self.bucket, self.key)
    }

    /// Its place as settings of an artifact.
    fn settings(&self) -> ArtifactSettings {
        ArtifactSettings {
            location: self.bucket.clone(),
            name: self.key.clone(),
            packaging: ArtifactPackaging::Zip,
            artifact_identifier: Some(self.name.clone()),
            ..ArtifactSettings::of_type(ArtifactsType::Codepipeline)
        }
    }
}

impl BuildRequest {
    /// The same request as the work of a pipeline's job. What it works on are the job's inputs and the further
    /// sources of the project; what it yields are the job's outputs and nothing else. Such builds are not tried
    /// again by themselves (API, `autoRetryLimit`): the pipeline has the job once.
    pub fn for_job(mut self, job: PipelineJob) -> Result<Self, InvalidInput> {
        let mut inputs = job.inputs.iter();
        let primary = inputs.next();
        let primary = primary.ok_or_else(|| {
            InvalidInput::new("Invalid input: the job has no input artifact to build")
        })?;
        self.source = SourceLocation::Project(source(None));
        self.source_version = Some(primary.arn());
        let mut secondary: Vec<_> = inputs
            .map(|input| SecondarySource {
                identifier: input.name.clone(),
                version: Some(input.arn()),
                location: SourceLocation::Project(source(Some(&input.name))),
            })
            .collect();
        for other in std::mem::take(&mut self.secondary_sources) {
            if secondary
                .iter()
                .any(|one| one.identifier == other.identifier)
            {
                return Err(InvalidInput::new(format!(
                    "Invalid input: {} is an input artifact and a secondary source of the project",
                    other.identifier
                )));
            }
            secondary.push(other);
        }
        self.secondary_sources = secondary;
        self.artifacts = artifacts(&job.outputs);
        self.auto_retry_limit = 0;
        self.pipeline = Some(job);
        Ok(self)
    }
}

fn source(identifier: Option<&str>) -> ProjectSource {
    ProjectSource {
        source_identifier: identifier.map(str::to_owned),
        ..ProjectSource::of_type(SourceType::Codepipeline)
    }
}

/// One output is the buildspec's primary artifact; of several, each is the secondary artifact of its name (user guide,
/// "CodePipeline integration with CodeBuild and multiple input sources and output artifacts").
fn artifacts(outputs: &[PipelineArtifact]) -> ArtifactDestination {
    let mut settings: Vec<_> = outputs.iter().map(PipelineArtifact::settings).collect();
    match settings.len() {
        0 => ArtifactDestination::None,
        1 => ArtifactDestination::S3 {
            primary: settings.remove(0),
            secondary: Vec::new(),
        },
        _ => ArtifactDestination::S3 {
            primary: ArtifactSettings::of_type(ArtifactsType::NoArtifacts),
            secondary: settings,
        },
    }
}
