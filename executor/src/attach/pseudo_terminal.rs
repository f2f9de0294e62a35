//! A shell in a pseudo-terminal, and the person at the other end of standard input and output.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{self, Child, Command, ExitStatus};
use std::sync::mpsc;
use std::thread;

use executor::protocol::{TerminalInput, WindowSize};
use nix::errno::Errno;
use nix::fcntl::{self, FcntlArg, FdFlag, OFlag};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::openpty;
use nix::unistd;

use crate::sys;

/// Most that is read at once, in bytes.
const PIECE: usize = 64 * 1024;

/// Most that is still passed on when the shell has ended, in bytes: what it has left in the background
/// may write for ever.
const FAREWELL: usize = 1024 * 1024;

/// Exit status when the person has gone: that of a program that SIGHUP ends.
const HUNG_UP: i32 = 128 + libc::SIGHUP;

/// A terminal and the shell in it.
#[derive(Debug)]
pub(super) struct PseudoTerminal {
    /// The side of the person.
    master: OwnedFd,
    child: Child,
}

impl PseudoTerminal {
    /// Starts a command in a new terminal, which belongs to the present user.
    pub(super) fn start(command: Command, size: WindowSize) -> io::Result<Self> {
        let pair = openpty(None, None)?;
        // A shell that held the side of the person could not be hung up.
        for side in [&pair.master, &pair.slave] {
            fcntl::fcntl(side, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        }
        sys::set_window_size(pair.master.as_fd(), size)?;
        Ok(Self {
            child: sys::spawn_in_terminal(command, &pair.slave)?,
            master: pair.master,
        })
    }

    /// Passes everything on until the shell has ended; gives its exit status as shells show it.
    pub(super) fn serve(self) -> io::Result<i32> {
        let Self { master, child } = self;
        let keyboard = master.try_clone()?;
        thread::Builder::new().spawn(move || {
            // The end of the input is the end of the person's connection. This process ends with
            // it: its side of the terminal is closed, and the kernel hangs up the shell.
            drop(pass_on_input(io::stdin().lock(), keyboard));
            process::exit(HUNG_UP);
        })?;
        let (has_ended, ended) = wait_in_background(child)?;
        let output = pass_on_output(&master, &has_ended, io::stdout().lock());
        let status = ended.recv().map_err(io::Error::other)??;
        output.map(|()| {
            status
                .code()
                .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
        })
    }
}

type Ended = mpsc::Receiver<io::Result<ExitStatus>>;

/// Waits for a child; the descriptor is hung up, and its status sent, when it has ended.
fn wait_in_background(mut child: Child) -> io::Result<(OwnedFd, Ended)> {
    let (has_ended, runs) = unistd::pipe2(OFlag::O_CLOEXEC)?;
    let (sender, ended) = mpsc::sync_channel(1);
    thread::Builder::new().spawn(move || {
        // Nobody takes it when the terminal has failed.
        drop(sender.send(child.wait()));
        drop(runs);
    })?;
    Ok((has_ended, ended))
}

fn pass_on_input(mut input: impl Read, terminal: OwnedFd) -> io::Result<()> {
    let mut terminal = File::from(terminal);
    let mut received = Vec::new();
    let mut piece = vec![0; PIECE];
    loop {
        let read = input.read(&mut piece)?;
        if read == 0 {
            return Ok(());
        }
        received.extend_from_slice(&piece[..read]);
        while let Some((message, used)) =
            TerminalInput::decode(&received).map_err(io::Error::other)?
        {
            received.drain(..used);
            match message {
                TerminalInput::Keys(keys) => terminal.write_all(&keys)?,
                TerminalInput::Size(size) => sys::set_window_size(terminal.as_fd(), size)?,
            }
        }
    }
}

/// Passes on what is written in the terminal until nobody can write there, or the child has ended
/// and what it wrote was passed on.
fn pass_on_output(
    terminal: &OwnedFd,
    has_ended: &OwnedFd,
    mut output: impl Write,
) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    let mut left = FAREWELL;
    loop {
        let mut sources =
            [terminal, has_ended].map(|source| PollFd::new(source.as_fd(), PollFlags::POLLIN));
        match poll(&mut sources, PollTimeout::NONE) {
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
        }
        let [written, ended] = sources.map(|source| source.any().unwrap_or(true));
        if ended && (!written || left == 0) {
            return Ok(());
        }
        if written {
            let read = match unistd::read(terminal, &mut piece) {
                // The last process that had the terminal has closed it.
                Ok(0) | Err(Errno::EIO) => return Ok(()),
                Ok(read) => read,
                Err(error) => return Err(error.into()),
            };
            if ended {
                left = left.saturating_sub(read);
            }
            output.write_all(&piece[..read])?;
            output.flush()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(script: &str) -> PseudoTerminal {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        let size = WindowSize {
            rows: 30,
            columns: 100,
        };
        PseudoTerminal::start(command, size).unwrap()
    }

    fn output(terminal: PseudoTerminal) -> (String, ExitStatus) {
        let (has_ended, ended) = wait_in_background(terminal.child).unwrap();
        let mut output = Vec::new();
        pass_on_output(&terminal.master, &has_ended, &mut output).unwrap();
        let status = ended.recv().unwrap().unwrap();
        (String::from_utf8(output).unwrap(), status)
    }

    #[test]
    fn a_shell_has_a_terminal_of_its_own_with_a_size() {
        let (output, status) = output(start("tty >&2; stty size; : </dev/tty && exit 7"));
        assert!(output.starts_with("/dev/pts/"), "{output}");
        assert!(output.ends_with("30 100\r\n"), "{output}");
        assert_eq!(status.code(), Some(7));
    }

    #[test]
    fn keys_and_sizes_arrive_in_order() {
        let terminal = start("stty -echo; echo ready; read line; stty size; echo \"<$line>\"");
        let size = TerminalInput::Size(WindowSize {
            rows: 5,
            columns: 6,
        });
        let keys = TerminalInput::Keys(b"typed\r".to_vec());
        let input = [size.encode(), keys.encode()].concat();
        pass_on_input(input.as_slice(), terminal.master.try_clone().unwrap()).unwrap();
        let (output, _) = output(terminal);
        assert!(output.contains("5 6\r\n<typed>\r\n"), "{output}");
    }

    #[test]
    fn a_shell_is_hung_up_when_the_person_goes() {
        let terminal = start("trap 'exit 9' HUP; echo ready; while :; do sleep 1; done");
        let PseudoTerminal { master, mut child } = terminal;
        let mut ready = [0; 5];
        File::from(master).read_exact(&mut ready).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(9));
    }

    #[test]
    fn what_is_left_in_the_background_does_not_hold_the_terminal() {
        let (output, status) = output(start("sleep 1000 & echo $!; trap '' HUP; exit 0"));
        assert!(status.success());
        let pid: i32 = output.trim().parse().unwrap();
        // It was not hung up: here the terminal is closed only now.
        let _ = nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(pid),
            nix::sys::signal::Signal::SIGKILL,
        );
    }
}
