//! Copies files into the channel, which is known by its descriptor only.

use std::collections::HashSet;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use executor::protocol::Owner;
use nix::errno::Errno;
use nix::fcntl::{self, OFlag};
use nix::sys::stat::{self, Mode};
use nix::unistd::{self, Gid, Uid};

use crate::channel::Channel;

/// How much is copied before the executor looks around, in bytes.
const STEP_BYTES: u64 = 16 * 1024 * 1024;

/// The directory of one artifact or report.
#[derive(Debug)]
pub(super) struct Destination {
    directory: OwnedFd,
    owner: Owner,
    made: HashSet<PathBuf>,
}

impl Destination {
    /// Makes the directory with this index below `kind`, a directory of the channel.
    pub(super) fn create(
        channel: &Channel,
        kind: &str,
        index: usize,
        owner: Owner,
    ) -> io::Result<Self> {
        make_directory(channel.directory(), Path::new(kind), owner)?;
        let path = Path::new(kind).join(index.to_string());
        make_directory(channel.directory(), &path, owner)?;
        let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        Ok(Self {
            directory: fcntl::openat(channel.directory(), &path, flags, Mode::empty())?,
            owner,
            made: HashSet::new(),
        })
    }

    /// Starts copying the file at `source` to the relative path `target`. An earlier file of the
    /// same path is replaced.
    pub(super) fn open(&mut self, source: &Path, target: &Path) -> io::Result<Copying> {
        let source = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(source)?;
        let metadata = source.metadata()?;
        Ok(Copying {
            source,
            target: self.create_file(target)?,
            metadata,
        })
    }

    /// Makes an empty file at the relative path `target`, in the place of an earlier one.
    pub(super) fn create_file(&mut self, target: &Path) -> io::Result<File> {
        let mut parents: Vec<&Path> = target.ancestors().skip(1).collect();
        parents.pop();
        for parent in parents.into_iter().rev() {
            if !self.made.contains(parent) {
                make_directory(&self.directory, parent, self.owner)?;
                self.made.insert(parent.to_owned());
            }
        }
        let flags = OFlag::O_WRONLY
            | OFlag::O_CREAT
            | OFlag::O_TRUNC
            | OFlag::O_NOFOLLOW
            | OFlag::O_CLOEXEC;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let file = File::from(fcntl::openat(&self.directory, target, flags, mode)?);
        give(&file, self.owner)?;
        Ok(file)
    }
}

/// A file on its way.
#[derive(Debug)]
pub(super) struct Copying {
    source: File,
    target: File,
    metadata: Metadata,
}

impl Copying {
    /// Copies some more: the number of bytes, 0 at the end.
    pub(super) fn step(&mut self) -> io::Result<u64> {
        io::copy(&mut (&self.source).take(STEP_BYTES), &mut self.target)
    }

    /// Gives the copy the mode and the time it shall have.
    pub(super) fn finish(self) -> io::Result<()> {
        self.target.set_modified(self.metadata.modified()?)?;
        // The agent has to read what it packs.
        let mode = self.metadata.permissions().mode() & 0o777 | 0o400;
        stat::fchmod(&self.target, Mode::from_bits_truncate(mode))?;
        Ok(())
    }
}

fn make_directory(parent: &OwnedFd, path: &Path, owner: Owner) -> io::Result<()> {
    match stat::mkdirat(parent, path, Mode::S_IRWXU) {
        Ok(()) => {}
        Err(Errno::EEXIST) => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let made = fcntl::openat(parent, path, flags, Mode::empty())?;
    give(&made, owner)
}

fn give(file: &impl std::os::fd::AsFd, owner: Owner) -> io::Result<()> {
    let (user, group) = (Uid::from_raw(owner.user), Gid::from_raw(owner.group));
    Ok(unistd::fchown(file, Some(user), Some(group))?)
}
