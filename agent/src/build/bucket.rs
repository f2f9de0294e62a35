//! Artifacts on their way into a bucket: what the project's settings say about their objects.

use std::collections::HashMap;
use std::path::Path;

use aws_sdk_s3::types::ObjectCannedAcl;
use executor::protocol::{ArchiveSums, channel};

use super::publish::Upload;
use crate::artifacts::{Encryption, ObjectAttributes, S3Store, StoreError};
use crate::model::{ArtifactSettings, BucketOwnerAccess, BuildRequest};

/// Stores one artifact that lies in `collected`: its location and, if it is no archive, its files.
pub(super) async fn store(
    upload: &Upload<'_>,
    settings: &ArtifactSettings,
    collected: &Path,
    key: &str,
    archive: Option<&ArchiveSums>,
) -> Result<(String, Vec<String>), StoreError> {
    let client = upload.aws.s3().await;
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
        encryption: if settings.encryption_disabled {
            Encryption::OfBucket
        } else {
            Encryption::Kms(request.encryption_key.clone())
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
