//! Restores a cache that lies on this machine: its directories are mounted, the rest is copied.

use std::path::PathBuf;

use executor::protocol::{CacheMeta, Event};

use super::{Caching, NoCache};
use crate::build::Build;
use crate::cache::{Found, Hit, Store, TransferError, restore};
use crate::supervisor::Fault;

/// Most entries outside of the cached paths that are named in the log.
const MOST_NAMED: usize = 20;

impl Build<'_> {
    /// Finds a cache by its key, or by the first of the fallback keys that some key begins with.
    pub(super) fn find(&mut self, caching: &Caching) -> Result<Option<Found>, NoCache> {
        let store = Store::new(self.places.local_cache.clone());
        let mut found = store.find(&caching.version, caching.key.as_deref(), &[]);
        if found.is_none() && caching.key.is_some() {
            let prefixes = self.fallback_keys(caching)?;
            found = store.find(&caching.version, caching.key.as_deref(), &prefixes);
        }
        let key = self.shown_key(caching.key.as_deref());
        match &found {
            None => self.line(&format!("Local cache miss{key}"))?,
            Some(Found { meta, hit, .. }) => {
                let prefix = match hit {
                    Hit::Exact => None,
                    Hit::Fallback(prefix) => Some(prefix.as_str()),
                };
                self.hit_line("Local cache hit", meta, prefix)?;
            }
        }
        Ok(found)
    }

    /// Tells what was found, and by which beginning of its key if not by the key itself.
    pub(super) fn hit_line(
        &mut self,
        words: &str,
        meta: &CacheMeta,
        prefix: Option<&str>,
    ) -> Result<(), Fault> {
        let CacheMeta { files, bytes, .. } = meta;
        let key = self.shown_key(meta.key.as_deref());
        let by = prefix.map_or_else(String::new, |prefix| {
            format!(" by fallback key {}", self.supervisor.log.mask(prefix))
        });
        self.line(&format!("{words}{key}{by}: {files} file(s), {bytes} bytes"))
    }

    /// Brings what was found to its places.
    pub(super) fn restore(&mut self, caching: &Caching, found: &Found) -> Result<(), NoCache> {
        let work = self.places.output.join("local-cache");
        let tree = found.tree();
        let mounted = restore::mount(
            self.mounter.as_ref(),
            &tree,
            &caching.bases,
            &caching.paths,
            &work,
        );
        let restored =
            restore::copy_rest(
                &mounted,
                &tree,
                &caching.bases,
                &caching.paths,
                || match self.supervisor.look()? {
                    Some(ending) => Err(NoCache::Cut(ending)),
                    None => Ok(()),
                },
            );
        match restored {
            Ok(restore::Copied { items, outside }) => {
                self.outside_lines(&outside)?;
                self.line(&format!(
                    "Restored local cache: {} director{} mounted, {items} file(s) copied",
                    mounted.len(),
                    if mounted.len() == 1 { "y" } else { "ies" },
                ))?;
                let entry = found.name.clone();
                Ok(self.event(&Event::CacheRestored { entry })?)
            }
            Err(TransferError::Cut(no_cache)) => Err(no_cache),
            Err(TransferError::Copy(path, error)) => {
                self.cannot("restore", &path, &error)?;
                Ok(())
            }
        }
    }

    /// Names what a cache holds and may not bring back.
    pub(super) fn outside_lines(&mut self, outside: &[PathBuf]) -> Result<(), Fault> {
        for path in outside.iter().take(MOST_NAMED) {
            let path = self.supervisor.log.mask(&path.to_string_lossy());
            self.line(&format!(
                "Skipping cache entry: path \"{path}\" is not within allowed cache paths"
            ))?;
        }
        Ok(())
    }
}
