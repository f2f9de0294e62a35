//! Keeps a new cache after the last phase: collected, compared with the one that was restored, and
//! laid ready for the agent.

use std::time::SystemTime;

use executor::protocol::{CacheMeta, CachePlace, Event, channel, entry_name};

use super::{Caching, NoCache, create, write_json};
use crate::build::Build;
use crate::cache::{self, Bases, Existing, Hit, Transfer, TransferError};
use crate::supervisor::Fault;

impl Build<'_> {
    /// Keeps what the build leaves at the cached paths, at the end of `POST_BUILD` of a build that
    /// succeeds.
    pub(in crate::build) fn save_cache(&mut self) -> Result<(), Fault> {
        let Some(caching) = self.caching.take() else {
            return Ok(());
        };
        let saved = if caching.plan.saves && self.succeeding {
            self.save(&caching)
        } else {
            Ok(())
        };
        // What is in use must not be removed as long as processes of the build may look at it.
        self.caching = Some(caching);
        match saved {
            // The time limit or the stop is told by what comes next.
            Ok(()) | Err(NoCache::Cut(_)) => Ok(()),
            Err(NoCache::Skipped(reason)) => {
                self.line(&format!("Skip saving cache due to: {reason}"))
            }
            Err(NoCache::Fault(fault)) => Err(fault),
        }
    }

    fn save(&mut self, caching: &Caching) -> Result<(), NoCache> {
        let skipped = |reason: &str| Err(NoCache::Skipped(reason.to_owned()));
        let exact = caching
            .found
            .as_ref()
            .filter(|found| found.hit == Hit::Exact);
        if caching.key.is_some() && exact.is_some() {
            return skipped("a cache of this key exists, and is never changed");
        }
        let mut ended = Ok(None);
        let collected = cache::collect(&caching.paths, &caching.bases, || {
            ended = self.supervisor.look();
            matches!(ended, Ok(None))
        });
        if let Some(ending) = ended? {
            return Err(NoCache::Cut(ending));
        }
        let Some(collection) = collected else {
            return skipped("there are too many files");
        };
        if collection.left_out > 0 {
            let count = collection.left_out;
            self.line(&format!(
                "Leaving {count} socket(s), pipe(s) and device(s) out of the cache"
            ))?;
        }
        if collection.len() == 0 {
            return skipped("there are no files at the cache paths");
        }
        let limit = caching.plan.limit_bytes;
        if collection.bytes > limit {
            let bytes = collection.bytes;
            return skipped(&format!("{bytes} bytes are more than the limit of {limit}"));
        }
        let digest = collection.digest();
        if caching.exact.as_ref() == Some(&digest) {
            return skipped("nothing has changed");
        }
        let meta = CacheMeta {
            key: caching.key.clone(),
            version: caching.version.clone(),
            files: collection.len(),
            bytes: collection.bytes,
            digest,
            created_micros: now_micros(),
        };
        let is_local = caching.plan.place == CachePlace::Local;
        self.line(if is_local {
            "Saving local cache..."
        } else {
            "Uploading S3 cache..."
        })?;
        self.stage_cache(caching, &collection, &meta)
    }

    fn stage_cache(
        &mut self,
        caching: &Caching,
        collection: &cache::Collection,
        meta: &CacheMeta,
    ) -> Result<(), NoCache> {
        let staging = cache::through(self.channel.directory()).join(channel::CACHE);
        let is_local = caching.plan.place == CachePlace::Local;
        let owner = self.plan.owner;
        let look = || match self.supervisor.look()? {
            Some(ending) => Err(NoCache::Cut(ending)),
            None => Ok(()),
        };
        let copied = if is_local {
            let transfer = Transfer {
                collection,
                from: &caching.bases,
                to: &Bases::of_tree(&staging.join(channel::CACHE_TREE)),
                existing: |_| Existing::Stays,
            };
            cache::transfer(&transfer, look)
        } else {
            let path = staging.join(channel::CACHE_ARCHIVE);
            let created = create(&path, owner);
            created
                .map_err(|error| TransferError::Copy(channel::CACHE_ARCHIVE.into(), error))
                .and_then(|archive| cache::pack(collection, &caching.bases, archive, look))
        };
        let written = copied.and_then(|()| {
            write_json(&staging.join(channel::CACHE_META), meta, owner)
                .map_err(|error| TransferError::Copy(channel::CACHE_META.into(), error))
        });
        match written {
            Ok(()) => {}
            Err(TransferError::Cut(no_cache)) => return Err(no_cache),
            Err(TransferError::Copy(path, error)) => {
                return Ok(self.cannot("save", &path, &error)?);
            }
        }
        let key = self.shown_key(meta.key.as_deref());
        let CacheMeta { files, bytes, .. } = *meta;
        let done = if is_local {
            "Saved local cache"
        } else {
            // The agent uploads it, and says so.
            "Archived cache"
        };
        self.line(&format!("{done}{key}: {files} file(s), {bytes} bytes"))?;
        Ok(self.event(&Event::CacheSaved {
            entry: entry_name(&meta.version, meta.key.as_deref()),
            files,
            bytes,
        })?)
    }
}

fn now_micros() -> u64 {
    let age = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    age.map_or(0, |age| u64::try_from(age.as_micros()).unwrap_or(u64::MAX))
}
