//! The few calls of the operating system that nobody wraps safely for us.
#![expect(
    unsafe_code,
    reason = "wait4, some ioctls and the steps between fork and exec have no safe form"
)]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::Duration;

use executor::protocol::{Exit, WindowSize};
use nix::errno::Errno;
use nix::sys::signal::Signal::{SIGKILL, SIGSTOP};
use nix::sys::signal::{self, SigHandler, SigSet, Signal};
use nix::unistd::{self, Gid, Uid};

nix::ioctl_read_bad!(fionread, libc::FIONREAD, libc::c_int);
nix::ioctl_write_ptr_bad!(tiocswinsz, libc::TIOCSWINSZ, libc::winsize);
nix::ioctl_write_int_bad!(tiocsctty, libc::TIOCSCTTY);

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

/// Lets a command run as somebody, in a session of its own, so that it has no controlling terminal
/// and one signal reaches its whole process group.
pub(crate) fn lead_session(command: &mut Command, identity: Option<Identity>) {
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
}

/// Starts a command and leaves the child to [`wait_any`]. Gives its number.
pub(crate) fn spawn(command: &mut Command) -> io::Result<i32> {
    let child = command.spawn()?;
    i32::try_from(child.id()).map_err(io::Error::other)
}

/// Starts a command in a session of its own whose controlling terminal is `terminal`.
pub(crate) fn spawn_in_terminal(mut command: Command, terminal: &OwnedFd) -> io::Result<Child> {
    command
        .stdin(terminal.try_clone()?)
        .stdout(terminal.try_clone()?)
        .stderr(terminal.try_clone()?);
    let take_terminal = || {
        unistd::setsid()?;
        heed_signals()?;
        // SAFETY: the argument is a number: 0, not to steal the terminal of another session.
        unsafe { tiocsctty(libc::STDIN_FILENO, 0) }?;
        Ok(())
    };
    // SAFETY: the closure makes system calls only; it allocates nothing and takes no lock.
    unsafe { command.pre_exec(take_terminal) };
    command.spawn()
}

/// Gives all signals their ordinary effect. An engine that was started with `nohup`, or in the
/// background of a shell, ignores some of them, and a program that ignores a signal hands that on:
/// a shell in a terminal could be neither hung up nor interrupted.
fn heed_signals() -> io::Result<()> {
    for signal in Signal::iterator().filter(|signal| !matches!(signal, SIGKILL | SIGSTOP)) {
        // SAFETY: no handler of this process is replaced that could be needed: it becomes another
        // program.
        unsafe { signal::signal(signal, SigHandler::SigDfl) }?;
    }
    Ok(())
}

/// Changes the size of a terminal's window, of which its foreground processes are told.
pub(crate) fn set_window_size(terminal: BorrowedFd<'_>, size: WindowSize) -> io::Result<()> {
    let size = libc::winsize {
        ws_row: size.rows,
        ws_col: size.columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the pointer is valid for reading a `winsize`, which is what TIOCSWINSZ reads.
    unsafe { tiocswinsz(terminal.as_raw_fd(), &raw const size) }?;
    Ok(())
}
