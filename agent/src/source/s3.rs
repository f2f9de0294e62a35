//! Sources in S3: an object or a folder goes in, a tree of files comes out.
//!
//! Sizes that S3 tells are believed only as far as they end a download early; what really arrives is
//! counted. A line that is cut in the middle of an object is taken up where it was cut.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestIdExt;
use aws_types::request_id::RequestId;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use tokio_util::sync::CancellationToken;

use super::archive::{self, ArchiveError};
use super::{Refusal, SourceError};

/// Objects of a folder that are on their way at a time.
const AT_A_TIME: usize = 8;

/// More objects a folder may not have.
const MOST_OBJECTS: usize = 1_000_000;

/// How often a download that was cut is taken up again.
const RESUMPTIONS: u32 = 5;

/// Wait before the first of them; each further one takes twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// An object or a folder in S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Source {
    /// The bucket.
    pub bucket: String,
    /// Key of a ZIP file, or, with a slash at its end, what the keys of a folder begin with.
    pub key: String,
    /// Version of the object; the newest if nothing is said.
    pub version: Option<String>,
    /// How large the object, and the files that come out of it, may be, in bytes.
    pub limit_bytes: u64,
}

/// What one object is downloaded with.
struct Download<'a> {
    client: &'a Client,
    source: &'a S3Source,
    stop: &'a CancellationToken,
}

/// An object of a folder.
struct Object {
    key: String,
    /// Its path below the folder.
    path: PathBuf,
    /// Its size as the list tells it, in bytes.
    size: u64,
}

/// One try of a download.
enum Arrived {
    /// All of it.
    Whole,
    /// The line was cut; so much is there, of the object with this tag.
    Part(u64, Option<String>),
}

impl S3Source {
    /// Reads a location: `bucket/key.zip`, `bucket/folder/`, or either as an ARN (API, `ProjectSource`).
    pub fn parse(location: &str, version: Option<String>, limit_bytes: u64) -> Option<Self> {
        let location = match location.split_once(":s3:::") {
            Some((partition, place)) if partition.starts_with("arn:") => place,
            _ => location,
        };
        let (bucket, key) = location.split_once('/')?;
        let is_bucket =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let is_valid = bucket.len() >= 3 && bucket.bytes().all(is_bucket) && !key.is_empty();
        is_valid.then(|| Self {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            version,
            limit_bytes,
        })
    }

    /// Fetches the source into an empty directory. `scratch` is a path for the archive, on the same disk
    /// and not in the source.
    pub async fn fetch(
        &self,
        client: &Client,
        scratch: &Path,
        to: &Path,
        stop: &CancellationToken,
    ) -> Result<(), SourceError> {
        let download = Download {
            client,
            source: self,
            stop,
        };
        if self.key.ends_with('/') {
            return download.folder(to).await;
        }
        let fetched = async {
            download
                .object(&self.key, scratch, self.limit_bytes)
                .await?;
            unpack(
                scratch.to_owned(),
                to.to_owned(),
                self.limit_bytes,
                stop.clone(),
            )
            .await
        };
        let fetched = fetched.await;
        match fs::remove_file(scratch) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(cannot(scratch, source)),
            _ => fetched,
        }
    }
}

impl Download<'_> {
    /// Downloads one object into a new file; gives its size.
    async fn object(&self, key: &str, to: &Path, limit_bytes: u64) -> Result<u64, SourceError> {
        let mut file = File::create_new(to).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::IsADirectory => in_the_way(key),
            _ => cannot(to, source),
        })?;
        let (mut done, mut tag) = (0, None);
        let mut wait = FIRST_WAIT;
        for _ in 0..=RESUMPTIONS {
            match self
                .part(key, &mut file, (done, tag.take()), limit_bytes)
                .await?
            {
                Arrived::Whole => {
                    return Ok(file.metadata().map_err(|source| cannot(to, source))?.len());
                }
                Arrived::Part(bytes, of) => (done, tag) = (bytes, of),
            }
            let waited = self
                .stop
                .run_until_cancelled(tokio::time::sleep(wait))
                .await;
            waited.ok_or(SourceError::Stopped)?;
            wait *= 2;
        }
        let place = format!("s3://{}/{key}", self.source.bucket);
        Err(SourceError::Aws(format!(
            "cannot download {place}: the line was cut again and again"
        )))
    }

    /// Downloads what is missing of an object; only of the very object that was begun.
    async fn part(
        &self,
        key: &str,
        file: &mut File,
        (mut done, tag): (u64, Option<String>),
        limit_bytes: u64,
    ) -> Result<Arrived, SourceError> {
        let request = self
            .client
            .get_object()
            .bucket(&self.source.bucket)
            .key(key)
            .set_version_id(
                self.source
                    .version
                    .clone()
                    .filter(|_| key == self.source.key),
            )
            .set_range((done > 0).then(|| format!("bytes={done}-")))
            .set_if_match(tag);
        let answer = self.stop.run_until_cancelled(request.send()).await;
        let answer = answer
            .ok_or(SourceError::Stopped)?
            .map_err(|error| refused(&error))?;
        let claimed = answer
            .content_length()
            .and_then(|length| u64::try_from(length).ok());
        if claimed.is_some_and(|length| done.saturating_add(length) > limit_bytes) {
            return Err(too_large(limit_bytes));
        }
        let total = claimed.map(|length| done.saturating_add(length));
        let tag = answer.e_tag().map(str::to_owned);
        let mut body = answer.body;
        loop {
            let next = self.stop.run_until_cancelled(body.next()).await;
            match next.ok_or(SourceError::Stopped)? {
                None => return Ok(Arrived::Whole),
                // Nothing is missing, and nothing could be asked for.
                Some(Err(_)) if total == Some(done) => return Ok(Arrived::Whole),
                Some(Err(error)) => {
                    tracing::warn!("the download of {key} was cut after {done} bytes: {error}");
                    return Ok(Arrived::Part(done, tag));
                }
                Some(Ok(bytes)) => {
                    done += bytes.len() as u64;
                    if done > limit_bytes {
                        return Err(too_large(limit_bytes));
                    }
                    file.write_all(&bytes)
                        .map_err(|source| cannot(Path::new(key), source))?;
                }
            }
        }
    }

    /// Downloads all objects whose keys begin with that of the folder.
    async fn folder(&self, to: &Path) -> Result<(), SourceError> {
        let objects = self.list().await?;
        if objects.is_empty() {
            return Err(other(format!(
                "there is nothing in s3://{}/{}",
                self.source.bucket, self.source.key
            )));
        }
        let downloads = objects
            .into_iter()
            .map(|object| self.entry(object, to).boxed());
        stream::iter(downloads)
            .buffer_unordered(AT_A_TIME)
            .try_collect::<()>()
            .await
    }

    /// Puts one object of the folder into its place.
    async fn entry(&self, object: Object, to: &Path) -> Result<(), SourceError> {
        let Object { key, path, size } = object;
        let target = to.join(path);
        let is_directory = key.ends_with('/');
        let directory = if is_directory {
            Some(target.as_path())
        } else {
            target.parent()
        };
        fs::create_dir_all(directory.unwrap_or(to)).map_err(|_| in_the_way(&key))?;
        if !is_directory {
            // The list has told the size; an object that has grown since is another one.
            self.object(&key, &target, size).await?;
        }
        Ok(())
    }

    /// The objects of the folder.
    async fn list(&self) -> Result<Vec<Object>, SourceError> {
        let source = self.source;
        let pages = self
            .client
            .list_objects_v2()
            .bucket(&source.bucket)
            .prefix(&source.key)
            .into_paginator()
            .send();
        let mut pages = pages;
        let mut objects = Vec::new();
        let mut bytes: u64 = 0;
        loop {
            let page = self.stop.run_until_cancelled(pages.next()).await;
            let Some(page) = page.ok_or(SourceError::Stopped)? else {
                return Ok(objects);
            };
            for object in page.map_err(|error| refused(&error))?.contents() {
                let key = object.key().unwrap_or_default();
                let Some(name) = key.strip_prefix(&source.key) else {
                    continue;
                };
                let path = archive::inside(name)
                    .ok_or_else(|| other(format!("the key {key:?} is no path in its folder")))?;
                let size = object
                    .size()
                    .and_then(|size| u64::try_from(size).ok())
                    .unwrap_or(0);
                bytes = bytes.saturating_add(size);
                if bytes > source.limit_bytes || objects.len() >= MOST_OBJECTS {
                    return Err(too_large(source.limit_bytes));
                }
                let key = key.to_owned();
                objects.push(Object { key, path, size });
            }
        }
    }
}

async fn unpack(
    archive: PathBuf,
    to: PathBuf,
    limit_bytes: u64,
    stop: CancellationToken,
) -> Result<(), SourceError> {
    let unpacked =
        tokio::task::spawn_blocking(move || archive::unpack(&archive, &to, limit_bytes, &stop));
    let unpacked = unpacked
        .await
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
    unpacked.map_err(|error| match error {
        ArchiveError::Stopped => SourceError::Stopped,
        ArchiveError::File { path, source } => cannot(&path, source),
        error => other(error.to_string()),
    })
}

/// What S3 answered, or why there is no answer.
fn refused<E>(error: &SdkError<E, HttpResponse>) -> SourceError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let SdkError::ServiceError(answer) = error else {
        return SourceError::Aws(crate::credentials::describe(error));
    };
    let headers = answer.raw().headers();
    SourceError::Refused(Refusal::S3 {
        code: answer.err().code().unwrap_or("UnknownError").to_owned(),
        message: answer.err().message().unwrap_or_default().to_owned(),
        status: answer.raw().status().as_u16(),
        request_id: headers.request_id().unwrap_or_default().to_owned(),
        host_id: headers.extended_request_id().unwrap_or_default().to_owned(),
    })
}

fn too_large(limit_bytes: u64) -> SourceError {
    other(format!(
        "the source is larger than {} MiB",
        limit_bytes >> 20
    ))
}

fn in_the_way(key: &str) -> SourceError {
    other(format!(
        "the key {key:?} is in the way of another one, or too long for a path"
    ))
}

fn other(text: String) -> SourceError {
    SourceError::Refused(Refusal::Other(text))
}

fn cannot(path: &Path, source: io::Error) -> SourceError {
    SourceError::Write {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_buckets_and_keys() {
        for (location, expected) in [
            ("bucket/a/b.zip", Some(("bucket", "a/b.zip"))),
            ("bucket/folder/", Some(("bucket", "folder/"))),
            ("arn:aws:s3:::bucket/key", Some(("bucket", "key"))),
            ("bucket", None),
            ("bucket/", None),
            ("b/key", None),
            ("s3://bucket/key", None),
            ("bu cket/key", None),
        ] {
            let parsed = S3Source::parse(location, None, 0);
            let parsed = parsed
                .as_ref()
                .map(|source| (&*source.bucket, &*source.key));
            assert_eq!(parsed, expected, "{location}");
        }
    }
}
