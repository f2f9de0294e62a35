//! A running server.

use std::io::{BufRead, BufReader, copy, sink};
use std::process::{Child, Command, Stdio};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use serde_json::{Value, json};

use crate::{Project, aws, http};

/// A server with its data in a project's directory, ended with this value.
#[derive(Debug)]
pub struct Server {
    child: Child,
    url: String,
}

/// The versions of the AWS CLI. The second one may be too old for the variables of endpoints, so that it
/// gets the flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CliVersion {
    /// Of the `PyPI`.
    V1,
    /// Of Debian, or of AWS.
    V2,
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

    /// A version of the AWS CLI that is led to this server.
    pub fn cli(&self, version: CliVersion) -> Command {
        match version {
            CliVersion::V1 => self.client("aws"),
            CliVersion::V2 => {
                let mut command = Command::new(aws::cli_v2());
                command
                    .envs(aws::environment("http://127.0.0.1:1"))
                    .args(["--endpoint-url", &self.url]);
                command
            }
        }
    }

    /// What a client prints; it has to succeed.
    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        Self::must(self.client(program), arguments)
    }

    /// What a command prints with these arguments; it has to succeed.
    pub fn must(mut program: Command, arguments: &[&str]) -> String {
        let output = program
            .args(arguments)
            .output()
            .expect("a program that exists starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            output.status.success(),
            "{program:?}:\n{}\n{}",
            text(&output.stdout),
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    /// Makes a project of which no further build is taken: one waits, and more it may not have.
    pub fn make_busy_project(&self, name: &str) {
        let project = json!({
            "name": name,
            "source": {"type": "NO_SOURCE", "buildspec": "version: 0.2\nphases: {build: {commands: [true]}}"},
            "artifacts": {"type": "NO_ARTIFACTS"},
            "environment": {"type": "LINUX_CONTAINER", "image": "a:1", "computeType": "BUILD_GENERAL1_SMALL"},
            "serviceRole": "arn:aws:iam::000000000000:role/build",
            "concurrentBuildLimit": 1,
        });
        self.call("CreateProject", &project);
        self.call("StartBuild", &json!({"projectName": name}));
    }

    /// Calls an operation without a signature; it has to be carried out.
    pub fn call(&self, operation: &str, input: &Value) -> Value {
        let target = format!("CodeBuild_20161006.{operation}");
        let headers = [("X-Amz-Target", target.as_str())];
        let body = input.to_string();
        let answer = http::request(self.address(), "POST", "/", &headers, body.as_bytes());
        let answer = answer.unwrap_or_else(|error| panic!("{operation}: {error}"));
        assert_eq!(answer.status, 200, "{operation}: {}", answer.text());
        serde_json::from_slice(&answer.body).unwrap_or_default()
    }

    /// Its memory, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("it runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let digits = line.and_then(|line| line.split_whitespace().nth(1));
        digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
    }

    /// How many files it has open, connections included.
    pub fn open_files(&self) -> usize {
        let path = format!("/proc/{}/fd", self.child.id());
        std::fs::read_dir(path).expect("it runs").count()
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
