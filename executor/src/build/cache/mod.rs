//! Restores the cache before the first phase, and keeps a new one after the last.
//!
//! Trouble with a cache is told in the log and never fails a build (user guide, "Build caching").

mod remote;
mod restore;
mod save;

use std::collections::HashMap;
use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::lchown;
use std::path::Path;

use executor::globs;
use executor::protocol::{CachePlace, CachePlan, Owner, version_hash};
use serde::Serialize;

use super::Build;
use super::evaluate::Unanswered;
use crate::cache::{Bases, CachePath, Found, Hit, Part};
use crate::reason;
use crate::supervisor::Fault;
use crate::untrusted;
use crate::watch::Ending;

/// Longest key, in bytes.
const LONGEST_KEY: usize = 1024;

/// The cache of a build, once it is known.
#[derive(Debug)]
pub(crate) struct Caching {
    paths: Vec<CachePath>,
    bases: Bases,
    version: String,
    key: Option<String>,
    plan: CachePlan,
    /// Digest of the cache that was found by its key, or as the one cache of its project.
    exact: Option<String>,
    /// What is mounted; nobody removes it as long as it is in use.
    found: Option<Found>,
}

/// Why there is no cache.
enum NoCache {
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

    fn fallback_keys(&mut self, caching: &Caching) -> Result<Vec<String>, NoCache> {
        let mut prefixes = Vec::new();
        for text in &caching.plan.fallback_keys {
            prefixes.extend(self.expanded(text)?);
        }
        Ok(prefixes)
    }

    fn shown_key(&self, key: Option<&str>) -> String {
        key.map_or_else(String::new, |key| {
            format!(" for key {}", self.supervisor.log.mask(key))
        })
    }

    fn cannot(&mut self, verb: &str, path: &Path, error: &io::Error) -> Result<(), Fault> {
        let path = self.supervisor.log.mask(&path.to_string_lossy());
        let reason = reason::text(error);
        self.line(&format!("Unable to {verb} cache: {path}: {reason}"))
    }
}

/// Writes a description into the channel.
fn write_json(path: &Path, value: &impl Serialize, owner: Owner) -> io::Result<()> {
    create(path, owner)?.write_all(&serde_json::to_vec(value)?)
}

/// Makes a file in the channel that the agent can read.
fn create(path: &Path, owner: Owner) -> io::Result<File> {
    untrusted::replace(path, 0o600, b"")?;
    lchown(path, Some(owner.user), Some(owner.group))?;
    OpenOptions::new().write(true).open(path)
}
