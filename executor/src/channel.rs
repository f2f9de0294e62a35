//! The channel to the agent, held by descriptors: once it is taken out of the container's sight,
//! no process of the build can reach or forge anything in it.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use executor::protocol::{Pause, channel};
use nix::errno::Errno;
use nix::fcntl::{self, OFlag};
use nix::mount::{self, MntFlags};
use nix::sys::stat::Mode;
use nix::unistd::{self, UnlinkatFlags};

/// The open channel.
#[derive(Debug)]
pub(crate) struct Channel {
    directory: OwnedFd,
}

impl Channel {
    /// Opens the channel directory.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Self {
            directory: fcntl::open(path, flags, Mode::empty())?,
        })
    }

    /// Makes the control socket. Every user of the host who can enter the directory can connect:
    /// the agent need not be root, and the directory is closed to others.
    pub(crate) fn listen(path: &Path) -> io::Result<UnixListener> {
        let socket = path.join(channel::SOCKET);
        let listener = UnixListener::bind(&socket)?;
        fs::set_permissions(&socket, Permissions::from_mode(0o666))?;
        Ok(listener)
    }

    /// Takes the channel out of the container's sight.
    pub(crate) fn hide(path: &Path) -> io::Result<()> {
        Ok(mount::umount2(path, MntFlags::MNT_DETACH)?)
    }

    /// The channel's directory.
    pub(crate) fn directory(&self) -> &OwnedFd {
        &self.directory
    }

    /// Opens the spool's directory, which the agent has made.
    pub(crate) fn spool(&self) -> io::Result<OwnedFd> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        Ok(fcntl::openat(
            &self.directory,
            channel::SPOOL,
            flags,
            Mode::empty(),
        )?)
    }

    /// Opens the same channel once more.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            directory: self.directory.try_clone()?,
        })
    }

    /// Tells that the build is paused. Whoever looks finds the whole of it or nothing.
    pub(crate) fn tell_pause(&self, pause: &Pause) -> io::Result<()> {
        const DRAFT: &str = "paused.draft";
        self.write(DRAFT, &serde_json::to_vec(pause)?)?;
        let directory = &self.directory;
        Ok(fcntl::renameat(
            directory,
            DRAFT,
            directory,
            channel::PAUSED,
        )?)
    }

    /// Tells that the build goes on.
    pub(crate) fn tell_end_of_pause(&self) -> io::Result<()> {
        let flags = UnlinkatFlags::NoRemoveDir;
        match unistd::unlinkat(&self.directory, channel::PAUSED, flags) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Leaves a line that says why the executor gives up.
    pub(crate) fn leave_failure(&self, message: &str) -> io::Result<()> {
        let line = message.replace('\n', " ");
        self.write(channel::FAILURE, format!("{line}\n").as_bytes())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let flags = OFlag::O_WRONLY
            | OFlag::O_CREAT
            | OFlag::O_TRUNC
            | OFlag::O_NOFOLLOW
            | OFlag::O_CLOEXEC;
        let mode = Mode::from_bits_truncate(0o644);
        let file = fcntl::openat(&self.directory, name, flags, mode)?;
        File::from(file).write_all(bytes)
    }
}
