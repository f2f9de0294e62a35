//! The caches there are.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use executor::protocol::{CacheMeta, channel, is_keyed_entry};

use super::{CacheError, LocalCache, USED, failed};

/// Longest description of a cache that is read, in bytes.
const META_LIMIT: u64 = 64 * 1024;

/// A kept cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its directory.
    pub path: PathBuf,
    /// Size of its files, in bytes; 0 if it cannot be told.
    pub bytes: u64,
    /// When a build used it last.
    pub used: SystemTime,
}

impl LocalCache {
    /// All caches, the one that was not used for the longest time first.
    pub fn entries(&self) -> Result<Vec<Entry>, CacheError> {
        let mut entries = Vec::new();
        for scope in names(&self.root)? {
            let directory = self.root.join(scope).join("entries");
            if directory.is_dir() {
                entries.extend(of_scope(&directory)?);
            }
        }
        entries.sort_by(|one, other| (one.used, &one.path).cmp(&(other.used, &other.path)));
        Ok(entries)
    }
}

/// The caches in a scope's directory.
pub(super) fn of_scope(directory: &Path) -> Result<Vec<Entry>, CacheError> {
    let names = names(directory)?.into_iter();
    let of_caches = names.filter(|name| is_keyed_entry(name).is_some());
    Ok(of_caches
        .map(|name| {
            let path = directory.join(name);
            let used = fs::metadata(path.join(USED)).and_then(|file| file.modified());
            Entry {
                bytes: bytes(&path),
                used: used.unwrap_or(SystemTime::UNIX_EPOCH),
                path,
            }
        })
        .collect())
}

/// Size of the cache in a directory.
pub(super) fn bytes(directory: &Path) -> u64 {
    let path = directory.join(channel::CACHE_META);
    let is_small =
        fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_file() && meta.len() <= META_LIMIT);
    let text = is_small.then(|| fs::read(&path).ok()).flatten();
    let meta = text.and_then(|text| serde_json::from_slice::<CacheMeta>(&text).ok());
    meta.map_or(0, |meta| meta.bytes)
}

/// The names in a directory; none if it does not exist.
pub(super) fn names(directory: &Path) -> Result<Vec<String>, CacheError> {
    match fs::read_dir(directory) {
        Ok(entries) => Ok(entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(failed("read directory", directory)(error)),
    }
}
