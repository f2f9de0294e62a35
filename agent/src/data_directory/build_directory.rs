//! The directory of one build.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use executor::protocol::channel;
use executor::removal::remove_tree;
use nix::fcntl::{Flock, FlockArg};

use super::{DirectoryError, create_private};

/// Name of the file, below `/codebuild/readonly` in the container, with the certificates that hosts are trusted by.
pub const CERTIFICATES: &str = "certificates.pem";

/// A build's directory, locked for as long as this value lives: a directory that nobody holds
/// belongs to an agent that died.
#[derive(Debug)]
pub struct BuildDirectory {
    path: PathBuf,
    _lock: Flock<File>,
}

/// How removing a directory went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// Nothing is left.
    Complete,
    /// Files of another user are left, made by a container; only root can remove them.
    NeedsRoot,
}

impl BuildDirectory {
    /// Makes an empty directory and locks it.
    pub(super) fn create(path: PathBuf) -> Result<Self, DirectoryError> {
        create_private(&path)?;
        let held = || {
            DirectoryError::new("lock directory", &path)(io::Error::other(
                "another process holds it",
            ))
        };
        let lock = lock(&path)?.ok_or_else(held)?;
        Ok(Self { path, _lock: lock })
    }

    /// Takes over a directory that nobody holds; `None` if somebody does or there is none.
    pub(super) fn take_over(path: PathBuf) -> Result<Option<Self>, DirectoryError> {
        if !path.is_dir() {
            return Ok(None);
        }
        Ok(lock(&path)?.map(|lock| Self { path, _lock: lock }))
    }

    /// Makes what a build needs in a new directory.
    pub(super) fn populate(&self, executor: &Path) -> Result<(), DirectoryError> {
        for part in [
            "channel",
            "channel/spool",
            "channel/artifacts",
            "channel/reports",
            "channel/cache",
            "readonly",
            "readonly/bin",
            "output",
        ] {
            let part = self.path.join(part);
            fs::create_dir(&part).map_err(DirectoryError::new("create directory", &part))?;
        }
        // The container's root and its run-as users look into these.
        for part in [self.readonly(), self.readonly().join("bin"), self.output()] {
            fs::set_permissions(&part, Permissions::from_mode(0o755))
                .map_err(DirectoryError::new("set permissions of", &part))?;
        }
        let program = self.readonly().join("bin/executor");
        fs::hard_link(executor, &program)
            .or_else(|_| fs::copy(executor, &program).map(drop))
            .map_err(DirectoryError::new("create", &program))?;
        for name in channel::TOOLS {
            let link = self.readonly().join("bin").join(name);
            symlink("executor", &link).map_err(DirectoryError::new("create", &link))?;
        }
        Ok(())
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// When anything in it was last made, renamed or written to, as far as its first level tells.
    pub fn last_change(&self) -> Option<SystemTime> {
        let entries = fs::read_dir(&self.path).ok()?;
        // The lock is taken anew by everybody who only looks.
        let entries = entries
            .flatten()
            .filter(|entry| entry.file_name() != "lock");
        let times = entries.filter_map(|entry| entry.metadata().ok()?.modified().ok());
        times.max()
    }

    /// What the agent and the executor exchange.
    pub fn channel(&self) -> PathBuf {
        Self::channel_in(&self.path)
    }

    /// The same for a build's directory that another process holds.
    pub(super) fn channel_in(directory: &Path) -> PathBuf {
        directory.join("channel")
    }

    /// The spool, inside the channel.
    pub fn spool(&self) -> PathBuf {
        self.channel().join(channel::SPOOL)
    }

    /// What was asked for.
    pub fn request(&self) -> PathBuf {
        self.path.join("request.json")
    }

    /// What the executor was told to do.
    pub fn order(&self) -> PathBuf {
        self.path.join("order.json")
    }

    /// How the build ended.
    pub fn outcome(&self) -> PathBuf {
        self.path.join("outcome.json")
    }

    /// The log, packed for S3.
    pub fn packed_log(&self) -> PathBuf {
        self.path.join("log.gz")
    }

    /// What the readers of the spool remember.
    pub fn readers(&self) -> PathBuf {
        self.path.join("readers")
    }

    /// What happened in the build so far.
    pub fn chronicle(&self) -> PathBuf {
        self.path.join("chronicle.jsonl")
    }

    /// The collected artifact with this index in the plan, inside the channel.
    pub fn artifact(&self, index: usize) -> PathBuf {
        self.channel()
            .join(channel::ARTIFACTS)
            .join(index.to_string())
    }

    /// The staged report with this index, inside the channel.
    pub fn report(&self, index: usize) -> PathBuf {
        self.channel()
            .join(channel::REPORTS)
            .join(index.to_string())
    }

    /// The cache that the build leaves, inside the channel.
    pub fn cache(&self) -> PathBuf {
        self.channel().join(channel::CACHE)
    }

    /// The container's `/codebuild/readonly`.
    pub fn readonly(&self) -> PathBuf {
        self.path.join("readonly")
    }

    /// The certificates that hosts are trusted by, in the container's `/codebuild/readonly`.
    pub fn certificates(&self) -> PathBuf {
        self.readonly().join(CERTIFICATES)
    }

    /// The container's `/codebuild/output`.
    pub fn output(&self) -> PathBuf {
        self.path.join("output")
    }

    /// What only a build needs that still runs or publishes: the largest part of the directory.
    pub fn workspace(&self) -> Vec<PathBuf> {
        let channel = self.channel();
        vec![
            self.output(),
            self.readonly(),
            channel.join(channel::ARTIFACTS),
            channel.join(channel::REPORTS),
            channel.join(channel::CACHE),
        ]
    }

    /// Removes a part of the directory, as far as this user may.
    pub fn remove_tree(&self, tree: &Path) -> Result<Removal, DirectoryError> {
        remove(tree)
    }

    /// Removes the directory and all that is in it, as far as this user may.
    pub fn remove(&self) -> Result<Removal, DirectoryError> {
        remove(&self.path)
    }
}

fn remove(tree: &Path) -> Result<Removal, DirectoryError> {
    match remove_tree(tree) {
        Ok(()) => Ok(Removal::Complete),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(Removal::NeedsRoot),
        Err(error) => Err(DirectoryError::new("remove directory", tree)(error)),
    }
}

/// Locks a build's directory by a file in it. `None` if another process holds the lock.
fn lock(directory: &Path) -> Result<Option<Flock<File>>, DirectoryError> {
    let path = directory.join("lock");
    let file = File::create(&path).map_err(DirectoryError::new("create", &path))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, nix::Error::EWOULDBLOCK)) => Ok(None),
        Err((_, error)) => Err(DirectoryError::new("lock", &path)(error.into())),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::data_directory::DataDirectory;

    #[test]
    fn a_directory_is_taken_over_only_when_nobody_holds_it() {
        let root = tempfile::tempdir().unwrap();
        let data = DataDirectory::open(root.path()).unwrap();
        let build = Uuid::new_v4();
        let held = data.create_build(build).unwrap();
        assert!(data.take_over_build(build).unwrap().is_none());
        drop(held);
        let taken = data.take_over_build(build).unwrap().unwrap();
        assert_eq!(taken.remove().unwrap(), Removal::Complete);
        assert!(data.builds().unwrap().is_empty());
    }

    #[test]
    fn a_directory_that_cannot_be_made_whole_is_not_left_behind() {
        let root = tempfile::tempdir().unwrap();
        let data = DataDirectory::open(root.path()).unwrap();
        // In the place of the executor, something that can be neither linked nor copied.
        let executor = data.executor().unwrap();
        fs::remove_file(&executor).unwrap();
        fs::create_dir(&executor).unwrap();
        assert!(data.create_build(Uuid::new_v4()).is_err());
        assert!(data.builds().unwrap().is_empty());
    }

    #[test]
    fn nobody_else_can_look_into_the_data_directory() {
        let parent = tempfile::tempdir().unwrap();
        let data = DataDirectory::open(&parent.path().join("data")).unwrap();
        let mode = fs::metadata(data.root()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
