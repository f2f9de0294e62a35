//! Builds against plain Docker.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tests::{Project, engine};

use super::{LONG_TURNS, Row, in_turns, median, timed};

/// Turns of measurements that take less than a second or two.
const SHORT_TURNS: usize = 9;

/// Commands in the build that shows the cost of one.
const COMMANDS: u32 = 200;

/// Output of the build that shows the cost of output, in bytes.
const OUTPUT_BYTES: u64 = 500_000_000;

/// The least a build can be.
pub(crate) fn one_build() -> Row {
    let project = project_of(&["true".to_owned()]);
    let (agent, peer) = in_turns(
        SHORT_TURNS,
        || run_agent(&project),
        || run_docker(&[], &["true"]),
    );
    Row::of_times("a build of one `true`", agent, peer, "at most 1.25")
}

/// The difference between a build of many commands and one of a single command, so that what a
/// build costs anyway is not counted.
pub(crate) fn one_command() -> Row {
    let many = project_of(&vec!["true".to_owned(); COMMANDS as usize]);
    let one = project_of(&["true".to_owned()]);
    let (of_many, of_one) = in_turns(SHORT_TURNS, || run_agent(&many), || run_agent(&one));
    let agent = of_many.saturating_sub(of_one) / (COMMANDS - 1);
    let container = Container::start();
    let peer = median(
        (0..SHORT_TURNS * 2)
            .map(|_| timed(|| container.exec("true")))
            .collect(),
    );
    let what = format!("one command of {COMMANDS}, against `docker exec`");
    Row::of_times(what, agent, peer, "at most 0.1, and at most 8 ms")
}

/// Much output.
pub(crate) fn output() -> Row {
    let command = writing(OUTPUT_BYTES);
    let project = project_of(std::slice::from_ref(&command));
    let (agent, peer) = in_turns(
        LONG_TURNS,
        || run_agent(&project),
        || run_docker(&["--log-driver", "none"], &["sh", "-c", &command]),
    );
    Row::of_times(
        format!("{} MB of output to a file", OUTPUT_BYTES / 1_000_000),
        agent,
        peer,
        "at most 1.5",
    )
}

/// The agent's peak with the large output against its peak with a hundredth of it.
pub(crate) fn memory() -> Row {
    let peak = |bytes| {
        let project = project_of(&[writing(bytes)]);
        peak_memory_kib(start_agent(&project))
    };
    let (large, small) = (peak(OUTPUT_BYTES), peak(OUTPUT_BYTES / 100));
    Row {
        what: "peak memory in it, against 1 % of the output".to_owned(),
        agent: mebibytes(large),
        peer: mebibytes(small),
        ratio: f64::from(large) / f64::from(small),
        promised: "at most 64 MiB, and flat",
    }
}

/// A shell command that writes so many bytes, in lines of 100, as fast as it can.
fn writing(bytes: u64) -> String {
    format!("yes {} | head -c {bytes}", "x".repeat(99))
}

fn project_of(commands: &[String]) -> Project {
    let list: Vec<String> = commands
        .iter()
        .map(|command| format!("      - {command}\n"))
        .collect();
    let list = list.concat();
    Project::new(&format!(
        "version: 0.2\nphases:\n  build:\n    commands:\n{list}"
    ))
}

fn start_agent(project: &Project) -> Child {
    let log = File::create(project.root().join("log"))
        .expect("a file can be made in one's own directory");
    let mut command = project.agent(&["run"]);
    command
        .arg(project.source())
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(Stdio::null());
    command.spawn().expect("the agent starts")
}

fn run_agent(project: &Project) {
    let status = start_agent(project)
        .wait()
        .expect("a child can be waited for");
    assert!(status.success(), "the build succeeds: {status}");
}

/// The same work without an agent, the output written to a file.
fn run_docker(options: &[&str], program: &[&str]) {
    let log = tempfile::tempfile().expect("a temporary file can be made");
    let status = Command::new("docker")
        .args(["run", "--rm"])
        .args(options)
        .arg(engine::test_image())
        .args(program)
        .stdin(Stdio::null())
        .stdout(log)
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "docker runs {program:?}"
    );
}

/// A container that waits, removed with this value.
struct Container(String);

impl Container {
    fn start() -> Self {
        let id = engine::docker(&[
            "run",
            "--detach",
            "--rm",
            &engine::test_image(),
            "sleep",
            "1000000",
        ]);
        Self(id.trim().to_owned())
    }

    fn exec(&self, program: &str) {
        engine::docker(&["exec", &self.0, program]);
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        engine::remove(std::slice::from_ref(&self.0));
    }
}

/// Peak resident size of the agent in one build. The kernel keeps the peak, so the last look before
/// the end decides, and looking seldom is enough.
pub(crate) fn peak_memory_kib(mut agent: Child) -> u32 {
    let status = format!("/proc/{}/status", agent.id());
    let mut peak = 0;
    while agent.try_wait().expect("a child can be asked").is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let field = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = field
            .and_then(|value| value.split_whitespace().next()?.parse().ok())
            .unwrap_or(peak);
        #[expect(
            clippy::disallowed_methods,
            reason = "a busy wait would take the processor from what is measured"
        )]
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(
        peak > 0,
        "the agent's peak memory can be read from {status}"
    );
    peak
}

pub(crate) fn mebibytes(kibibytes: u32) -> String {
    format!("{:.1} MiB", f64::from(kibibytes) / 1024.0)
}
