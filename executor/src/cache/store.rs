//! The caches of a project on this machine, as the container sees them: one directory each.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use executor::kept;
use executor::protocol::{CacheMeta, channel, entry_name};
use nix::fcntl::{Flock, FlockArg};

use super::Bases;
use crate::untrusted;

/// Longest description of a cache that is read, in bytes.
const META_LIMIT: u64 = 64 * 1024;

/// A directory of caches.
#[derive(Debug)]
pub(crate) struct Store {
    directory: PathBuf,
}

/// How a cache was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hit {
    /// By its key, or as the one cache of its project.
    Exact,
    /// By this beginning of its key.
    Fallback(String),
}

/// A cache that nobody removes as long as this value lives.
#[derive(Debug)]
pub(crate) struct Found {
    /// Its name in the store.
    pub(crate) name: String,
    /// What is known of it.
    pub(crate) meta: CacheMeta,
    /// How it was found.
    pub(crate) hit: Hit,
    directory: File,
    _lock: Flock<File>,
}

impl Found {
    /// The cached files.
    pub(crate) fn tree(&self) -> Bases {
        Bases::of_tree(&through(&self.directory).join(channel::CACHE_TREE))
    }
}

impl Store {
    /// The store in a directory, which may be missing.
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Finds the cache of a key, or else the newest whose key begins with the first of `fallbacks`
    /// that has any.
    pub(crate) fn find(
        &self,
        version: &str,
        key: Option<&str>,
        fallbacks: &[String],
    ) -> Option<Found> {
        self.open(entry_name(version, key), Hit::Exact)
            .filter(|found| found.meta.key.as_deref() == key)
            .or_else(|| {
                key?;
                fallbacks
                    .iter()
                    .find_map(|prefix| self.newest(version, prefix))
            })
    }

    fn newest(&self, version: &str, prefix: &str) -> Option<Found> {
        let entries = fs::read_dir(&self.directory).ok()?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let of_version = names.filter(|name| name.starts_with(version));
        let mut candidates: Vec<(u64, String)> = of_version
            .filter_map(|name| {
                let meta = read_meta(&self.directory.join(&name))?;
                let matches = meta.key?.starts_with(prefix);
                matches.then_some((meta.created_micros, name))
            })
            .collect();
        candidates.sort_by(|one, other| other.cmp(one));
        let hit = Hit::Fallback(prefix.to_owned());
        candidates
            .into_iter()
            .find_map(|(_, name)| self.open(name, hit.clone()))
    }

    /// Opens an entry, unless it is missing or being removed. From here on its name is not looked up
    /// again: another cache may have it by now.
    fn open(&self, name: String, hit: Hit) -> Option<Found> {
        let directory = File::open(self.directory.join(&name)).ok()?;
        let path = through(&directory);
        let lock = File::open(path.join(channel::CACHE_LOCK)).ok()?;
        let lock = Flock::lock(lock, FlockArg::LockSharedNonblock).ok()?;
        let meta = read_meta(&path).filter(|_| kept::is_whole(&path))?;
        Some(Found {
            name,
            meta,
            hit,
            directory,
            _lock: lock,
        })
    }
}

/// A path to an open directory, wherever it was moved since.
pub(crate) fn through(directory: &impl AsRawFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()))
}

fn read_meta(directory: &Path) -> Option<CacheMeta> {
    let bytes = untrusted::read(&directory.join(channel::CACHE_META), META_LIMIT).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(store: &Path, key: Option<&str>, created_micros: u64) {
        let directory = store.join(entry_name("v", key));
        fs::create_dir_all(&directory).unwrap();
        let meta = CacheMeta {
            key: key.map(str::to_owned),
            version: "v".to_owned(),
            files: 0,
            bytes: 0,
            digest: String::new(),
            created_micros,
        };
        fs::write(directory.join(channel::CACHE_LOCK), "").unwrap();
        kept::note(&directory).unwrap();
        let meta = serde_json::to_vec(&meta).unwrap();
        fs::write(directory.join(channel::CACHE_META), meta).unwrap();
    }

    #[test]
    fn a_key_is_found_as_a_whole_and_a_fallback_key_by_its_beginning() {
        let directory = tempfile::tempdir().unwrap();
        for (key, created) in [("deps-1", 5), ("deps-2", 7), ("deps-3", 6), ("other", 9)] {
            add(directory.path(), Some(key), created);
        }
        let store = Store::new(directory.path().to_owned());
        let find = |key: &str, fallbacks: &[&str]| {
            let fallbacks: Vec<String> = fallbacks.iter().map(ToString::to_string).collect();
            let found = store.find("v", Some(key), &fallbacks)?;
            Some((found.meta.key?, found.hit))
        };
        assert_eq!(
            find("deps-1", &["deps-"]),
            Some(("deps-1".to_owned(), Hit::Exact))
        );
        assert_eq!(find("deps", &[]), None);
        let fallback =
            |key: &str, prefix: &str| Some((key.to_owned(), Hit::Fallback(prefix.to_owned())));
        assert_eq!(
            find("deps-9", &["none", "deps-", "o"]),
            fallback("deps-2", "deps-")
        );
        assert_eq!(find("x", &["deps-3"]), fallback("deps-3", "deps-3"));
        assert!(
            store
                .find("w", Some("deps-1"), &["deps".to_owned()])
                .is_none()
        );
        assert!(store.find("v", None, &["deps".to_owned()]).is_none());
        add(directory.path(), None, 1);
        assert!(store.find("v", None, &[]).is_some());
    }

    #[test]
    fn a_cache_that_is_being_removed_is_not_found() {
        let directory = tempfile::tempdir().unwrap();
        add(directory.path(), None, 1);
        let path = directory
            .path()
            .join(entry_name("v", None))
            .join(channel::CACHE_LOCK);
        let held = Flock::lock(File::open(path).unwrap(), FlockArg::LockExclusive).unwrap();
        let store = Store::new(directory.path().to_owned());
        assert!(store.find("v", None, &[]).is_none());
        drop(held);
        let found = store.find("v", None, &[]).unwrap();
        let again = store.find("v", None, &[]).unwrap();
        assert_eq!(found.name, again.name, "any number of builds can use it");
    }
}
