//! Large files: parts in parallel.

use std::sync::Arc;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::attempts::{ABORT_LIMIT, patiently};
use super::{Shared, Source, StoreError, joined};

/// Size of a part, in bytes; a file that is not larger goes up whole.
pub(super) const PART_BYTES: u64 = 8 * 1024 * 1024;

/// Most parts of an upload (user guide of S3, "multipart upload limits").
const MOST_PARTS: u64 = 10_000;

/// Parts of one file that are uploaded at a time.
const PARTS_AT_A_TIME: usize = 4;

/// An upload that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unfinished {
    key: String,
    id: String,
}

/// A part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    number: i32,
    from: u64,
    size: usize,
}

impl Shared {
    /// Uploads a file in parts, as one object with the checksum of its parts' checksums.
    pub(super) async fn upload_in_parts(
        self: Arc<Self>,
        source: Arc<Source>,
        key: &str,
    ) -> Result<(), StoreError> {
        let upload = self.begin(key).await?;
        let mut uploads = JoinSet::new();
        let mut done = Vec::new();
        for part in parts(source.size_bytes) {
            if uploads.len() == PARTS_AT_A_TIME
                && let Some(ended) = uploads.join_next().await
            {
                done.push(joined(ended)?);
            }
            let (shared, upload) = (Arc::clone(&self), upload.clone());
            let source = Arc::clone(&source);
            uploads.spawn(async move { shared.upload_part(&source, part, &upload).await });
        }
        while let Some(ended) = uploads.join_next().await {
            done.push(joined(ended)?);
        }
        done.sort_by_key(|part| part.part_number);
        self.complete(&upload, done, source.size_bytes).await?;
        self.unfinished().retain(|other| *other != upload);
        Ok(())
    }

    /// Begins an upload. That is not given up halfway: an upload whose answer nobody waits for could not be
    /// aborted either, because nobody would know its name.
    async fn begin(self: &Arc<Self>, key: &str) -> Result<Unfinished, StoreError> {
        let (sender, receiver) = oneshot::channel();
        let (shared, for_key) = (Arc::clone(self), key.to_owned());
        self.beginnings().spawn(async move {
            let begun = shared.create(&for_key).await;
            if let Ok(upload) = &begun {
                shared.unfinished().push(upload.clone());
            }
            // Nobody listens any more when the build is stopped.
            let _ = sender.send(begun);
        });
        let begun = receiver.await;
        begun.unwrap_or_else(|_| Err(self.refused(key, "the upload was given up".to_owned())))
    }

    async fn create(&self, key: &str) -> Result<Unfinished, StoreError> {
        let attributes = &self.attributes;
        let create = || {
            let (encryption, kms_key) = attributes.encryption.members();
            self.client
                .create_multipart_upload()
                .bucket(&attributes.bucket)
                .key(key)
                .set_metadata(Some(attributes.metadata.clone()))
                .set_server_side_encryption(encryption)
                .set_ssekms_key_id(kms_key)
                .set_acl(attributes.acl.clone())
                .checksum_algorithm(ChecksumAlgorithm::Crc32)
                .send()
        };
        let created = patiently(create).await;
        let created = created.map_err(|reason| self.refused(key, reason))?;
        Ok(Unfinished {
            key: key.to_owned(),
            id: created.upload_id.unwrap_or_default(),
        })
    }

    async fn upload_part(
        &self,
        source: &Arc<Source>,
        part: Part,
        upload: &Unfinished,
    ) -> Result<CompletedPart, StoreError> {
        let _memory = self.memory_for(part.size).await;
        let content = source.read(part.from, part.size).await?;
        let put = || {
            self.client
                .upload_part()
                .bucket(&self.attributes.bucket)
                .key(&upload.key)
                .upload_id(&upload.id)
                .part_number(part.number)
                .checksum_algorithm(ChecksumAlgorithm::Crc32)
                .body(ByteStream::from(content.clone()))
                .send()
        };
        let stored = patiently(put).await;
        let stored = stored.map_err(|reason| self.refused(&upload.key, reason))?;
        Ok(CompletedPart::builder()
            .part_number(part.number)
            .set_e_tag(stored.e_tag)
            .set_checksum_crc32(stored.checksum_crc32)
            .build())
    }

    async fn complete(
        &self,
        upload: &Unfinished,
        parts: Vec<CompletedPart>,
        size_bytes: u64,
    ) -> Result<(), StoreError> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts));
        let parts = parts.build();
        let complete = || {
            self.client
                .complete_multipart_upload()
                .bucket(&self.attributes.bucket)
                .key(&upload.key)
                .upload_id(&upload.id)
                .multipart_upload(parts.clone())
                .send()
        };
        match patiently(complete).await {
            Ok(_) => Ok(()),
            // The first answer may have been lost, and the upload be complete since.
            Err(reason)
                if reason.starts_with("NoSuchUpload")
                    && self.is_there(upload, size_bytes).await =>
            {
                Ok(())
            }
            Err(reason) => Err(self.refused(&upload.key, reason)),
        }
    }

    /// Whether the object is there, of this size and from this build.
    async fn is_there(&self, upload: &Unfinished, size_bytes: u64) -> bool {
        let look = || {
            self.client
                .head_object()
                .bucket(&self.attributes.bucket)
                .key(&upload.key)
                .send()
        };
        let Ok(found) = patiently(look).await else {
            return false;
        };
        let size = found
            .content_length()
            .and_then(|size| u64::try_from(size).ok());
        let metadata = found.metadata().cloned().unwrap_or_default();
        let mut expected = self.attributes.metadata.iter();
        size == Some(size_bytes) && expected.all(|(name, value)| metadata.get(name) == Some(value))
    }

    /// Aborts what was begun and not completed, as far as the service lets it: parts would lie there, and cost,
    /// for ever.
    pub(super) async fn abort_unfinished(&self) {
        let mut beginnings = std::mem::take(&mut *self.beginnings());
        let begun = async { while beginnings.join_next().await.is_some() {} };
        if tokio::time::timeout(ABORT_LIMIT, begun).await.is_err() {
            let bucket = &self.attributes.bucket;
            tracing::warn!(
                bucket,
                "S3 does not answer: an upload to {bucket} may have been begun, and its parts be left"
            );
        }
        let unfinished = std::mem::take(&mut *self.unfinished());
        for upload in unfinished {
            let abort = || {
                self.client
                    .abort_multipart_upload()
                    .bucket(&self.attributes.bucket)
                    .key(&upload.key)
                    .upload_id(&upload.id)
                    .send()
            };
            match tokio::time::timeout(ABORT_LIMIT, patiently(abort)).await {
                Ok(Ok(_)) => {}
                Ok(Err(reason)) if reason.starts_with("NoSuchUpload") => {}
                Ok(Err(reason)) => self.left_behind(&upload, &reason),
                Err(_) => self.left_behind(&upload, "no answer"),
            }
        }
    }

    fn left_behind(&self, upload: &Unfinished, reason: &str) {
        let (bucket, Unfinished { key, id }) = (&self.attributes.bucket, upload);
        tracing::warn!(
            bucket,
            key,
            "cannot abort the upload {id} of s3://{bucket}/{key}, its parts are left: {reason}"
        );
    }
}

/// Cuts a file into parts: as small as possible, so that little has to be sent again.
fn parts(size_bytes: u64) -> impl Iterator<Item = Part> {
    let part_bytes = PART_BYTES.max(size_bytes.div_ceil(MOST_PARTS));
    (0..size_bytes.div_ceil(part_bytes)).map(move |index| {
        let from = index * part_bytes;
        Part {
            number: i32::try_from(index + 1).unwrap_or(i32::MAX),
            from,
            size: usize::try_from(part_bytes.min(size_bytes - from)).unwrap_or(usize::MAX),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_the_file_and_are_never_too_many() {
        for size in [PART_BYTES + 1, PART_BYTES * 3, 5 << 40] {
            let mut next = 0;
            let mut count = 0;
            for part in parts(size) {
                count += 1;
                assert_eq!((part.number, part.from), (count, next));
                next += part.size as u64;
            }
            assert_eq!(next, size);
            assert!(count <= 10_000, "{count} parts of {size} bytes");
        }
    }
}
