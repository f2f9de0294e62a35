//! A build's log as one object in S3: the spool in, `PREFIX/UUID.gz` out.
//!
//! The log is packed on this machine while it is written, one gzip member after the other (a file of
//! several members unpacks to all of them joined, RFC 1952), and uploaded when it is whole. A reader
//! that starts again cuts the file off where the last member ended that its mark knows.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_sdk_s3::error::DisplayErrorContext;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ObjectCannedAcl, ServerSideEncryption};
use executor::protocol::spool::{Body, Position};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::delivery::{Delivered, DeliveryError};
use super::follower::Batch;
use super::spool::{Mark, SpoolReader};
use crate::model::BucketOwnerAccess;

/// A member ends once it stands for so much of the log, in bytes.
const MEMBER_BYTES: usize = 16 * 1024 * 1024;

/// Pause between two tries to upload.
const PAUSE: Duration = Duration::from_secs(5);

/// The object of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogObject {
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub key: String,
    /// How it is encrypted.
    pub encryption: LogEncryption,
    /// What the bucket's owner may do with it.
    pub bucket_owner_access: BucketOwnerAccess,
}

/// How a log object is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogEncryption {
    /// As the bucket says.
    BucketDefault,
    /// By the service's own keys.
    Managed,
    /// By this key.
    Key(String),
}

/// What this reader remembers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct S3Mark {
    /// The first record that is not packed.
    #[serde(flatten)]
    position: Position,
    /// Size of the file whose members end there, in bytes.
    packed_bytes: u64,
    /// Whether the log ends here.
    is_whole: bool,
    /// Whether it is uploaded.
    is_uploaded: bool,
}

impl Mark for S3Mark {
    fn position(&self) -> Position {
        self.position
    }
}

/// Packs and uploads one log.
#[derive(Debug)]
pub struct S3Shipper {
    client: aws_sdk_s3::Client,
    object: LogObject,
    reader: SpoolReader,
    mark: S3Mark,
    packed: PathBuf,
}

impl S3Shipper {
    /// Goes on where the reader's mark says. `packed` is the file on this machine.
    pub fn new(
        client: aws_sdk_s3::Client,
        object: LogObject,
        reader: SpoolReader,
        packed: PathBuf,
    ) -> Result<Self, DeliveryError> {
        let start = S3Mark {
            position: Position::START,
            packed_bytes: 0,
            is_whole: false,
            is_uploaded: false,
        };
        Ok(Self {
            client,
            object,
            mark: reader.mark()?.unwrap_or(start),
            reader,
            packed,
        })
    }

    /// The reader whose mark it keeps.
    pub fn reader(&self) -> &SpoolReader {
        &self.reader
    }

    /// Packs the log to its end and uploads it. Trouble with the service is waited out.
    pub async fn ship(mut self) -> Result<Delivered, DeliveryError> {
        if !self.mark.is_whole {
            self.pack().await?;
        }
        while !self.mark.is_uploaded {
            match self.upload().await? {
                Ok(()) => {
                    self.mark.is_uploaded = true;
                    self.reader.keep(&self.mark)?;
                }
                Err(message) => {
                    let LogObject { bucket, key, .. } = &self.object;
                    tracing::warn!(
                        "the log s3://{bucket}/{key} cannot be uploaded, trying again: {message}"
                    );
                    sleep(PAUSE).await;
                }
            }
        }
        Ok(Delivered {
            lost_lines: 0,
            given_up: false,
        })
    }

    async fn pack(&mut self) -> Result<(), DeliveryError> {
        let mut follower = self
            .reader
            .follow(self.mark.position)
            .map_err(DeliveryError::Follow)?;
        let mut packer = Packer::open(&self.packed, self.mark.packed_bytes);
        while let Some(batch) = follower.next().await {
            let batch = batch?;
            let end = batch.end;
            packer = blocking(move || packer?.add(batch)).await;
            if let Ok(full) = &packer
                && (full.member_bytes >= MEMBER_BYTES || end.segment > self.mark.position.segment)
            {
                packer = self.end_member(packer, end, false).await;
            }
        }
        let end = follower.position();
        self.end_member(packer, end, true)
            .await
            .map(drop)
            .map_err(DeliveryError::Pack)
    }

    async fn end_member(
        &mut self,
        packer: io::Result<Packer>,
        end: Position,
        is_whole: bool,
    ) -> io::Result<Packer> {
        let packer = blocking(move || packer?.end_member()).await?;
        self.mark = S3Mark {
            position: end,
            packed_bytes: packer.packed_bytes,
            is_whole,
            is_uploaded: false,
        };
        self.reader.keep(&self.mark).map_err(io::Error::other)?;
        Ok(packer)
    }

    /// Uploads the packed log. The inner error is the service's.
    async fn upload(&self) -> Result<Result<(), String>, DeliveryError> {
        let body = ByteStream::from_path(&self.packed).await;
        let body = body.map_err(|error| DeliveryError::Pack(io::Error::other(error)))?;
        let (encryption, key) = match &self.object.encryption {
            LogEncryption::BucketDefault => (None, None),
            LogEncryption::Managed => (Some(ServerSideEncryption::Aes256), None),
            LogEncryption::Key(key) => (Some(ServerSideEncryption::AwsKms), Some(key.clone())),
        };
        let acl = match self.object.bucket_owner_access {
            BucketOwnerAccess::None => None,
            BucketOwnerAccess::ReadOnly => Some(ObjectCannedAcl::BucketOwnerRead),
            BucketOwnerAccess::Full => Some(ObjectCannedAcl::BucketOwnerFullControl),
        };
        let put = self
            .client
            .put_object()
            .bucket(&self.object.bucket)
            .key(&self.object.key)
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(key)
            .set_acl(acl)
            .content_type("application/gzip")
            .body(body)
            .send()
            .await;
        Ok(put
            .map(drop)
            .map_err(|error| DisplayErrorContext(error).to_string()))
    }
}

/// Runs work for the processor or the disk where it holds nobody up.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(io::Error::other)?
}

/// The file into which a log is packed.
struct Packer {
    member: Option<GzEncoder<File>>,
    /// What the present member stands for, in bytes.
    member_bytes: usize,
    /// Size of all members before.
    packed_bytes: u64,
    path: PathBuf,
}

impl Packer {
    /// Opens the file and cuts it off after the members that are known.
    fn open(path: &Path, packed_bytes: u64) -> io::Result<Self> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        file.set_len(packed_bytes)?;
        Ok(Self {
            member: None,
            member_bytes: 0,
            packed_bytes,
            path: path.to_owned(),
        })
    }

    fn add(mut self, batch: Batch) -> io::Result<Self> {
        for (_, record) in batch.records {
            if let Body::Log(bytes) = record.body {
                let member = match &mut self.member {
                    Some(member) => member,
                    none => {
                        let file = OpenOptions::new().append(true).open(&self.path)?;
                        none.insert(GzEncoder::new(file, Compression::fast()))
                    }
                };
                member.write_all(&bytes)?;
                self.member_bytes += bytes.len();
            }
        }
        Ok(self)
    }

    fn end_member(mut self) -> io::Result<Self> {
        if let Some(member) = self.member.take() {
            self.packed_bytes = member.finish()?.metadata()?.len();
            self.member_bytes = 0;
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;

    use executor::protocol::spool::Record;
    use flate2::read::MultiGzDecoder;

    use super::*;

    fn batch(text: &str) -> Batch {
        let record = Record {
            sequence: 0,
            time_micros: 0,
            body: Body::Log(text.as_bytes().to_vec()),
        };
        Batch {
            records: vec![(Position::START, record)],
            end: Position::START,
        }
    }

    fn unpacked(path: &Path) -> String {
        let mut text = String::new();
        let mut decoder = MultiGzDecoder::new(fs::File::open(path).unwrap());
        decoder.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn what_was_packed_after_the_last_mark_is_packed_again_and_not_doubled() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log.gz");
        let packer = Packer::open(&path, 0).unwrap();
        let packer = packer.add(batch("one\n")).unwrap().end_member().unwrap();
        let known = packer.packed_bytes;
        drop(packer.add(batch("two\n")).unwrap());
        let packer = Packer::open(&path, known).unwrap();
        let packer = packer.add(batch("two\n")).unwrap().end_member().unwrap();
        packer.add(batch("three\n")).unwrap().end_member().unwrap();
        assert_eq!(unpacked(&path), "one\ntwo\nthree\n");
    }
}
