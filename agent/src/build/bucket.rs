//! Artifacts on their way into a bucket: what the project's settings say about their objects.

use std::collections::HashMap;
use std::path::Path;

use aws_sdk_s3::types::ObjectCannedAcl;
use executor::protocol::{ArchiveSums, channel};

use super::pipeline;
use super::publish::Upload;
use crate::artifacts::{Encryption, ObjectAttributes, S3Store, StoreError};
use crate::credentials::Session;
use crate::model::{ArtifactSettings, ArtifactsType, BucketOwnerAccess, BuildRequest, PipelineJob};

/// Stores one artifact that lies in `collected`: its location and, if it is no archive, its files.
pub(super) async fn store(
    upload: &Upload<'_>,
    settings: &ArtifactSettings,
    collected: &Path,
    key: &str,
    archive: Option<&ArchiveSums>,
) -> Result<(String, Vec<String>), StoreError> {
    let client = match &upload.request.pipeline {
        Some(job) if settings.artifacts_type == ArtifactsType::Codepipeline => {
            of_job(job, upload, settings, key).await?.s3().await
        }
        _ => upload.aws.s3().await,
    };
    let store = S3Store::new(&client, attributes(upload.request, settings, archive));
    let files = if archive.is_some() {
        let archive = collected.join(channel::ARCHIVE);
        store.store_file(&archive, key, upload.stop).await?;
        Vec::new()
    } else {
        store.store_directory(collected, key, upload.stop).await?
    };
    Ok((store.location(key), files))
}

/// Clients with the credentials of a pipeline's job.
async fn of_job(
    job: &PipelineJob,
    upload: &Upload<'_>,
    settings: &ArtifactSettings,
    key: &str,
) -> Result<Session, StoreError> {
    let session = pipeline::session(job, upload.agent, upload.stop).await;
    let session = session.ok_or(StoreError::Stopped)?;
    session.map_err(|error| StoreError::Upload {
        bucket: settings.location.clone(),
        key: key.to_owned(),
        reason: error.to_string(),
    })
}

/// Metadata as CodeBuild's own objects have it.
fn attributes(
    request: &BuildRequest,
    settings: &ArtifactSettings,
    archive: Option<&ArchiveSums>,
) -> ObjectAttributes {
    let mut metadata = HashMap::from([("codebuild-buildarn".to_owned(), build_arn(request))]);
    if let Some(sums) = archive {
        metadata.insert("codebuild-content-md5".to_owned(), sums.md5.clone());
        metadata.insert("codebuild-content-sha256".to_owned(), sums.sha256.clone());
    }
    ObjectAttributes {
        bucket: settings.location.clone(),
        metadata,
        encryption: match &request.pipeline {
            _ if settings.encryption_disabled => Encryption::OfBucket,
            // Buckets of pipelines take nothing that is not encrypted with KMS.
            Some(job) => Encryption::Kms(job.encryption_key.clone()),
            None => Encryption::Kms(request.encryption_key.clone()),
        },
        acl: match settings.bucket_owner_access {
            None | Some(BucketOwnerAccess::None) => None,
            Some(BucketOwnerAccess::ReadOnly) => Some(ObjectCannedAcl::BucketOwnerRead),
            Some(BucketOwnerAccess::Full) => Some(ObjectCannedAcl::BucketOwnerFullControl),
        },
    }
}

fn build_arn(request: &BuildRequest) -> String {
    let BuildRequest {
        region,
        account,
        id,
        ..
    } = request;
    format!("arn:aws:codebuild:{region}:{account}:build/{id}")
}
