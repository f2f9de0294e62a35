//! The spool's segments as files of a directory that is known by its descriptor only.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use executor::protocol::spool::{Segments, segment_name, segment_number};
use nix::dir::Dir;
use nix::fcntl::{self, OFlag};
use nix::sys::stat::Mode;

/// The spool directory.
#[derive(Debug)]
pub(crate) struct SegmentDirectory(OwnedFd);

impl SegmentDirectory {
    /// Takes the open directory.
    pub(crate) fn new(directory: OwnedFd) -> Self {
        Self(directory)
    }

    /// Number of segments that exist.
    pub(crate) fn count(&self) -> io::Result<u32> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut count = 0;
        for entry in Dir::openat(&self.0, ".", flags, Mode::empty())?.iter() {
            let entry = entry?;
            let name = entry.file_name().to_str();
            count += u32::from(name.is_ok_and(|name| segment_number(name).is_some()));
        }
        Ok(count)
    }
}

impl Segments for SegmentDirectory {
    type File = File;

    fn create(&mut self, number: u32) -> io::Result<File> {
        let name = segment_name(number);
        let flags = OFlag::O_WRONLY
            | OFlag::O_CREAT
            | OFlag::O_EXCL
            | OFlag::O_APPEND
            | OFlag::O_NOFOLLOW
            | OFlag::O_CLOEXEC;
        // The agent may be another user on the host; the channel itself is closed to others.
        let file = fcntl::openat(
            &self.0,
            name.as_str(),
            flags,
            Mode::from_bits_truncate(0o644),
        )?;
        Ok(File::from(file))
    }
}
