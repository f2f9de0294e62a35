//! The caches of this machine: where the container finds them, and what is kept of a build.

use buildspec_parser::Spanned;
use buildspec_parser::model::{Cache, CacheAction};
use executor::protocol::{CachePlace, CachePlan};

use super::journal::Journal;
use super::{Tools, remove_as_root};
use crate::cache::{CacheError, LocalCache, Scope, Trash};
use crate::data_directory::BuildDirectory;
use crate::model::{BuildRequest, CacheMode, CacheType, Placement, SourceLocation};

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
        CacheType::S3 => nowhere("caches in S3 are not supported yet"),
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
