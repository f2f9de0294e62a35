//! Mirrors of repositories on this machine, so that a second build fetches only what is new.
//!
//! ```text
//! <data>/sources/locks/<key>         held while a mirror is made, updated, read or removed
//! <data>/sources/mirrors/<key>/      a bare repository; its time of modification is its last use
//! ```
//!
//! Nothing in a build's workspace is part of a mirror: files are copied out of it, never linked. A
//! build asks the host each time, with its own credentials; a mirror saves what travels, never the
//! question whether this build may see it. Whole and shallow histories lie in mirrors of their own,
//! because a shallow fetch would cut a whole history off.

use std::fs::{self, File, FileTimes};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::program::{Git, GitError, size_of_files};

/// How often a lock is tried that another build holds.
const LOCK_INTERVAL: Duration = Duration::from_millis(20);

/// Packs a mirror may have before they are put together.
const PACKS: usize = 24;

/// Name prefixes of what a killed git leaves among the packs.
const DRAFTS: [&str; 2] = ["tmp_", ".tmp-"];

/// All mirrors of a data directory.
#[derive(Debug, Clone)]
pub struct Mirrors {
    root: PathBuf,
}

/// What a mirror is of.
#[derive(Debug, Clone, Copy)]
pub(super) struct MirrorKey<'a> {
    /// Address of the repository.
    pub(super) url: &'a str,
    /// Name of the credential that opens it; builds with different ones share nothing.
    pub(super) credential: &'a str,
    /// Whether its history is cut off.
    pub(super) shallow: bool,
}

/// A mirror, locked for as long as this value lives.
#[derive(Debug)]
pub(super) struct Mirror {
    directory: PathBuf,
    /// Whether it was there before.
    was_there: bool,
    _lock: Flock<File>,
}

/// A mirror that was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evicted {
    /// Where it lay.
    pub directory: PathBuf,
    /// How large it was, in bytes.
    pub size_bytes: u64,
}

impl Mirrors {
    /// The mirrors below a directory, which is made when the first one is.
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// An empty directory for programs that look for a home.
    pub(super) fn home(&self) -> Result<PathBuf, GitError> {
        let home = self.root.join("home");
        create_private(&home)?;
        Ok(home)
    }

    /// Where the keys of SSH hosts are remembered.
    pub(super) fn known_hosts(&self) -> PathBuf {
        self.root.join("known_hosts")
    }

    /// Takes a mirror, as soon as no other build has it, and makes it if it is missing.
    pub(super) async fn take(
        &self,
        key: MirrorKey<'_>,
        git: &Git,
        stop: &CancellationToken,
    ) -> Result<Mirror, GitError> {
        let name = key.name();
        let locks = self.root.join("locks");
        create_private(&locks)?;
        create_private(&self.root.join("mirrors"))?;
        let mut ticks = tokio::time::interval(LOCK_INTERVAL);
        let lock = loop {
            if stop.run_until_cancelled(ticks.tick()).await.is_none() {
                return Err(GitError::Stopped);
            }
            if let Some(lock) = try_lock(&locks.join(&name))? {
                break lock;
            }
        };
        let mut mirror = Mirror {
            directory: self.root.join("mirrors").join(name),
            was_there: true,
            _lock: lock,
        };
        mirror.clear_drafts();
        if !mirror.is_whole() {
            mirror.start_over(git).await?;
        }
        mirror.touch()?;
        Ok(mirror)
    }

    /// Removes the mirrors that were used longest ago until all together have at most `limit_bytes`,
    /// and those that nobody used for `idle`. One that a build has at the moment stays. With
    /// `dry_run`, it only tells what it would remove.
    pub fn evict(
        &self,
        limit_bytes: u64,
        idle: Duration,
        dry_run: bool,
    ) -> io::Result<Vec<Evicted>> {
        let mirrors = self.by_use()?;
        let mut total: u64 = mirrors.iter().map(|used| used.mirror.size_bytes).sum();
        let mut evicted = Vec::new();
        for Used { at, mirror } in mirrors {
            let is_idle = at.elapsed().is_ok_and(|age| age > idle);
            if (is_idle || total > limit_bytes) && self.remove(&mirror, dry_run)? {
                total -= mirror.size_bytes;
                evicted.push(mirror);
            }
        }
        Ok(evicted)
    }

    /// Removes the mirror that was used longest ago, of those that no build has at the moment; `None` if there
    /// is none.
    pub fn evict_oldest(&self) -> io::Result<Option<Evicted>> {
        for Used { mirror, .. } in self.by_use()? {
            if self.remove(&mirror, false)? {
                return Ok(Some(mirror));
            }
        }
        Ok(None)
    }

    /// All mirrors, the one that was used longest ago first.
    fn by_use(&self) -> io::Result<Vec<Used>> {
        let entries = match fs::read_dir(self.root.join("mirrors")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut mirrors = Vec::new();
        for entry in entries {
            let entry = entry?;
            mirrors.push(Used {
                at: entry.metadata()?.modified()?,
                mirror: Evicted {
                    size_bytes: size_of_tree(&entry.path()),
                    directory: entry.path(),
                },
            });
        }
        mirrors.sort_by(|one, other| {
            (one.at, &one.mirror.directory).cmp(&(other.at, &other.mirror.directory))
        });
        Ok(mirrors)
    }

    /// Removes a mirror unless a build has it, or with `dry_run` only tells whether it would.
    fn remove(&self, mirror: &Evicted, dry_run: bool) -> io::Result<bool> {
        let Some(name) = mirror.directory.file_stem() else {
            return Ok(false);
        };
        let lock = self.root.join("locks").join(name);
        let Some(_lock) = try_lock(&lock).ok().flatten() else {
            return Ok(false);
        };
        if !dry_run {
            fs::remove_dir_all(&mirror.directory)?;
        }
        Ok(true)
    }
}

/// A mirror and when it was used last.
struct Used {
    at: SystemTime,
    mirror: Evicted,
}

impl MirrorKey<'_> {
    fn name(&self) -> String {
        let mut hash = Sha256::new();
        for part in [self.url, self.credential] {
            hash.update(part);
            hash.update([0]);
        }
        let hash = hash.finalize();
        let number = hash.iter().take(16);
        let number = number.fold(0u128, |number, byte| number << 8 | u128::from(*byte));
        let history = if self.shallow { "shallow" } else { "whole" };
        format!("{number:032x}-{history}")
    }
}

impl Mirror {
    /// The git directory.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where its packs lie.
    pub(super) fn packs(&self) -> PathBuf {
        self.directory.join("objects/pack")
    }

    /// Whether it holds anything from before, which may be damaged.
    pub(super) fn was_there(&self) -> bool {
        self.was_there
    }

    /// Removes what is there and makes an empty mirror.
    pub(super) async fn start_over(&mut self, git: &Git) -> Result<(), GitError> {
        self.was_there = false;
        remove(&self.directory)?;
        // Under another name first: a mirror is there as a whole or not at all.
        let draft = self.directory.with_extension("draft");
        remove(&draft)?;
        let path = draft.to_string_lossy().into_owned();
        let arguments = [
            "init",
            "--quiet",
            "--bare",
            "--template=",
            "--initial-branch=main",
            &path,
        ];
        git.run(&draft, &arguments, None).await?;
        fs::rename(&draft, &self.directory).map_err(GitError::file("create", &self.directory))
    }

    /// Puts packs together when there are many of them, so that reading stays fast.
    pub(super) async fn tidy(&self, git: &Git) -> Result<(), GitError> {
        let entries = fs::read_dir(self.packs()).into_iter().flatten().flatten();
        let is_pack = |name: &Path| {
            name.extension()
                .is_some_and(|extension| extension == "pack")
        };
        let packs = entries
            .filter(|entry| is_pack(Path::new(&entry.file_name())))
            .count();
        if packs <= PACKS {
            return Ok(());
        }
        let arguments = ["repack", "--quiet", "-d", "--geometric=2"];
        git.run(&self.directory, &arguments, None).await
    }

    /// Remembers that it was used.
    fn touch(&self) -> Result<(), GitError> {
        let now = FileTimes::new().set_modified(SystemTime::now());
        File::open(&self.directory)
            .and_then(|directory| directory.set_times(now))
            .map_err(GitError::file("touch", &self.directory))
    }

    fn is_whole(&self) -> bool {
        ["HEAD", "config", "objects/pack", "refs"]
            .iter()
            .all(|part| self.directory.join(part).exists())
    }

    /// A git that was killed leaves half a pack and locks that nobody holds any more.
    fn clear_drafts(&self) {
        let entries = fs::read_dir(self.packs()).into_iter().flatten().flatten();
        let is_draft = |name: &str| DRAFTS.iter().any(|prefix| name.starts_with(prefix));
        let drafts = entries.filter(|entry| is_draft(&entry.file_name().to_string_lossy()));
        let locks = [
            "shallow.lock",
            "packed-refs.lock",
            "HEAD.lock",
            "config.lock",
        ];
        let locks = locks.map(|name| self.directory.join(name));
        for path in drafts.map(|entry| entry.path()).chain(locks) {
            // What cannot be removed makes git say so.
            let _ = fs::remove_file(path);
        }
    }
}

fn try_lock(path: &Path) -> Result<Option<Flock<File>>, GitError> {
    let file = File::create(path).map_err(GitError::file("create", path))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, nix::Error::EWOULDBLOCK)) => Ok(None),
        Err((_, error)) => Err(GitError::file("lock", path)(error.into())),
    }
}

fn create_private(path: &Path) -> Result<(), GitError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(GitError::file("create directory", path))
}

fn remove(directory: &Path) -> Result<(), GitError> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(GitError::file("remove directory", directory)(error))
        }
        _ => Ok(()),
    }
}

/// Nearly all of a mirror are its packs; the rest, references, is counted too.
fn size_of_tree(directory: &Path) -> u64 {
    let entries = walkdir::WalkDir::new(directory).into_iter().flatten();
    entries
        .filter(|entry| entry.file_type().is_dir())
        .map(|entry| size_of_files(entry.path()))
        .sum()
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn git(mirrors: &Mirrors, stop: &CancellationToken) -> Git {
        let deadline = Instant::now() + Duration::from_mins(1);
        let home = mirrors.home().unwrap();
        Git::new(&home, crate::config::process_environment, deadline, stop)
    }

    fn key(url: &str) -> MirrorKey<'_> {
        MirrorKey {
            url,
            credential: "",
            shallow: false,
        }
    }

    #[test]
    fn whoever_sees_other_repositories_has_other_mirrors() {
        let one = key("https://h/r");
        let names = [
            one.name(),
            key("https://h/s").name(),
            MirrorKey {
                credential: "a",
                ..one
            }
            .name(),
            MirrorKey {
                shallow: true,
                ..one
            }
            .name(),
        ];
        let different: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(different.len(), names.len(), "{names:?}");
    }

    #[tokio::test]
    async fn a_mirror_belongs_to_one_build_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let mirrors = Mirrors::new(root.path().join("sources"));
        let stop = CancellationToken::new();
        let git = git(&mirrors, &stop);
        let held = mirrors.take(key("u"), &git, &stop).await.unwrap();
        assert!(!held.was_there());
        let waiting = CancellationToken::new();
        waiting.cancel();
        let second = mirrors.take(key("u"), &git, &waiting).await;
        assert!(matches!(second, Err(GitError::Stopped)));
        drop(held);
        assert!(
            mirrors
                .take(key("u"), &git, &stop)
                .await
                .unwrap()
                .was_there()
        );
    }

    #[tokio::test]
    async fn half_a_mirror_is_made_anew() {
        let root = tempfile::tempdir().unwrap();
        let mirrors = Mirrors::new(root.path().join("sources"));
        let stop = CancellationToken::new();
        let git = git(&mirrors, &stop);
        let mirror = mirrors.take(key("u"), &git, &stop).await.unwrap();
        fs::remove_file(mirror.directory().join("HEAD")).unwrap();
        fs::write(mirror.packs().join("tmp_pack_x"), "half").unwrap();
        drop(mirror);
        let mirror = mirrors.take(key("u"), &git, &stop).await.unwrap();
        assert!(!mirror.was_there());
        assert_eq!(size_of_files(&mirror.packs()), 0);
    }

    #[tokio::test]
    async fn the_mirrors_used_longest_ago_go_first_and_those_in_use_stay() {
        let root = tempfile::tempdir().unwrap();
        let mirrors = Mirrors::new(root.path().join("sources"));
        let stop = CancellationToken::new();
        let git = git(&mirrors, &stop);
        let mut paths = Vec::new();
        for (url, age) in [("old", 300), ("held", 200), ("new", 100)] {
            let mirror = mirrors.take(key(url), &git, &stop).await.unwrap();
            fs::write(mirror.packs().join("x"), vec![0; 1000]).unwrap();
            let time = SystemTime::now() - Duration::from_secs(age);
            let directory = File::open(mirror.directory()).unwrap();
            directory
                .set_times(FileTimes::new().set_modified(time))
                .unwrap();
            paths.push(mirror.directory().to_owned());
        }
        let lock = root
            .path()
            .join("sources/locks")
            .join(paths[1].file_name().unwrap());
        let held = try_lock(&lock).unwrap();
        let day = Duration::from_hours(24);
        assert_eq!(mirrors.evict(u64::MAX, day, false).unwrap(), []);
        let told = mirrors.evict(0, day, true).unwrap();
        assert!(told.iter().all(|evicted| evicted.directory.exists()));
        let evicted = mirrors.evict(2500, day, false).unwrap();
        assert_eq!(evicted.len(), 1);
        assert_eq!(evicted[0].directory, paths[0]);
        assert!(!paths[0].exists());
        mirrors.evict(u64::MAX, Duration::ZERO, false).unwrap();
        assert!(paths[1].exists() && !paths[2].exists());
        assert_eq!(mirrors.evict_oldest().unwrap(), None, "it is in use");
        drop(held);
        let evicted = mirrors.evict_oldest().unwrap();
        assert_eq!(
            evicted.map(|mirror| mirror.directory),
            Some(paths.remove(1))
        );
    }
}
