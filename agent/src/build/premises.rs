//! What a build has on this machine while somebody looks after it: its directory, its spool, and the
//! readers that carry its log away.

use std::sync::Arc;
use std::time::Duration;

use super::{Tools, kept, session};
use crate::credentials::Session;
use crate::data_directory::BuildDirectory;
use crate::logs::{
    CloudWatchShipper, Delivery, LogEncryption, LogObject, LogStream, Permit, ReaderName,
    S3Shipper, Spool,
};
use crate::model::{BucketOwnerAccess, BuildRequest, LogDelivery};

/// The premises of one build.
#[derive(Debug)]
pub(super) struct Premises {
    /// Its directory, which is held.
    pub(super) directory: BuildDirectory,
    /// What it says.
    pub(super) spool: Arc<Spool>,
    /// Clients of AWS with the build's role, which whoever acts for the build shares as long as this is held.
    pub(super) aws: Session,
    delivery: Delivery,
}

impl Premises {
    /// Those of a new build, whose log goes where it is to go while `permit` holds.
    pub(super) async fn of_new_build(
        request: &BuildRequest,
        tools: &Tools,
        permit: Permit,
    ) -> anyhow::Result<Self> {
        let directory = tools.data.create_build(request.id.uuid)?;
        kept::keep_request(&directory, request)?;
        Self::in_directory(directory, request, tools, permit).await
    }

    /// Those in the directory of a build that was begun.
    pub(super) async fn in_directory(
        directory: BuildDirectory,
        request: &BuildRequest,
        tools: &Tools,
        permit: Permit,
    ) -> anyhow::Result<Self> {
        let (cloud_watch, s3) = (request.logs.cloud_watch(), log_object(request));
        let readers = [
            Some(ReaderName::Journal),
            cloud_watch.as_ref().map(|_| ReaderName::CloudWatch),
            s3.as_ref().map(|_| ReaderName::S3),
        ];
        let readers: Vec<ReaderName> = readers.into_iter().flatten().collect();
        let spool = Spool::open(directory.spool(), directory.readers(), &readers)?;
        let mut delivery = Delivery::new(permit);
        let aws = session(request, tools);
        if let Some(settings) = cloud_watch {
            let client = aws.logs().await;
            let stream = LogStream {
                group: settings.group_of(&request.id),
                name: settings.stream_of(&request.id),
            };
            let reader = spool.reader(ReaderName::CloudWatch);
            delivery.to_cloud_watch(CloudWatchShipper::new(&client, stream, reader)?);
        }
        if let Some(object) = s3 {
            let client = aws.s3().await;
            let (reader, packed) = (spool.reader(ReaderName::S3), directory.packed_log());
            delivery.to_s3(S3Shipper::new(client, object, reader, packed)?);
        }
        Ok(Self {
            directory,
            spool,
            aws,
            delivery,
        })
    }

    /// Waits, but not longer than `limit`, until the log of a build that is over is delivered.
    pub(super) async fn deliver(self, limit: Duration) -> (BuildDirectory, LogDelivery) {
        self.spool.finish();
        let delivery = self.delivery.finish(limit).await;
        (self.directory, delivery)
    }
}

/// The object in S3 to which the log goes, if it goes there. CodeBuild encrypts it unless told not to
/// (API, `S3LogsConfig`), with the key of the project where there is one.
fn log_object(request: &BuildRequest) -> Option<LogObject> {
    let settings = request.logs.s3()?;
    let (bucket, key) = settings.object_of(&request.id)?;
    let encryption = match &request.encryption_key {
        _ if settings.encryption_disabled == Some(true) => LogEncryption::BucketDefault,
        Some(key) => LogEncryption::Key(key.clone()),
        None => LogEncryption::Managed,
    };
    let access = settings.bucket_owner_access;
    Some(LogObject {
        bucket,
        key,
        encryption,
        bucket_owner_access: access.unwrap_or(BucketOwnerAccess::None),
    })
}
