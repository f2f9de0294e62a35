//! Caches in a bucket: `<prefix>/<namespace or project>/<version>/<key>`.
//!
//! An object is put and taken whole, so that nobody sees half of one. One with a key is put only where there is
//! none; one without replaces that before it.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::Object;
use executor::protocol::{CacheAnswer, CacheMeta, CacheQuery};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use super::Kept;
use crate::credentials::describe;

/// The name of the one cache of a project. No key is written like it.
const UNKEYED: &str = "@unkeyed";

/// How long a whole archive may be on its way to the bucket.
const UPLOAD_LIMIT: Duration = Duration::from_mins(30);

/// Most objects that are looked at to find the newest whose key begins with a fallback key.
const MOST_LISTED: usize = 10_000;

/// A cache in a bucket that was not reached.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// S3 refused, or was out of reach.
    #[error("{0}")]
    S3(String),
    /// The archive could not be read or written here.
    #[error("{0}")]
    Archive(#[from] io::Error),
    /// It is larger than what is wanted.
    #[error("the cache has {bytes} bytes, the limit is {limit}")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// What is wanted.
        limit: u64,
    },
}

impl<E, R> From<SdkError<E, R>> for RemoteError
where
    SdkError<E, R>: Describe,
{
    fn from(error: SdkError<E, R>) -> Self {
        Self::S3(error.describe())
    }
}

/// Says in CodeBuild's words what AWS said.
trait Describe {
    fn describe(&self) -> String;
}

impl<E> Describe for SdkError<E, aws_sdk_s3::config::http::HttpResponse>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    fn describe(&self) -> String {
        describe(self)
    }
}

/// The caches of a project in a bucket.
#[derive(Debug, Clone)]
pub struct BucketCache {
    client: Client,
    bucket: String,
    /// What all keys begin with, `/` at its end.
    prefix: String,
}

impl BucketCache {
    /// The caches below a location, `bucket` or `bucket/prefix` (API, `ProjectCache`). `owner` is the namespace
    /// or the project. Nobody is contacted before something is wanted.
    pub fn new(client: &Client, location: &str, owner: &str) -> Self {
        let timeouts = TimeoutConfig::builder().read_timeout(UPLOAD_LIMIT).build();
        let config = client
            .config()
            .to_builder()
            .timeout_config(timeouts)
            .build();
        let (bucket, prefix) = location.split_once('/').unwrap_or((location, ""));
        let parts = [prefix.trim_matches('/'), &encoded(owner)];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        Self {
            client: Client::from_conf(config),
            bucket: bucket.to_owned(),
            prefix: format!("{}/", parts.join("/")),
        }
    }

    /// Brings the cache that a build wants into a new file at `target`.
    pub async fn fetch(
        &self,
        query: &CacheQuery,
        target: &Path,
    ) -> Result<CacheAnswer, RemoteError> {
        let version = format!("{}{}/", self.prefix, encoded(&query.version));
        let name = query
            .key
            .as_deref()
            .map_or_else(|| UNKEYED.to_owned(), encoded);
        let mut found = self.get(&format!("{version}{name}")).await?;
        let (mut key, mut by) = (query.key.clone(), None);
        for fallback in &query.fallback_keys {
            if found.is_some() || query.key.is_none() {
                break;
            }
            let Some(object) = self
                .newest(&format!("{version}{}", encoded(fallback)))
                .await?
            else {
                continue;
            };
            found = self.get(&object).await?;
            key = object.strip_prefix(&version).map(decoded);
            by = Some(fallback.clone());
        }
        let Some(object) = found else {
            return Ok(CacheAnswer::Miss);
        };
        let meta = meta(&object, key, &query.version);
        download(object, target, query.limit_bytes).await?;
        Ok(CacheAnswer::Hit {
            meta,
            fallback_key: by,
        })
    }

    /// Keeps the archive of a cache. One with a key is never changed.
    pub async fn store(&self, meta: &CacheMeta, archive: &Path) -> Result<Kept, RemoteError> {
        let name = meta
            .key
            .as_deref()
            .map_or_else(|| UNKEYED.to_owned(), encoded);
        let body = ByteStream::from_path(archive).await;
        let body = body.map_err(io::Error::other)?;
        let put = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(format!("{}{}/{name}", self.prefix, encoded(&meta.version)))
            .set_if_none_match(meta.key.as_ref().map(|_| "*".to_owned()))
            .content_type("application/gzip")
            .set_metadata(Some(metadata(meta)))
            .body(body);
        match put.send().await {
            Ok(_) => Ok(Kept::Stored),
            Err(error) if is_there_already(&error) => Ok(Kept::AlreadyThere),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes all caches of the owner (API, `InvalidateProjectCache`).
    pub async fn invalidate(&self) -> Result<(), RemoteError> {
        for object in self.list(&self.prefix).await? {
            let (client, bucket) = (&self.client, &self.bucket);
            if let Some(key) = object.key {
                client
                    .delete_object()
                    .bucket(bucket)
                    .key(key)
                    .send()
                    .await?;
            }
        }
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<Option<GetObjectOutput>, RemoteError> {
        let (client, bucket) = (&self.client, &self.bucket);
        match client.get_object().bucket(bucket).key(key).send().await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.code() == Some("NoSuchKey") => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The key of the object that was put last, of those that begin with `prefix`.
    async fn newest(&self, prefix: &str) -> Result<Option<String>, RemoteError> {
        let objects = self.list(prefix).await?.into_iter();
        let keyed = objects.filter(|object| {
            let key = object.key.as_deref();
            key.is_some_and(|key| !key.ends_with(UNKEYED))
        });
        let newest = keyed.max_by_key(|object| {
            let time = object.last_modified;
            time.map(|time| (time.secs(), time.subsec_nanos()))
        });
        Ok(newest.and_then(|object| object.key))
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Object>, RemoteError> {
        let mut objects = Vec::new();
        let mut pages = self
            .client
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(prefix)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            objects.extend(page?.contents.unwrap_or_default());
            if objects.len() > MOST_LISTED {
                tracing::warn!(
                    "more than {MOST_LISTED} caches begin with {prefix}: the others are not looked at"
                );
                break;
            }
        }
        Ok(objects)
    }
}

/// Whether S3 refused because there is an object of the key, or somebody is just putting one.
fn is_there_already<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    matches!(
        error.code(),
        Some("PreconditionFailed" | "ConditionalRequestConflict")
    )
}

/// What an object says of itself. It is told to people and compared, nothing more: anybody may have put it.
fn meta(object: &GetObjectOutput, key: Option<String>, version: &str) -> CacheMeta {
    let text = |name: &str| object.metadata.as_ref()?.get(name).cloned();
    let number = |name: &str| text(name)?.parse().ok();
    CacheMeta {
        key,
        version: version.to_owned(),
        files: number("files").unwrap_or(0),
        bytes: number("bytes").unwrap_or(0),
        digest: text("digest").unwrap_or_default(),
        created_micros: 0,
    }
}

fn metadata(meta: &CacheMeta) -> HashMap<String, String> {
    HashMap::from([
        ("files".to_owned(), meta.files.to_string()),
        ("bytes".to_owned(), meta.bytes.to_string()),
        ("digest".to_owned(), meta.digest.clone()),
    ])
}

async fn download(object: GetObjectOutput, target: &Path, limit: u64) -> Result<(), RemoteError> {
    let mut options = tokio::fs::OpenOptions::new();
    let mut file: File = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(target)
        .await?;
    let mut body = object.body;
    let mut bytes = 0;
    while let Some(piece) = body.try_next().await.map_err(io::Error::other)? {
        bytes += piece.len() as u64;
        if bytes > limit {
            return Err(RemoteError::TooLarge { bytes, limit });
        }
        file.write_all(&piece).await?;
    }
    Ok(file.flush().await?)
}

/// A text as one part of an object's key. What two texts begin with, their parts begin with too.
fn encoded(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') {
            written.push(byte.into());
        } else {
            // Text can always grow.
            let _ = write!(written, "%{byte:02X}");
        }
    }
    written
}

/// The text of a part.
fn decoded(part: &str) -> String {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| *first == b'%');
        let byte = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_part_whose_beginning_is_kept() {
        for key in ["deps-1", "a/../b", "ä %41", "@unkeyed", "100%"] {
            let part = encoded(key);
            assert!(!part.contains(['/', '@', ' ']), "{part}");
            assert_eq!(decoded(&part), key);
            for end in (0..key.len()).filter(|end| key.is_char_boundary(*end)) {
                assert!(part.starts_with(&encoded(&key[..end])), "{key} {end}");
            }
        }
    }
}
