//! A worker: how soon a build begins, how many run at once, and what waiting costs.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use agent::model::BuildId;
use agent::store::NewBuild;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use tests::stores::{Engine, TestStore, build, request};
use tests::{Project, engine};
use tokio::runtime::Runtime;
use tokio::time::sleep;

use super::{LONG_TURNS, Row, in_turns, median, timed};

/// Builds that begin one after the other.
const BEGINNINGS: usize = 15;

/// Builds that run at once.
const AT_ONCE: usize = 24;

/// How long an idle worker is watched.
const IDLE: Duration = Duration::from_secs(20);

/// From the submission of a build to the first byte of its first command in the log.
pub(crate) fn beginning() -> Row {
    let site = Site::start();
    let mut ours = Vec::new();
    let mut docker = Vec::new();
    for turn in 0..=BEGINNINGS {
        let (agent, peer) = (site.first_byte(), timed(run_docker));
        // The first turn warms caches.
        if turn > 0 {
            ours.push(agent);
            docker.push(peer);
        }
    }
    Row::of_times(
        "submission to first byte, against `docker run`",
        median(ours),
        median(docker),
        "at most 1.15",
    )
}

/// Many builds, submitted together, against as many containers started together.
pub(crate) fn at_once() -> Row {
    let site = Site::start();
    let (agent, peer) = in_turns(
        LONG_TURNS,
        || site.run_builds(AT_ONCE),
        || {
            let mut started: Vec<Child> = (0..AT_ONCE).map(|_| start_docker()).collect();
            for child in &mut started {
                let status = child.wait().expect("a child can be waited for");
                assert!(status.success(), "docker runs `true`");
            }
        },
    );
    Row::of_times(
        format!("{AT_ONCE} builds at once"),
        agent,
        peer,
        "at most 1.2",
    )
}

/// Memory of a worker that waits.
pub(crate) fn idle_memory() -> Row {
    let site = Site::start();
    let status = fs::read_to_string(format!("/proc/{}/status", site.worker.id()));
    let status = status.expect("the worker lives");
    let field = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: Option<f64> = field.and_then(|value| value.split_whitespace().next()?.parse().ok());
    let mib = kib.expect("the kernel tells it") / 1024.0;
    Row {
        what: "memory of an idle worker".to_owned(),
        agent: format!("{mib:.1} MiB"),
        peer: "30 MiB".to_owned(),
        ratio: mib / 30.0,
        promised: "at most 1",
    }
}

/// Processor time of a worker that waits.
pub(crate) fn idle_processor() -> Row {
    let site = Site::start();
    let before = processor_ticks(site.worker.id());
    site.runtime.block_on(async { sleep(IDLE).await });
    let ticks = processor_ticks(site.worker.id()) - before;
    // A tick is a hundredth of a second on Linux.
    let percent = ticks / IDLE.as_secs_f64();
    Row {
        what: "processor time of an idle worker".to_owned(),
        agent: format!("{percent:.2} %"),
        peer: "0.2 %".to_owned(),
        ratio: percent / 0.2,
        promised: "at most 1",
    }
}

fn processor_ticks(process: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("the worker lives");
    let (_, fields) = stat.rsplit_once(')').expect("the name is in parentheses");
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |index: usize| fields[index].parse::<f64>().expect("it is a number");
    ticks(11) + ticks(12)
}

/// A worker on a store of its own.
struct Site {
    runtime: Runtime,
    test: TestStore,
    project: Project,
    worker: Child,
}

impl Site {
    fn start() -> Self {
        let runtime = Runtime::new().expect("a runtime can be made");
        let test = runtime.block_on(TestStore::new(Engine::Postgres));
        let config = "[worker]\nprocessors = 1000\nmemory_mib = 1000000\n";
        let project = Project::empty().with_file("../config.toml", config);
        let mut command = project.agent(&["worker"]);
        let worker = command
            .env("BUILDSPEC_AGENT_CONFIG", project.root().join("config.toml"))
            .env("BUILDSPEC_AGENT_STORE", &test.address)
            .stderr(Stdio::null())
            .spawn()
            .expect("the worker starts");
        let site = Self {
            runtime,
            test,
            project,
            worker,
        };
        site.run_builds(1);
        site
    }

    /// Runs builds at once and waits for the end of all.
    fn run_builds(&self, count: usize) {
        self.runtime.block_on(async {
            let mut builds = Vec::new();
            for _ in 0..count {
                builds.push(self.submit("true").await);
            }
            for id in &builds {
                while self.test.build(id).await.ended_at.is_none() {
                    sleep(Duration::from_millis(2)).await;
                }
                assert_eq!(self.test.build(id).await.status, "SUCCEEDED");
            }
        });
    }

    async fn submit(&self, command: &str) -> BuildId {
        let buildspec = json!({"version": 0.2, "phases": {"build": {"commands": [command]}}});
        let overrides = json!({"buildspecOverride": buildspec.to_string()});
        let build = NewBuild {
            request: request("bench", &overrides),
            ..build("bench")
        };
        self.test.submit_as(build).await.id
    }

    fn first_byte(&self) -> Duration {
        const TEXT: &str = "the-first-byte";
        self.runtime.block_on(async {
            let start = Instant::now();
            // The command itself is in the log before its output, which comes in one piece. The build is there for
            // long enough to be seen.
            let id = self.submit("echo the-first''-byte; sleep 1").await;
            let spool = self.project.data_directory().join("builds");
            let spool = spool.join(id.uuid.to_string()).join("channel/spool");
            while !holds(&spool, TEXT) {
                sleep(Duration::from_millis(1)).await;
            }
            let time = start.elapsed();
            self.test.ended(&id).await;
            time
        })
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let process = Pid::from_raw(self.worker.id().try_into().expect("process ids fit"));
        let _ = kill(process, Signal::SIGTERM);
        let _ = self.worker.wait();
    }
}

/// Whether a file of a directory holds a text.
fn holds(directory: &Path, text: &str) -> bool {
    let files = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut contents = files.filter_map(|file| fs::read(file.path()).ok());
    contents.any(|bytes| {
        bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    })
}

fn start_docker() -> Child {
    let mut command = Command::new("docker");
    command
        .args(["run", "--rm"])
        .arg(engine::test_image())
        .arg("true")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
        .spawn()
        .expect("docker can be run; run `make setup`")
}

fn run_docker() {
    let status = start_docker().wait().expect("a child can be waited for");
    assert!(status.success(), "docker runs `true`");
}
