//! The pipe into which every command writes.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Stdio;

use nix::errno::Errno;
use nix::fcntl::{self, FcntlArg, OFlag};
use nix::sys::stat::{self, Mode};
use nix::unistd;

use crate::sys;

/// Size asked for the pipe, and the most that is read at once, in bytes.
const SIZE: usize = 1024 * 1024;

/// One pipe for standard output and error of all commands of a build: what a background process
/// writes later arrives in its order, and does not die of a closed pipe.
#[derive(Debug)]
pub(crate) struct OutputPipe {
    read: OwnedFd,
    write: OwnedFd,
    buffer: Vec<u8>,
}

impl OutputPipe {
    /// Opens the pipe.
    pub(crate) fn open() -> io::Result<Self> {
        let (read, write) = unistd::pipe2(OFlag::O_CLOEXEC)?;
        // A smaller pipe is slower and nothing else.
        let _ = fcntl::fcntl(&write, FcntlArg::F_SETPIPE_SZ(SIZE_ARGUMENT));
        // A command that runs as another user may open /dev/stdout, but not read the log there.
        stat::fchmod(&write, Mode::from_bits_truncate(0o622))?;
        fcntl::fcntl(&read, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Self {
            read,
            write,
            buffer: vec![0; SIZE],
        })
    }

    /// The end that a command gets. The command before may have set it to non-blocking, which
    /// stays with the pipe: it is set back.
    pub(crate) fn writer(&self) -> io::Result<Stdio> {
        fcntl::fcntl(&self.write, FcntlArg::F_SETFL(OFlag::empty()))?;
        Ok(Stdio::from(File::from(self.write.try_clone()?)))
    }

    /// What to wait for.
    pub(crate) fn reader(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }

    /// How much is in the pipe.
    pub(crate) fn waiting(&self) -> usize {
        sys::bytes_waiting(self.read.as_fd())
    }

    /// Reads what is there, at most `limit` bytes; nothing if nothing is there.
    pub(crate) fn read(&mut self, limit: usize) -> io::Result<&[u8]> {
        let limit = limit.min(SIZE);
        match unistd::read(&self.read, &mut self.buffer[..limit]) {
            Ok(read) => Ok(&self.buffer[..read]),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(&[]),
            Err(error) => Err(error.into()),
        }
    }
}

/// [`SIZE`] as the call takes it.
const SIZE_ARGUMENT: i32 = 1024 * 1024;
