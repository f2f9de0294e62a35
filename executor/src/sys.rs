//! The few calls of the operating system that nobody wraps safely for us.
#![expect(
    unsafe_code,
    reason = "wait4, FIONREAD and the steps between fork and exec have no safe form"
)]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use executor::protocol::Exit;
use nix::errno::Errno;
use nix::sys::signal::SigSet;
use nix::unistd::{self, Gid, Uid};

nix::ioctl_read_bad!(fionread, libc::FIONREAD, libc::c_int);

/// What a look for ended children gave.
#[derive(Debug)]
pub(crate) enum Wait {
    /// This child has ended and is gone.
    Ended(EndedChild),
    /// There are children, and all of them run.
    Running,
    /// There is no child.
    NoChildren,
}

/// A child that has ended.
#[derive(Debug)]
pub(crate) struct EndedChild {
    /// Its process id.
    pub(crate) pid: i32,
    /// How it ended.
    pub(crate) exit: Exit,
    /// Processor time of it and of the children it waited for.
    pub(crate) processor: Duration,
    /// Largest resident size of one of them, in bytes.
    pub(crate) peak_memory_bytes: u64,
}

/// Takes one ended child, without waiting.
pub(crate) fn wait_any() -> Wait {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are valid for writing; zeroes are a valid `rusage` in any case.
    let (pid, usage) = unsafe {
        let pid = libc::wait4(-1, &raw mut status, libc::WNOHANG, usage.as_mut_ptr());
        (pid, usage.assume_init())
    };
    match pid {
        0 => Wait::Running,
        1.. => Wait::Ended(EndedChild {
            pid,
            exit: if libc::WIFSIGNALED(status) {
                Exit::Signal(libc::WTERMSIG(status))
            } else {
                Exit::Status(libc::WEXITSTATUS(status))
            },
            processor: duration(usage.ru_utime) + duration(usage.ru_stime),
            peak_memory_bytes: u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024,
        }),
        _ if Errno::last() == Errno::ECHILD => Wait::NoChildren,
        _ => Wait::Running,
    }
}

fn duration(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let micros = u64::try_from(time.tv_usec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(micros)
}

/// How many bytes can be read from a pipe without waiting.
pub(crate) fn bytes_waiting(pipe: BorrowedFd<'_>) -> usize {
    let mut waiting = 0;
    // SAFETY: the pointer is valid for writing an int, which is what FIONREAD writes.
    let result = unsafe { fionread(pipe.as_raw_fd(), &raw mut waiting) };
    result
        .ok()
        .and_then(|_| usize::try_from(waiting).ok())
        .unwrap_or(0)
}

/// Who runs a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// User id.
    pub(crate) user: Uid,
    /// Main group.
    pub(crate) group: Gid,
    /// All groups.
    pub(crate) groups: Vec<Gid>,
}

/// Starts a command in a session of its own, so that it has no controlling terminal and one
/// signal reaches its whole process group. The child is left to [`wait_any`].
pub(crate) fn spawn(mut command: Command, identity: Option<Identity>) -> io::Result<i32> {
    let become_it = move || {
        unistd::setsid()?;
        // The executor has blocked the signals it watches for, and a child inherits that: it could
        // not be ended by SIGTERM.
        SigSet::empty().thread_set_mask()?;
        if let Some(identity) = &identity {
            unistd::setgroups(&identity.groups)?;
            unistd::setgid(identity.group)?;
            unistd::setuid(identity.user)?;
        }
        Ok(())
    };
    // SAFETY: the closure makes system calls only; it allocates nothing and takes no lock.
    unsafe { command.pre_exec(become_it) };
    let child = command.spawn()?;
    i32::try_from(child.id()).map_err(io::Error::other)
}
