//! Which caches go when there are too many, and how they go.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use executor::protocol::channel;
use executor::removal::remove_tree;
use nix::fcntl::Flock;

use super::entries::{bytes, names};
use super::{CacheError, Entry, LocalCache, failed, lock};

/// A cache in the trash that nobody uses, locked until it is removed.
#[derive(Debug)]
pub struct Trash {
    /// Its directory.
    pub path: PathBuf,
    /// Size of its files, in bytes.
    pub bytes: u64,
    _lock: Option<Flock<File>>,
}

impl Trash {
    /// Removes it, as far as this user may; tells whether nothing is left.
    pub fn remove(&self) -> Result<bool, CacheError> {
        match remove_tree(&self.path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(false),
            Err(error) => Err(failed("remove cache", &self.path)(error)),
        }
    }
}

impl LocalCache {
    /// The caches that have to go for the others to stay within the limit: those that were not used
    /// for the longest time.
    pub fn excess(&self) -> Result<Vec<Entry>, CacheError> {
        let entries = self.entries()?;
        let mut bytes: u64 = entries.iter().map(|entry| entry.bytes).sum();
        let goes = |entry: &Entry| {
            let is_over = bytes > self.limit_bytes;
            bytes -= entry.bytes;
            is_over
        };
        Ok(entries.into_iter().take_while(goes).collect())
    }

    /// Moves a cache into the trash, unless a build uses it. Tells whether it did.
    pub fn discard(&self, entry: &Entry) -> Result<bool, CacheError> {
        let Some(_lock) = lock(&entry.path) else {
            return Ok(false);
        };
        let place = self.trash_place()?;
        match fs::rename(&entry.path, &place) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed("discard cache", &entry.path)(error)),
        }
    }

    /// Moves the cache into the trash that was not used for the longest time, of those that no build uses;
    /// `None` if there is none.
    pub fn discard_oldest(&self) -> Result<Option<Entry>, CacheError> {
        for entry in self.entries()? {
            if self.discard(&entry)? {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// What is in the trash and used by nobody.
    pub fn trash(&self) -> Result<Vec<Trash>, CacheError> {
        let trash = self.root.join("trash");
        let names = names(&trash)?.into_iter();
        Ok(names
            .filter_map(|name| {
                let path = trash.join(name);
                let lock = lock(&path);
                // What has lost its lock is half removed already.
                let is_free = lock.is_some() || !path.join(channel::CACHE_LOCK).exists();
                is_free.then(|| Trash {
                    bytes: bytes(&path),
                    path,
                    _lock: lock,
                })
            })
            .collect())
    }
}
