//! A program at a terminal, as a person uses it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::pty::openpty;
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::running::LIMIT;

/// How long a shell is given to answer before it is asked again.
const PATIENCE: Duration = Duration::from_millis(300);

/// Pieces of output that may wait for the test; the reader then waits, as a slow screen does.
const PIECES_IN_FLIGHT: usize = 1024;

/// A program whose controlling terminal is a pseudo-terminal of its own.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    /// The side of the person.
    master: OwnedFd,
    /// The side of the program, held to see what it makes of the terminal.
    slave: Option<OwnedFd>,
    pieces: Receiver<Vec<u8>>,
    screen: String,
    deadline: Instant,
}

impl Terminal {
    /// Starts a command in a window of 24 lines and 80 columns.
    pub fn start(command: &Command) -> Self {
        let pair = openpty(None, None).expect("there are pseudo-terminals");
        // The program gets its own side only: it is hung up when this one is closed.
        for side in [&pair.master, &pair.slave] {
            fcntl_setfd(side, FdFlags::CLOEXEC).expect("a descriptor has flags");
        }
        let side = || pair.slave.try_clone().expect("a descriptor can be copied");
        // A shell that outlives the program, as at a real terminal, shows what that has made of it.
        let script = "trap : INT; \"$@\"; code=$?; stty -a; exit $code";
        let mut session = Command::new("setsid");
        session
            .args(["--ctty", "sh", "-c", script, "sh"])
            .arg(command.get_program())
            .args(command.get_args())
            .env("TERM", "xterm")
            .stdin(side())
            .stdout(side())
            .stderr(side());
        if let Some(directory) = command.get_current_dir() {
            session.current_dir(directory);
        }
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => session.env(name, value),
                None => session.env_remove(name),
            };
        }
        set_size(&pair.master, 24, 80);
        let child = session
            .spawn()
            .unwrap_or_else(|error| panic!("{session:?} starts: {error}"));
        let reader = pair.master.try_clone().expect("a descriptor can be copied");
        let (sender, pieces) = sync_channel(PIECES_IN_FLIGHT);
        thread::spawn(move || {
            let mut reader = File::from(reader);
            let mut piece = [0; 4096];
            while let Ok(read) = reader.read(&mut piece) {
                if read == 0 || sender.send(piece[..read].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            master: pair.master,
            slave: Some(pair.slave),
            pieces,
            screen: String::new(),
            deadline: Instant::now() + LIMIT,
        }
    }

    /// Types.
    pub fn type_keys(&self, keys: &str) {
        let copy = self.master.try_clone().expect("a descriptor can be copied");
        File::from(copy)
            .write_all(keys.as_bytes())
            .expect("a terminal takes keys");
    }

    /// Runs a program in a shell of root's, and ends it by a key that the terminal of the person would
    /// otherwise take for itself.
    pub fn interrupt_a_program(&mut self) {
        // One process, which the key ends whether it is the shell or the program yet.
        self.type_keys("sh -c 'echo wait\"\"ing; exec sleep 100000'\r");
        self.wait_for("waiting");
        self.type_keys("\x03");
        // The kernel drops what is written and typed around the key.
        self.ask("echo over-$((6 * 7))", "over-42");
    }

    /// Asks a shell until it answers: what it was told a moment ago may not have reached it, and it
    /// runs a trap only with the next command if the signal came just before it showed its prompt.
    pub fn ask(&mut self, question: &str, answer: &str) {
        while !self.screen.contains(answer) {
            self.type_keys(&format!("{question}\r"));
            let patience = Instant::now() + PATIENCE;
            while let Ok(piece) = self
                .pieces
                .recv_timeout(patience.saturating_duration_since(Instant::now()))
            {
                self.screen.push_str(&String::from_utf8_lossy(&piece));
            }
            assert!(
                Instant::now() < self.deadline,
                "the shell does not answer; its screen is:\n{}",
                self.screen
            );
        }
        self.wait_for(answer);
    }

    /// Changes the size of the window.
    pub fn resize(&self, rows: u16, columns: u16) {
        set_size(&self.master, rows, columns);
    }

    /// Whether the program takes every key as it is typed.
    pub fn is_raw(&self) -> bool {
        let slave = self.slave.as_ref().expect("it is there until the end");
        let modes = tcgetattr(slave).expect("a terminal has modes");
        !modes
            .local_modes
            .intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    /// Reads the screen up to `text`, which is taken off, with all before it.
    pub fn wait_for(&mut self, text: &str) {
        loop {
            if let Some(at) = self.screen.find(text) {
                self.screen.drain(..at + text.len());
                return;
            }
            assert!(
                self.read(),
                "the screen ends without {text:?}:\n{}",
                self.screen
            );
        }
    }

    /// Waits for the end: the exit code, and the rest of the screen. The program has to leave the
    /// terminal as it was.
    pub fn finish(mut self) -> (Option<i32>, String) {
        // With this last copy gone, the output ends with the program.
        self.slave = None;
        while self.read() {}
        let status = self.child.wait().expect("a child can be waited for");
        let (screen, modes) = self
            .screen
            .split_once("speed ")
            .unwrap_or((&self.screen, ""));
        assert!(
            modes.contains(" icanon") && modes.contains(" echo "),
            "the terminal is not as it was:\n{modes}"
        );
        (status.code(), screen.to_owned())
    }

    /// Reads a piece of the screen; `false` at the end.
    fn read(&mut self) -> bool {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match self.pieces.recv_timeout(left) {
            Ok(piece) => {
                self.screen.push_str(&String::from_utf8_lossy(&piece));
                true
            }
            Err(RecvTimeoutError::Disconnected) => false,
            Err(RecvTimeoutError::Timeout) => {
                panic!("the program hangs; its screen is:\n{}", self.screen)
            }
        }
    }
}

/// A program whose test has failed does not live on.
impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn set_size(terminal: impl AsFd, rows: u16, columns: u16) {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(terminal, size).expect("a terminal has a size");
}
