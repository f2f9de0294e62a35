//! The channel to the agent, held by descriptors: once it is taken out of the container's sight,
//! no process of the build can reach or forge anything in it.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use executor::protocol::channel;
use nix::fcntl::{self, OFlag};
use nix::mount::{self, MntFlags};
use nix::sys::stat::Mode;

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

    /// Leaves a line that says why the executor gives up.
    pub(crate) fn leave_failure(&self, message: &str) -> io::Result<()> {
        let flags = OFlag::O_WRONLY
            | OFlag::O_CREAT
            | OFlag::O_TRUNC
            | OFlag::O_NOFOLLOW
            | OFlag::O_CLOEXEC;
        let mode = Mode::from_bits_truncate(0o644);
        let file = fcntl::openat(&self.directory, channel::FAILURE, flags, mode)?;
        let line = message.replace('\n', " ");
        File::from(file).write_all(format!("{line}\n").as_bytes())
    }
}
