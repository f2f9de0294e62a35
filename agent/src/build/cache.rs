//! Caches: where a build finds them, on this machine or in a bucket, and what is kept of a build.

use std::path::{Path, PathBuf};

use buildspec_parser::Spanned;
use buildspec_parser::model::{Cache, CacheAction};
use executor::protocol::{CacheAnswer, CacheMeta, CachePlace, CachePlan, CacheQuery, channel};
use serde::de::DeserializeOwned;
use tokio::io::AsyncReadExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::journal::Journal;
use super::{Abort, Tools, remove_as_root};
use crate::cache::{BucketCache, CacheError, Kept, LocalCache, Scope, Trash};
use crate::credentials::Session;
use crate::data_directory::BuildDirectory;
use crate::logs::AgentLog;
use crate::model::{BuildRequest, CacheMode, CacheType, Placement, SourceLocation};

/// Longest description of a cache that is read, in bytes.
const DESCRIPTION_LIMIT: u64 = 64 * 1024;

/// What the executor is told of the buildspec's cache.
pub(super) fn plan(cache: &Cache, request: &BuildRequest, limit_bytes: u64) -> CachePlan {
    let texts = |list: &[Spanned<String>]| list.iter().map(|text| text.value.clone()).collect();
    let action = cache.action.as_ref().map(|action| action.value);
    let in_place = |source: &SourceLocation| matches!(source, SourceLocation::Directory { placement, .. } if *placement == Placement::InPlace);
    CachePlan {
        paths: texts(&cache.paths),
        key: cache.key.as_ref().map(|key| key.value.clone()),
        fallback_keys: texts(&cache.fallback_keys),
        restores: action != Some(CacheAction::Save),
        saves: action != Some(CacheAction::Restore),
        place: place(request),
        source_in_place: in_place(&request.source),
        limit_bytes,
    }
}

fn place(request: &BuildRequest) -> CachePlace {
    let nowhere = |reason: &str| CachePlace::Nowhere(reason.to_owned());
    match request.cache.cache_type {
        CacheType::NoCache => nowhere("the cache type of the build is NO_CACHE"),
        CacheType::S3 if request.cache.location.is_none() => {
            nowhere("the cache of type S3 has no location")
        }
        CacheType::S3 => CachePlace::Remote,
        CacheType::Local if request.cache.modes.contains(&CacheMode::LocalCustomCache) => {
            CachePlace::Local
        }
        CacheType::Local => nowhere("the modes of the local cache lack LOCAL_CUSTOM_CACHE"),
    }
}

/// The caches that a build may use: those of its namespace, or else of its project (API,
/// `ProjectCache`).
pub(super) fn scope(request: &BuildRequest, tools: &Tools) -> Result<Option<Scope>, CacheError> {
    if place(request) != CachePlace::Local {
        return Ok(None);
    }
    let owner = match &request.cache.cache_namespace {
        Some(namespace) => format!("namespace {namespace}"),
        None => format!("project {}", request.id.project),
    };
    tools.cache.scope(&owner).map(Some)
}

/// The caches of a build in a bucket, and where it exchanges archives with them.
#[derive(Debug)]
pub(super) struct Bucket {
    caches: BucketCache,
    /// The cache's directory of the channel.
    channel: PathBuf,
}

/// The bucket that a build may use.
pub(super) async fn bucket(
    request: &BuildRequest,
    aws: &Session,
    directory: &BuildDirectory,
) -> Option<Bucket> {
    let location = request.cache.location.as_deref();
    let location = location.filter(|_| place(request) == CachePlace::Remote)?;
    let client = aws.s3().await;
    let owner = match &request.cache.cache_namespace {
        Some(namespace) => namespace.clone(),
        None => request.id.project.to_string(),
    };
    Some(Bucket {
        caches: BucketCache::new(&client, location, &owner),
        channel: directory.cache(),
    })
}

/// Answers the executor, which waits for a cache; not later than `limit`.
pub(super) async fn answer(
    bucket: Option<&Bucket>,
    limit: Instant,
    stop: &CancellationToken,
) -> CacheAnswer {
    let Some(bucket) = bucket else {
        return CacheAnswer::Unavailable("the build has no cache in S3".to_owned());
    };
    let fetched = tokio::time::timeout_at(limit, fetch(bucket));
    match stop.run_until_cancelled(fetched).await {
        Some(Ok(Ok(answer))) => answer,
        Some(Ok(Err(error))) => CacheAnswer::Unavailable(format!("{error:#}")),
        Some(Err(_)) | None => CacheAnswer::Unavailable("the build has to end".to_owned()),
    }
}

async fn fetch(bucket: &Bucket) -> anyhow::Result<CacheAnswer> {
    let query: CacheQuery = read(&bucket.channel.join(channel::CACHE_QUERY)).await?;
    let target = bucket.channel.join(channel::CACHE_DOWNLOAD);
    // What the SDK makes is large.
    Ok(Box::pin(bucket.caches.fetch(&query, &target)).await?)
}

/// Puts the cache that a build has left into the bucket. Trouble is told in the build's log.
pub(super) async fn upload(
    bucket: &Bucket,
    journal: &mut Journal<'_>,
    log: &mut AgentLog,
    stop: &CancellationToken,
) -> Result<(), Abort> {
    if journal.learnt().saved_cache.is_none() {
        return Ok(());
    }
    journal.writes_follow(stop).await?;
    let permit = journal.permit();
    let stored = permit.while_held(store(bucket));
    match stop.run_until_cancelled(stored).await.flatten() {
        Some(Ok(Kept::Stored)) => log.line("Uploaded S3 cache")?,
        Some(Ok(Kept::AlreadyThere)) => log.line(
            "Skip saving cache due to: another build has saved a cache of this key, and it is never changed",
        )?,
        Some(Err(error)) => log.line(&format!("Unable to upload cache: {error:#}"))?,
        None => {}
    }
    Ok(())
}

async fn store(bucket: &Bucket) -> anyhow::Result<Kept> {
    let meta: CacheMeta = read(&bucket.channel.join(channel::CACHE_META)).await?;
    let archive = bucket.channel.join(channel::CACHE_ARCHIVE);
    Ok(Box::pin(bucket.caches.store(&meta, &archive)).await?)
}

/// Reads what the executor wrote about a cache.
async fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let file = tokio::fs::File::open(path).await?;
    let mut text = Vec::new();
    file.take(DESCRIPTION_LIMIT).read_to_end(&mut text).await?;
    Ok(serde_json::from_slice(&text)?)
}

/// Keeps the cache that a build has left, once its container is gone, and makes room. Trouble with a
/// cache never fails a build (user guide, "Build caching"): it is told to the operator.
pub(super) async fn settle(
    scope: &Scope,
    request: &BuildRequest,
    tools: &Tools,
    directory: &BuildDirectory,
    journal: &Journal<'_>,
) {
    let learnt = journal.learnt();
    if learnt.restored_cache.is_none() && learnt.saved_cache.is_none() {
        return;
    }
    let (restored, saved) = (learnt.restored_cache.clone(), learnt.saved_cache.clone());
    let (scope, caches, staged) = (scope.clone(), tools.cache.clone(), directory.cache());
    let settled = tokio::task::spawn_blocking(move || {
        if let Some(name) = restored {
            scope.touch(&name)?;
        }
        match saved {
            Some(name) => {
                caches.keep(&scope, &name, &staged)?;
                discard_excess(&caches)
            }
            None => Ok(Vec::new()),
        }
        .and_then(|trash| caches.note_synced().map(|()| trash))
    });
    let removed = match settled.await {
        Ok(Ok(trash)) => remove(&trash, request, tools).await,
        Ok(Err(error)) => Err(error.into()),
        Err(panic) => Err(panic.into()),
    };
    if let Err(error) = removed {
        tracing::warn!(build.id = %request.id, "trouble with the cache of build {}: {error:#}", request.id);
    }
}

/// Makes room, and gives what can be removed.
fn discard_excess(caches: &LocalCache) -> Result<Vec<Trash>, CacheError> {
    for entry in caches.excess()? {
        caches.discard(&entry)?;
    }
    caches.trash()
}

async fn remove(trash: &[Trash], request: &BuildRequest, tools: &Tools) -> anyhow::Result<()> {
    for trash in trash {
        if !trash.remove()? {
            remove_as_root(request.id.uuid, &request.image, tools, &trash.path).await?;
        }
    }
    Ok(())
}
