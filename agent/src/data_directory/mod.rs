//! The agent's directory on the host: one directory for each build, and the executor.
//!
//! ```text
//! <data>/lock                     held while a build directory is made or taken over
//! <data>/executor-<hash>           the program put into build containers
//! <data>/logs/<group>/<stream>     the logs of builds, kept after their end
//! <data>/vault.key                 the key that seals secrets in the store
//! <data>/audit.jsonl               who changed what through the API
//! <data>/builds/<uuid>/lock        held by the agent process that looks after the build
//!                      *.json, chronicle.jsonl, readers/
//!                                  what whoever takes the build up has to know
//!                      channel/    spool, control socket, collected artifacts
//!                      readonly/   the container's /codebuild/readonly
//!                      output/     the container's /codebuild/output, with the source
//! <data>/sources/                  mirrors of repositories
//! ```

mod build_directory;
mod executor_program;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::{Uid, User, geteuid};
use uuid::Uuid;

pub use build_directory::{BuildDirectory, CERTIFICATES, Removal};

/// A directory operation that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}", path.display())]
pub struct DirectoryError {
    /// What was tried, such as `create directory`.
    operation: &'static str,
    /// On what.
    path: PathBuf,
    /// What the system says.
    source: io::Error,
}

impl DirectoryError {
    /// Describes an error; made for `map_err`.
    pub(crate) fn new(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self {
            operation,
            path,
            source,
        }
    }
}

/// The data directory.
#[derive(Debug, Clone)]
pub struct DataDirectory {
    root: PathBuf,
}

impl DataDirectory {
    /// Opens the data directory, which is made if needed, readable by its owner only.
    pub fn open(path: &Path) -> Result<Self, DirectoryError> {
        create_private(path)?;
        let root = fs::canonicalize(path).map_err(DirectoryError::new("open directory", path))?;
        // Otherwise the first thing that is missing in it would be told.
        if let Some(owner) = other_owner(&root) {
            let cause = io::Error::other(format!(
                "it belongs to user {owner}: use it as that user or as root"
            ));
            return Err(DirectoryError::new("use directory", path)(cause));
        }
        create_private(&root.join("builds"))?;
        Ok(Self { root })
    }

    /// Its absolute path, without symbolic links.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Makes the directory of a new build and locks it.
    pub fn create_build(&self, build: Uuid) -> Result<BuildDirectory, DirectoryError> {
        let directory = {
            let _lock = self.lock()?;
            BuildDirectory::create(self.build_path(build))?
        };
        let populated = self
            .executor()
            .and_then(|executor| directory.populate(&executor));
        if let Err(error) = populated {
            // Half a directory is of no use; that it cannot be made is what has to be told.
            let _ = directory.remove();
            return Err(error);
        }
        Ok(directory)
    }

    /// Takes over the directory of a build whose agent died. `None` while a living one holds it,
    /// or when the build has no directory.
    pub fn take_over_build(&self, build: Uuid) -> Result<Option<BuildDirectory>, DirectoryError> {
        let _lock = self.lock()?;
        BuildDirectory::take_over(self.build_path(build))
    }

    /// The logs of builds that are kept after their end.
    pub fn kept_logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// The executor's program on this machine.
    pub fn executor(&self) -> Result<PathBuf, DirectoryError> {
        executor_program::install(&self.root)
    }

    /// Removes the executor's programs of other versions that nobody has used for a month.
    pub fn remove_old_executors(&self) -> Result<(), DirectoryError> {
        executor_program::remove_old(&self.root)
    }

    /// Whether a build has a directory.
    pub fn has_build(&self, build: Uuid) -> bool {
        self.build_path(build).exists()
    }

    /// What agent and executor of a build exchange, for a process that does not look after the
    /// build itself.
    pub fn channel(&self, build: Uuid) -> PathBuf {
        BuildDirectory::channel_in(&self.build_path(build))
    }

    /// The directory of a build.
    pub fn build_path(&self, build: Uuid) -> PathBuf {
        self.builds_directory().join(build.to_string())
    }

    /// The directory of all builds' directories.
    pub fn builds_directory(&self) -> PathBuf {
        self.root.join("builds")
    }

    /// Where mirrors of repositories are kept.
    pub fn sources(&self) -> PathBuf {
        self.root.join("sources")
    }

    /// The builds that have a directory.
    pub fn builds(&self) -> Result<Vec<Uuid>, DirectoryError> {
        let builds = self.builds_directory();
        let entries =
            fs::read_dir(&builds).map_err(DirectoryError::new("read directory", &builds))?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names
            .filter_map(|name| Uuid::parse_str(&name).ok())
            .collect())
    }

    /// Without it, a directory could be taken over between its creation and its locking.
    fn lock(&self) -> Result<Flock<File>, DirectoryError> {
        let path = self.root.join("lock");
        let file = File::create(&path).map_err(DirectoryError::new("create", &path))?;
        Flock::lock(file, FlockArg::LockExclusive)
            .map_err(|(_, error)| DirectoryError::new("lock", &path)(error.into()))
    }
}

/// The user to whom a file belongs, where that keeps this user, who is not root, out of it.
pub(crate) fn other_owner(path: &Path) -> Option<String> {
    let owner = Uid::from_raw(fs::metadata(path).ok()?.uid());
    if geteuid().is_root() || owner == geteuid() {
        return None;
    }
    let user = User::from_uid(owner).ok().flatten();
    Some(user.map_or_else(|| owner.to_string(), |user| user.name))
}

fn create_private(path: &Path) -> Result<(), DirectoryError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(DirectoryError::new("create directory", path))
}
