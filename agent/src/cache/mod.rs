//! The caches of this machine: what a build has kept goes in, directories for the next build come out.
//!
//! ```text
//! <data>/cache/<scope>/entries/<name>/    one cache; its scope is a project or what projects share
//!                              tree/       its files, never changed
//!                              meta.json   key, size, time
//!                              lock        held by builds that use it, and by who removes it
//!                              boot        in which run of the machine it was kept
//!                              synced      there once all of it is on disk
//!                              used        its time of modification is that of the last use
//! <data>/cache/trash/<uuid>/               caches that no build finds any more
//! ```
//!
//! Caches in a bucket ([`BucketCache`]) are objects, put and taken whole.
//!
//! Caches come and go by renames, so that nobody ever sees half of one. A build in its container locks the
//! cache it uses; that and the directory are all there is to agree on between agents.

mod entries;
mod eviction;
mod s3;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use executor::kept;
use executor::protocol::{channel, is_keyed_entry};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, Flock, FlockArg, RenameFlags, renameat2};
use sha2::{Digest, Sha256};
use uuid::Uuid;

pub use entries::Entry;
pub use eviction::Trash;
pub use s3::{BucketCache, RemoteError};

/// File whose time of modification is that of the last use.
const USED: &str = "used";

/// When the kernel has written what was written to a file: twice its own time.
const WRITTEN_BACK: Duration = Duration::from_mins(1);

/// A cache operation that failed.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The system refused something.
    #[error("cannot {operation} {}", path.display())]
    System {
        /// What was tried, such as `create directory`.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A container gave a name that no cache has.
    #[error("`{0}` is not the name of a cache")]
    Name(String),
}

/// Describes an error; made for `map_err`.
fn failed<E: Into<io::Error>>(
    operation: &'static str,
    path: &Path,
) -> impl FnOnce(E) -> CacheError {
    let path = path.to_owned();
    move |source| CacheError::System {
        operation,
        path,
        source: source.into(),
    }
}

/// All caches below a data directory.
#[derive(Debug, Clone)]
pub struct LocalCache {
    root: PathBuf,
    limit_bytes: u64,
}

/// The caches that the builds of a project see, or those of projects that share.
#[derive(Debug, Clone)]
pub struct Scope {
    entries: PathBuf,
}

/// What became of a cache that was to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is kept.
    Stored,
    /// Another build kept one of the same key before; that one stays as it is.
    AlreadyThere,
}

impl LocalCache {
    /// The caches below a data directory; together they may have `limit_bytes`.
    pub fn new(data: &Path, limit_bytes: u64) -> Self {
        Self {
            root: data.join("cache"),
            limit_bytes,
        }
    }

    /// Makes the place for the caches of a project, or finds it. `owner` tells projects apart.
    pub fn scope(&self, owner: &str) -> Result<Scope, CacheError> {
        let digest = Sha256::digest(owner);
        let name = digest[..16]
            .iter()
            .fold(String::new(), |name, byte| format!("{name}{byte:02x}"));
        let entries = self.root.join(name).join("entries");
        create_private(&entries)?;
        Ok(Scope { entries })
    }

    /// Keeps the cache that lies complete at `staged`, a directory of this user's own, under the name
    /// the executor gave it. A cache with a key is never changed; one without replaces that before it.
    pub fn keep(&self, scope: &Scope, name: &str, staged: &Path) -> Result<Kept, CacheError> {
        let is_keyed = is_keyed_entry(name).ok_or_else(|| CacheError::Name(name.to_owned()))?;
        for file in [channel::CACHE_LOCK, USED] {
            let path = staged.join(file);
            let mut options = OpenOptions::new();
            let created = options.write(true).create_new(true).mode(0o600).open(&path);
            created.map_err(failed("create", &path))?;
        }
        kept::note(staged).map_err(failed("describe cache", staged))?;
        let place = scope.entries.join(name);
        match rename(staged, &place, RenameFlags::RENAME_NOREPLACE) {
            Ok(()) => return Ok(Kept::Stored),
            Err(Errno::EEXIST) if is_keyed && kept::is_whole(&place) => {
                return Ok(Kept::AlreadyThere);
            }
            Err(Errno::EEXIST) => {}
            Err(error) => return Err(failed("keep cache", &place)(error)),
        }
        // The one before goes into the trash, where it waits until nobody uses it.
        rename(staged, &place, RenameFlags::RENAME_EXCHANGE)
            .map_err(failed("keep cache", &place))?;
        let trash = self.trash_place()?;
        fs::rename(staged, &trash).map_err(failed("discard cache", staged))?;
        Ok(Kept::Stored)
    }

    /// Makes all caches of a scope unused from now on (API, `InvalidateProjectCache`). Builds that use
    /// one go on.
    pub fn invalidate(&self, scope: &Scope) -> Result<(), CacheError> {
        for entry in entries::of_scope(&scope.entries)? {
            let trash = self.trash_place()?;
            match fs::rename(&entry.path, &trash) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed("discard cache", &entry.path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Notes which caches are on disk by now. The kernel writes by itself what is older than half a minute, so
    /// that this waits for next to nothing.
    pub fn note_synced(&self) -> Result<(), CacheError> {
        for entry in self.entries()? {
            let kept = fs::metadata(entry.path.join(channel::CACHE_META));
            let kept = kept.and_then(|meta| meta.modified()).ok();
            let age = kept.and_then(|kept| kept.elapsed().ok());
            if kept::is_synced(&entry.path) || age.is_none_or(|age| age < WRITTEN_BACK) {
                continue;
            }
            let path = &entry.path;
            let opened = File::open(path).map_err(failed("open", path))?;
            nix::unistd::syncfs(&opened).map_err(failed("write to disk", path))?;
            if kept::is_whole(path) {
                kept::note_synced(path).map_err(failed("describe cache", path))?;
            }
        }
        Ok(())
    }

    /// A new place in the trash.
    fn trash_place(&self) -> Result<PathBuf, CacheError> {
        let trash = self.root.join("trash");
        create_private(&trash)?;
        Ok(trash.join(Uuid::new_v4().to_string()))
    }
}

impl Scope {
    /// The directory that builds see.
    pub fn directory(&self) -> &Path {
        &self.entries
    }

    /// Notes that a cache was used now. One that is gone needs no note.
    pub fn touch(&self, name: &str) -> Result<(), CacheError> {
        is_keyed_entry(name).ok_or_else(|| CacheError::Name(name.to_owned()))?;
        let path = self.entries.join(name).join(USED);
        match File::open(&path).and_then(|file| file.set_modified(SystemTime::now())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("set the time of", &path)(error))
            }
            _ => Ok(()),
        }
    }
}

/// Makes a directory that nobody else can enter. Also where the container's root has to look in: root
/// needs no permission.
fn create_private(path: &Path) -> Result<(), CacheError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(failed("create directory", path))
}

fn rename(from: &Path, to: &Path, flags: RenameFlags) -> nix::Result<()> {
    renameat2(AT_FDCWD, from, AT_FDCWD, to, flags)
}

/// Locks a cache for its removal; `None` if a build uses it or somebody else removes it.
fn lock(directory: &Path) -> Option<Flock<File>> {
    let file = File::open(directory.join(channel::CACHE_LOCK)).ok()?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).ok()
}

#[cfg(test)]
mod tests;
