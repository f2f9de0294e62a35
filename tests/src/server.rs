//! A running server.

use std::io::{BufRead, BufReader, copy, sink};
use std::process::{Child, Command, Stdio};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{Project, aws};

/// A server with its data in a project's directory, ended with this value.
#[derive(Debug)]
pub struct Server {
    child: Child,
    url: String,
}

impl Server {
    /// Starts a server on a free port and waits until it listens.
    pub fn start(project: &Project, arguments: &[&str]) -> Self {
        let all = [&["server", "--listen", "127.0.0.1:0"], arguments].concat();
        let mut child = project
            .agent(&all)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let said = child.stdout.take().expect("standard output is a pipe");
        let mut said = BufReader::new(said);
        let mut line = String::new();
        said.read_line(&mut line).expect("the server speaks UTF-8");
        let (_, url) = line
            .trim()
            .split_once(" at ")
            .unwrap_or_else(|| panic!("the server said {line:?}"));
        let url = url.to_owned();
        // Nobody may keep it from saying more.
        thread::spawn(move || copy(&mut said, &mut sink()));
        Self { child, url }
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        self.url.split("//").nth(1).unwrap_or_default()
    }

    /// A program of the tests' Python environment that is led to this server.
    pub fn client(&self, program: &str) -> Command {
        let mut command = Command::new(aws::python_program(program));
        command.envs(aws::environment(&self.url));
        command
    }

    /// What a client prints; it has to succeed.
    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        let output = self
            .client(program)
            .args(arguments)
            .output()
            .expect("a program that exists starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            output.status.success(),
            "{program} {arguments:?}:\n{}\n{}",
            text(&output.stdout),
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    /// Tells it to end, and waits. Tells whether it ended well.
    pub fn stop(mut self) -> bool {
        let process = Pid::from_raw(self.child.id().try_into().expect("process ids fit"));
        kill(process, Signal::SIGTERM).expect("a process that was not waited for takes signals");
        self.child
            .wait()
            .expect("a child can be waited for")
            .success()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
