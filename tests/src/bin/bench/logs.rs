//! Shipping a log to CloudWatch Logs, against Docker's own log driver for it, at the same endpoint.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tests::cloudwatch::{CloudWatch, Faults};
use tests::{Project, aws, engine};

use super::builds::{mebibytes, peak_memory_kib};
use super::{LONG_TURNS, Row, in_turns};

/// Lines of the log.
const LINES: u32 = 2_000_000;

/// The argument that makes this program [serve].
pub(crate) const SERVE: &str = "serve-cloudwatch";

/// The most memory that shipping may take, in KiB.
const MEMORY_LIMIT_KIB: u32 = 128 * 1024;

/// Lines that arrive in a second, container started and everything delivered.
pub(crate) fn speed() -> Row {
    let docker = OwnDocker::start();
    let logging = Logging::new();
    let mut turn = 0;
    let (agent, peer) = in_turns(
        LONG_TURNS,
        || ship(Endpoint::start(None), |url| logging.agent(url)),
        || {
            turn += 1;
            let endpoint = Endpoint::start(Some(&docker));
            ship(endpoint, |url| docker.logging(url, turn));
        },
    );
    let speed = |time: Duration| f64::from(LINES) / time.as_secs_f64();
    Row {
        what: "lines a second to CloudWatch, against awslogs".to_owned(),
        agent: format!("{:.0}", speed(agent)),
        peer: format!("{:.0}", speed(peer)),
        ratio: speed(agent) / speed(peer),
        promised: "at least 2",
    }
}

/// The agent's memory in that.
pub(crate) fn memory() -> Row {
    let logging = Logging::new();
    let endpoint = Endpoint::start(None);
    let agent = logging.agent(&endpoint.url).spawn();
    let peak = peak_memory_kib(agent.expect("the agent starts"));
    endpoint.finish();
    Row {
        what: "peak memory in it".to_owned(),
        agent: mebibytes(peak),
        peer: mebibytes(MEMORY_LIMIT_KIB),
        ratio: f64::from(peak) / f64::from(MEMORY_LIMIT_KIB),
        promised: "at most 1",
    }
}

/// Serves as CloudWatch Logs until all lines have arrived: what this program does as a process of its own, so that
/// it stands for the agent's endpoint and for the driver's in the same way.
pub(crate) fn serve() -> io::Result<()> {
    let endpoint = CloudWatch::start(Faults::default());
    let mut out = io::stdout().lock();
    writeln!(out, "{}", endpoint.url())?;
    out.flush()?;
    // It serves on until its input ends: a log has lines of its own, after those that count.
    io::copy(&mut io::stdin().lock(), &mut io::sink())?;
    endpoint.wait_for_events(LINES as usize);
    assert_eq!(endpoint.violations(), [""; 0]);
    Ok(())
}

/// The command that says so many lines.
fn command() -> String {
    format!("seq -f 'line %.0f of a log that somebody may read some day' {LINES}")
}

struct Logging {
    project: Project,
    overrides: PathBuf,
}

impl Logging {
    fn new() -> Self {
        let project = Project::new(&format!(
            "version: 0.2\nphases:\n  build:\n    commands:\n      - {}\n",
            command()
        ));
        let overrides = project.root().join("overrides.json");
        let settings = r#"{"logsConfigOverride": {"cloudWatchLogs": {"status": "ENABLED"}}}"#;
        fs::write(&overrides, settings).expect("one's own directory");
        Self { project, overrides }
    }

    fn agent(&self, endpoint: &str) -> Command {
        let mut agent = self.project.agent(&["run", "--overrides"]);
        agent
            .arg(&self.overrides)
            .arg(self.project.source())
            .envs(aws::environment(endpoint));
        quiet(&mut agent);
        agent
    }
}

/// Runs what logs to an endpoint, and waits until all has arrived there.
fn ship(endpoint: Endpoint, command: impl FnOnce(&str) -> Command) {
    run(&mut command(&endpoint.url));
    endpoint.finish();
}

/// A process that [serves](serve).
struct Endpoint {
    process: Child,
    url: String,
}

impl Endpoint {
    /// Starts one, in the network of an engine if one is given.
    fn start(engine: Option<&OwnDocker>) -> Self {
        let this = std::env::current_exe().expect("the system knows");
        let mut command = match engine {
            None => Command::new(this),
            Some(engine) => {
                let mut enter = Command::new("nsenter");
                enter.arg(format!("--net=/proc/{}/ns/net", engine.process.id()));
                enter.arg(this);
                enter
            }
        };
        let mut process = command
            .arg(SERVE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts again");
        let mut url = String::new();
        let said = process.stdout.take().expect("standard output is a pipe");
        let read = BufReader::new(said).read_line(&mut url);
        assert!(read.is_ok_and(|read| read > 0), "the endpoint listens");
        Self {
            process,
            url: url.trim().to_owned(),
        }
    }

    /// Waits until all lines have arrived.
    fn finish(mut self) {
        // It hears of the end through its standard input, which waiting closes.
        let status = self.process.wait();
        assert!(
            status.is_ok_and(|status| status.success()),
            "every line arrives"
        );
    }
}

/// An engine that logs with the credentials of the tests: the driver runs in the engine, and has what that has. It
/// lives in a network of its own, because an engine removes the bridges of others.
struct OwnDocker {
    root: TempDir,
    process: Child,
}

impl OwnDocker {
    fn start() -> Self {
        let root = tempfile::tempdir().expect("a temporary directory can be made");
        let log = fs::File::create(root.path().join("log")).expect("one's own directory");
        let process = Command::new("unshare")
            .args(["--net", "--mount", "sh", "-c"])
            .arg("ip link set lo up && exec dockerd \"$@\"")
            .arg("dockerd")
            .arg("--data-root")
            .arg(root.path().join("data"))
            .arg("--exec-root")
            .arg(root.path().join("exec"))
            .arg("--pidfile")
            .arg(root.path().join("pid"))
            .args(["--bridge=none", "--iptables=false", "--ip-masq=false"])
            .arg("--host")
            .arg(address(&root))
            // The endpoint stands with each container.
            .envs(aws::environment(""))
            .env_remove("AWS_ENDPOINT_URL")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("unshare can be run");
        let mut own = Self { root, process };
        own.wait();
        let image = own.root.path().join("image.tar");
        let path = image.to_str().expect("temporary paths are UTF-8");
        engine::docker(&["save", "--output", path, &engine::test_image()]);
        run(&mut own.command(&["load", "--input", path]));
        own
    }

    fn wait(&mut self) {
        loop {
            let asked = self.command(&["version"]).status();
            if asked.is_ok_and(|status| status.success()) {
                return;
            }
            let ended = self.process.try_wait().expect("a child can be asked");
            let log = self.root.path().join("log");
            let log = fs::read_to_string(log).unwrap_or_default();
            assert!(
                ended.is_none(),
                "dockerd, which takes root, gave up:\n{log}"
            );
        }
    }

    /// A container that logs, with a stream of its own.
    fn logging(&self, endpoint: &str, turn: u32) -> Command {
        let mut run = self.command(&["run", "--rm", "--network=none", "--log-driver=awslogs"]);
        for option in [
            format!("awslogs-endpoint={endpoint}"),
            format!("awslogs-region={}", aws::REGION),
            "awslogs-group=bench".to_owned(),
            format!("awslogs-stream=s{turn}"),
            "awslogs-create-group=true".to_owned(),
        ] {
            run.arg("--log-opt").arg(option);
        }
        run.arg(engine::test_image()).args(["sh", "-c", &command()]);
        run
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.arg("--host").arg(address(&self.root));
        command.args(arguments);
        quiet(&mut command);
        command
    }
}

impl Drop for OwnDocker {
    fn drop(&mut self) {
        let process = Pid::from_raw(self.process.id().try_into().expect("process ids fit"));
        // It ends its containerd too.
        let _ = kill(process, Signal::SIGTERM);
        let _ = self.process.wait();
    }
}

fn address(root: &TempDir) -> String {
    format!("unix://{}", root.path().join("socket").display())
}

fn run(command: &mut Command) {
    let status = command.status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "{command:?} succeeds"
    );
}

fn quiet(command: &mut Command) -> &mut Command {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
}
