//! Restores a cache that is out of the container's reach: the agent is asked for it, and brings an archive.

use std::fs::{self, File};

use executor::protocol::{CacheAnswer, CacheMeta, CacheQuery, Event, channel};

use super::{Caching, NoCache, write_json};
use crate::build::Build;
use crate::cache::{self, TransferError, Unpacking};

impl Build<'_> {
    /// Restores the cache, if there is one. Gives its digest if it was found by its key, or as the one cache of
    /// the project.
    pub(super) fn restore_remote(&mut self, caching: &Caching) -> Result<Option<String>, NoCache> {
        self.line("Downloading S3 cache...")?;
        match self.ask_agent(caching)? {
            CacheAnswer::Hit { meta, fallback_key } => {
                self.hit_line("S3 cache hit", &meta, fallback_key.as_deref())?;
                self.line("Unarchiving cache...")?;
                let is_exact = fallback_key.is_none();
                let is_restored = self.unarchive(caching)?;
                Ok((is_exact && is_restored)
                    .then_some(meta)
                    .map(|meta: CacheMeta| meta.digest))
            }
            CacheAnswer::Miss => {
                let key = self.shown_key(caching.key.as_deref());
                self.line(&format!("S3 cache miss{key}"))?;
                Ok(None)
            }
            CacheAnswer::Unavailable(reason) => {
                let reason = self.supervisor.log.mask(&reason);
                self.line(&format!("Unable to download cache: {reason}"))?;
                Ok(None)
            }
        }
    }

    fn ask_agent(&mut self, caching: &Caching) -> Result<CacheAnswer, NoCache> {
        let fallback_keys = if caching.key.is_some() {
            self.fallback_keys(caching)?
        } else {
            Vec::new()
        };
        let query = CacheQuery {
            version: caching.version.clone(),
            key: caching.key.clone(),
            fallback_keys,
            limit_bytes: caching.plan.limit_bytes,
        };
        let directory = cache::through(self.channel.directory()).join(channel::CACHE);
        let path = directory.join(channel::CACHE_QUERY);
        if let Err(error) = write_json(&path, &query, self.plan.owner) {
            return Ok(CacheAnswer::Unavailable(error.to_string()));
        }
        self.event(&Event::CacheWanted)?;
        self.supervisor.cache_answer()?.map_err(NoCache::Cut)
    }

    /// Whether all that may come back came back.
    fn unarchive(&mut self, caching: &Caching) -> Result<bool, NoCache> {
        let directory = cache::through(self.channel.directory()).join(channel::CACHE);
        let path = directory.join(channel::CACHE_DOWNLOAD);
        let unpacking = Unpacking {
            bases: &caching.bases,
            paths: &caching.paths,
            limit_bytes: caching.plan.limit_bytes,
        };
        let opened = File::open(&path)
            .map_err(|error| TransferError::Copy(channel::CACHE_DOWNLOAD.into(), error));
        let unpacked = opened.and_then(|archive| {
            cache::unpack(archive, &unpacking, || match self.supervisor.look()? {
                Some(ending) => Err(NoCache::Cut(ending)),
                None => Ok(()),
            })
        });
        // It takes room that the build may need; with the build's directory it goes in any case.
        drop(fs::remove_file(&path));
        match unpacked {
            Ok(outside) => {
                self.outside_lines(&outside)?;
                Ok(true)
            }
            Err(TransferError::Cut(no_cache)) => Err(no_cache),
            Err(TransferError::Copy(path, error)) => {
                self.cannot("restore", &path, &error)?;
                Ok(false)
            }
        }
    }
}
