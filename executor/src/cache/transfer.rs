//! Copies a collection from one place to another, with all processors.

use std::fs::{self, DirBuilder, File, FileTimes, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, SystemTime};

use super::collect::{Collection, Item, Kind};
use super::{Bases, Part};

/// Time between two looks around while the threads work.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// What happens to a file that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// It stays, and its cached twin is left.
    Stays,
    /// The cached one takes its place.
    IsReplaced,
}

/// Where a collection is copied.
#[derive(Debug)]
pub(crate) struct Transfer<'a> {
    /// What is copied.
    pub(crate) collection: &'a Collection,
    /// Where it lies.
    pub(crate) from: &'a Bases,
    /// Where it goes.
    pub(crate) to: &'a Bases,
    /// What becomes of files that are there already, in each part.
    pub(crate) existing: fn(Part) -> Existing,
}

/// Why a collection was not copied. Part of it may have been.
#[derive(Debug)]
pub(crate) enum TransferError<C> {
    /// This could not be copied.
    Copy(PathBuf, io::Error),
    /// Somebody wants it to end.
    Cut(C),
}

type Entry<'a> = (&'a (Part, PathBuf), &'a Item);

/// Copies everything. `look` is asked every now and then whether to go on.
///
/// First come the directories, then the files, then the links, so that nothing is ever written through
/// a link that was copied; at last the directories get the modes and times that would have been in the way.
pub(crate) fn transfer<C>(
    transfer: &Transfer<'_>,
    mut look: impl FnMut() -> Result<(), C>,
) -> Result<(), TransferError<C>> {
    let of_kind = |wanted: fn(&Kind) -> bool| {
        let items = transfer.collection.items.iter();
        items.filter(move |(_, item)| wanted(&item.kind))
    };
    let cannot = |((_, path), _): Entry<'_>, error| TransferError::Copy(path.clone(), error);
    let mut directories: Vec<Entry<'_>> = Vec::new();
    for entry in of_kind(|kind| *kind == Kind::Directory) {
        let target = transfer.target(entry);
        if make_directories(&target).map_err(|error| cannot(entry, error))? {
            directories.push(entry);
        }
    }
    let files: Vec<Entry<'_>> = of_kind(|kind| matches!(kind, Kind::File(_))).collect();
    transfer.copy_all(&files, &mut look)?;
    for entry in of_kind(|kind| matches!(kind, Kind::Link(_))) {
        transfer
            .copy_link(entry)
            .map_err(|error| cannot(entry, error))?;
    }
    for entry in directories.into_iter().rev() {
        finish_directory(&transfer.target(entry), entry.1).map_err(|error| cannot(entry, error))?;
    }
    Ok(())
}

impl Transfer<'_> {
    fn target(&self, ((part, path), _): Entry<'_>) -> PathBuf {
        self.to.of(*part).join(path)
    }

    fn copy_all<C>(
        &self,
        files: &[Entry<'_>],
        look: &mut impl FnMut() -> Result<(), C>,
    ) -> Result<(), TransferError<C>> {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let (next, given_up) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (done, failures) = channel();
        let work = |done: Sender<(PathBuf, io::Error)>| {
            while !given_up.load(Ordering::Relaxed)
                && let Some(entry) = files.get(next.fetch_add(1, Ordering::Relaxed))
            {
                if let Err(error) = self.copy_file(*entry) {
                    given_up.store(true, Ordering::Relaxed);
                    // Of several failures the first one is told.
                    drop(done.send((entry.0.1.clone(), error)));
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..threads {
                let done = done.clone();
                scope.spawn(|| work(done));
            }
            drop(done);
            loop {
                match failures.recv_timeout(LOOK_INTERVAL) {
                    Ok((path, error)) => return Err(TransferError::Copy(path, error)),
                    Err(RecvTimeoutError::Disconnected) => return Ok(()),
                    Err(RecvTimeoutError::Timeout) => look().map_err(|cut| {
                        given_up.store(true, Ordering::Relaxed);
                        TransferError::Cut(cut)
                    })?,
                }
            }
        })
    }

    /// Copies a file. One that went away meanwhile, or is none any more, is left.
    fn copy_file(&self, entry: Entry<'_>) -> io::Result<()> {
        let ((part, path), item) = entry;
        let Kind::File(size) = item.kind else {
            return Ok(());
        };
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(self.from.of(*part).join(path));
        let source = match opened {
            Ok(source) if source.metadata()?.is_file() => source,
            Ok(_) => return Ok(()),
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ELOOP)) => {
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let target = self.target(entry);
        let Some(mut copy) = create_file(&target, (self.existing)(*part))? else {
            return Ok(());
        };
        // One that grows meanwhile is cut: it must not become larger than what was counted.
        io::copy(&mut source.take(size), &mut copy)?;
        finish_file(&copy, &target, item)
    }

    fn copy_link(&self, entry: Entry<'_>) -> io::Result<()> {
        let Kind::Link(link) = &entry.1.kind else {
            return Ok(());
        };
        let existing = (self.existing)(entry.0.0);
        make_link(link, &self.target(entry), entry.1, existing)
    }
}

/// An empty file at a place; `None` if something is there that stays.
pub(super) fn create_file(target: &Path, existing: Existing) -> io::Result<Option<File>> {
    let open = || {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(target)
    };
    for _ in 0..2 {
        match open() {
            Ok(file) => return Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(target.parent().unwrap_or(target))?;
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if !makes_room(target, existing)? {
                    return Ok(None);
                }
            }
            // A file of the source where the cache has a directory.
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    open().map(Some)
}

/// Removes what is at a place, if it may; tells whether it did. Directories always stay.
fn makes_room(target: &Path, existing: Existing) -> io::Result<bool> {
    if existing == Existing::Stays || target.is_dir() {
        return Ok(false);
    }
    fs::remove_file(target)?;
    Ok(true)
}

/// Makes a link, unless something is there that stays.
pub(super) fn make_link(
    link: &Path,
    target: &Path,
    item: &Item,
    existing: Existing,
) -> io::Result<()> {
    if fs::symlink_metadata(target).is_ok() && !makes_room(target, existing)? {
        return Ok(());
    }
    if let Some(directory) = target.parent() {
        fs::create_dir_all(directory)?;
    }
    symlink(link, target)?;
    give(target, item)
}

/// Gives a file that was written its owner, mode and time.
pub(super) fn finish_file(file: &File, target: &Path, item: &Item) -> io::Result<()> {
    give(target, item)?;
    file.set_permissions(Permissions::from_mode(item.mode))?;
    file.set_times(FileTimes::new().set_modified(time(item.modified)))
}

/// Makes a directory and those it lies in; tells whether it is new.
pub(super) fn make_directories(path: &Path) -> io::Result<bool> {
    if fs::symlink_metadata(path).is_ok() {
        return Ok(false);
    }
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o755).create(path)?;
    Ok(true)
}

/// Gives a directory that was filled its owner, mode and time.
pub(super) fn finish_directory(target: &Path, item: &Item) -> io::Result<()> {
    give(target, item)?;
    fs::set_permissions(target, Permissions::from_mode(item.mode))?;
    File::open(target)?.set_times(FileTimes::new().set_modified(time(item.modified)))
}

/// Who is not root keeps what it makes.
fn give(path: &Path, item: &Item) -> io::Result<()> {
    match lchown(path, Some(item.owner.0), Some(item.owner.1)) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        given => given,
    }
}

fn time((seconds, nanoseconds): (i64, i64)) -> SystemTime {
    let nanoseconds = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0));
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let epoch = SystemTime::UNIX_EPOCH;
    let time = if seconds < 0 {
        epoch.checked_sub(whole)
    } else {
        epoch.checked_add(whole)
    };
    time.and_then(|time| time.checked_add(nanoseconds))
        .unwrap_or(epoch)
}
