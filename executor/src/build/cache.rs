//! Restores the cache before the first phase, and keeps a new one after the last.
//!
//! Trouble with a cache is told in the log and never fails a build (user guide, "Build caching").

use std::collections::HashMap;
use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::lchown;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use executor::globs;
use executor::protocol::{
    CacheMeta, CachePlace, CachePlan, Event, Owner, channel, entry_name, version_hash,
};

use serde::Serialize;

use super::Build;
use super::evaluate::Unanswered;
use crate::cache::{
    self, Bases, CachePath, Existing, Found, Hit, Part, Store, Transfer, TransferError, restore,
};
use crate::reason;
use crate::supervisor::Fault;
use crate::untrusted;
use crate::watch::Ending;

/// Most entries outside of the cached paths that are named in the log.
const MOST_NAMED: usize = 20;

/// Longest key, in bytes.
const LONGEST_KEY: usize = 1024;

/// The cache of a build, once it is known.
#[derive(Debug)]
pub(crate) struct Caching {
    pub(super) paths: Vec<CachePath>,
    pub(super) bases: Bases,
    pub(super) version: String,
    pub(super) key: Option<String>,
    pub(super) plan: CachePlan,
    /// Digest of the cache that was found by its key, or as the one cache of its project.
    exact: Option<String>,
    /// What is mounted; nobody removes it as long as it is in use.
    found: Option<Found>,
}

/// Why there is no cache.
pub(super) enum NoCache {
    /// For this reason.
    Skipped(String),
    /// The build had to end.
    Cut(Ending),
    /// The executor cannot go on.
    Fault(Fault),
}

impl From<Unanswered> for NoCache {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Cut(ending) => Self::Cut(ending),
            Unanswered::Fault(fault) => Self::Fault(fault),
        }
    }
}

impl From<Fault> for NoCache {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Build<'_> {
    /// Gives up the capability to mount before anything of the build has run, if it will not be needed.
    pub(super) fn give_up_needless_mounter(&mut self) {
        let place = self.plan.cache.as_ref().map(|plan| &plan.place);
        if place != Some(&CachePlace::Local) {
            self.give_up_mounter();
        }
    }

    /// Gives up the last capability to mount.
    pub(super) fn give_up_mounter(&mut self) {
        if let Some(mounter) = self.mounter.take() {
            mounter.finish();
        }
    }

    /// Restores the cache, if there is one.
    pub(super) fn restore_cache(&mut self) -> Result<Option<Ending>, Fault> {
        let Some(plan) = self.plan.cache.take() else {
            self.line("Cache is not defined in the buildspec")?;
            self.line("Skip cache due to: no paths specified to be cached")?;
            return Ok(None);
        };
        match self.caching(plan) {
            Ok(caching) => {
                self.caching = Some(caching);
                Ok(None)
            }
            Err(NoCache::Skipped(reason)) => {
                self.line(&format!("Skip cache due to: {reason}"))?;
                Ok(None)
            }
            Err(NoCache::Cut(ending)) => Ok(Some(ending)),
            Err(NoCache::Fault(fault)) => Err(fault),
        }
    }

    fn caching(&mut self, plan: CachePlan) -> Result<Caching, NoCache> {
        if let CachePlace::Nowhere(reason) = &plan.place {
            return Err(NoCache::Skipped(reason.clone()));
        }
        let paths = self.cache_paths(&plan)?;
        if paths.is_empty() {
            let reason = "no paths specified to be cached";
            return Err(NoCache::Skipped(reason.to_owned()));
        }
        let texts: Vec<String> = paths.iter().map(|path| path.text.clone()).collect();
        let key = match &plan.key {
            Some(key) => Some(self.cache_key(key)?),
            None => None,
        };
        let mut caching = Caching {
            paths,
            bases: Bases {
                source: self.plan.source_directory.clone().into(),
                root: self.root.clone(),
            },
            version: version_hash(&texts),
            key,
            plan,
            exact: None,
            found: None,
        };
        if !caching.plan.restores {
            return Ok(caching);
        }
        if caching.plan.place == CachePlace::Remote {
            caching.exact = self.restore_remote(&caching)?;
            return Ok(caching);
        }
        caching.found = self.find(&caching)?;
        if let Some(found) = &caching.found {
            caching.exact = (found.hit == Hit::Exact).then(|| found.meta.digest.clone());
            self.restore(&caching, found)?;
        }
        Ok(caching)
    }

    /// The paths that can be cached, their variables replaced.
    fn cache_paths(&mut self, plan: &CachePlan) -> Result<Vec<CachePath>, NoCache> {
        let names = plan.paths.iter().flat_map(|path| globs::variables(path));
        let variables: HashMap<String, String> = self.variables(names)?;
        let source = Path::new(&self.plan.source_directory).to_owned();
        let mut paths = Vec::new();
        for path in &plan.paths {
            let path = globs::expand(path, |name| variables.get(name).map(String::as_str));
            let shown = source.join(&path);
            self.shown_line("Expanded cache path", &shown.to_string_lossy())?;
            match CachePath::new(&path, &source) {
                Ok(found) if found.part == Part::Source && plan.source_in_place => {
                    let reason = "the source is not a copy, what is in it stays";
                    self.skip_path(&path, &reason)?;
                }
                Ok(found) => paths.push(found),
                Err(error) => self.skip_path(&path, &error)?,
            }
        }
        Ok(paths)
    }

    fn skip_path(&mut self, path: &str, reason: &dyn Display) -> Result<(), Fault> {
        let path = self.supervisor.log.mask(path);
        self.line(&format!("Skipping cache path {path}: {reason}"))
    }

    fn cache_key(&mut self, text: &str) -> Result<String, NoCache> {
        match self.expanded(text)? {
            Some(key) if key.len() <= LONGEST_KEY => Ok(key),
            Some(_) => Err(NoCache::Skipped(format!(
                "the cache key is longer than {LONGEST_KEY} bytes"
            ))),
            None => Err(NoCache::Skipped(
                "the cache key cannot be evaluated or is empty".to_owned(),
            )),
        }
    }

    fn find(&mut self, caching: &Caching) -> Result<Option<Found>, NoCache> {
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

    pub(super) fn fallback_keys(&mut self, caching: &Caching) -> Result<Vec<String>, NoCache> {
        let mut prefixes = Vec::new();
        for text in &caching.plan.fallback_keys {
            prefixes.extend(self.expanded(text)?);
        }
        Ok(prefixes)
    }

    pub(super) fn shown_key(&self, key: Option<&str>) -> String {
        key.map_or_else(String::new, |key| {
            format!(" for key {}", self.supervisor.log.mask(key))
        })
    }

    fn restore(&mut self, caching: &Caching, found: &Found) -> Result<(), NoCache> {
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

    pub(super) fn outside_lines(&mut self, outside: &[PathBuf]) -> Result<(), Fault> {
        for path in outside.iter().take(MOST_NAMED) {
            let path = self.supervisor.log.mask(&path.to_string_lossy());
            self.line(&format!(
                "Skipping cache entry: path \"{path}\" is not within allowed cache paths"
            ))?;
        }
        Ok(())
    }

    pub(super) fn cannot(
        &mut self,
        verb: &str,
        path: &Path,
        error: &io::Error,
    ) -> Result<(), Fault> {
        let path = self.supervisor.log.mask(&path.to_string_lossy());
        let reason = reason::text(error);
        self.line(&format!("Unable to {verb} cache: {path}: {reason}"))
    }

    /// Keeps what the build leaves at the cached paths, at the end of `POST_BUILD` of a build that
    /// succeeds.
    pub(super) fn save_cache(&mut self) -> Result<(), Fault> {
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
        self.line(&format!(
            "Saved local cache{key}: {files} file(s), {bytes} bytes"
        ))?;
        Ok(self.event(&Event::CacheSaved {
            entry: entry_name(&meta.version, meta.key.as_deref()),
            files,
            bytes,
        })?)
    }
}

/// Writes a description into the channel.
pub(super) fn write_json(path: &Path, value: &impl Serialize, owner: Owner) -> io::Result<()> {
    create(path, owner)?.write_all(&serde_json::to_vec(value)?)
}

/// Makes a file in the channel that the agent can read.
fn create(path: &Path, owner: Owner) -> io::Result<File> {
    untrusted::replace(path, 0o600, b"")?;
    lchown(path, Some(owner.user), Some(owner.group))?;
    OpenOptions::new().write(true).open(path)
}

fn now_micros() -> u64 {
    let age = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    age.map_or(0, |age| u64::try_from(age.as_micros()).unwrap_or(u64::MAX))
}
