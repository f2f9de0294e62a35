//! A running agent.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Finished;

/// How long an agent may take before the test fails: far above any build of these tests, so it says
/// nothing about speed, only that something hangs.
pub(crate) const LIMIT: Duration = Duration::from_mins(5);

/// Lines of output that may wait for the test; the reader then waits, as a terminal does.
const LINES_IN_FLIGHT: usize = 1024;

/// An agent process whose output is being read.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: Receiver<Vec<u8>>,
    stdout: Vec<u8>,
    stderr: JoinHandle<String>,
    deadline: Instant,
}

impl Running {
    /// Starts a command with its output read and its input empty.
    pub fn start(mut command: Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} starts: {error}"));
        let stdout = child.stdout.take().expect("standard output is a pipe");
        let mut stderr = child.stderr.take().expect("standard error is a pipe");
        let (sender, lines) = sync_channel(LINES_IN_FLIGHT);
        thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            loop {
                let mut line = Vec::new();
                let read = stdout.read_until(b'\n', &mut line).unwrap_or(0);
                if read == 0 || sender.send(line).is_err() {
                    break;
                }
            }
        });
        let stderr = thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = stderr.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        Self {
            child,
            lines,
            stdout: Vec::new(),
            stderr,
            deadline: Instant::now() + LIMIT,
        }
    }

    /// The agent's process id.
    pub fn process(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().expect("process ids fit"))
    }

    /// Reads the output up to the first line that holds `text`.
    pub fn wait_for(&mut self, text: &str) {
        while let Some(line) = self.next_line() {
            if String::from_utf8_lossy(&line).contains(text) {
                return;
            }
        }
        panic!(
            "the output ended without {text:?}:\n{}",
            String::from_utf8_lossy(&self.stdout)
        );
    }

    /// Sends the agent a signal.
    pub fn signal(&self, signal: Signal) {
        kill(self.process(), signal).expect("a process that was not waited for takes signals");
    }

    /// Reads the rest of the output and waits for the end.
    pub fn finish(mut self) -> Finished {
        while self.next_line().is_some() {}
        let status = self.child.wait().expect("a child can be waited for");
        let stderr = self
            .stderr
            .join()
            .expect("the reader of standard error does not panic");
        Finished {
            exit_code: status.code(),
            stdout: self.stdout,
            stderr,
        }
    }

    /// Keeps the line in `stdout` too. `None` at the end of the output.
    fn next_line(&mut self) -> Option<Vec<u8>> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(left) {
            Ok(line) => {
                self.stdout.extend_from_slice(&line);
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                let _ = self.child.kill();
                panic!(
                    "the agent hangs; it said:\n{}",
                    String::from_utf8_lossy(&self.stdout)
                );
            }
        }
    }
}
