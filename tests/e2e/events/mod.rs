//! Others are told of builds: everything, in order, at least once, whatever happens meanwhile.

mod aws;
mod commit_status;
mod outages;
mod reload;
mod tls;

use std::collections::BTreeSet;
use std::process::Command;

use agent::model::BuildId;
use agent::store::NewBuild;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tests::fault_proxy::{Fault, FaultProxy};
use tests::receiver::{Received, Receiver};
use tests::stores::{Engine, TestStore, build, request};
use tests::{Project, Running, aws as aws_of_tests};

/// A worker that tells others, and the store it works for.
struct Site {
    test: TestStore,
    project: Project,
    variables: Vec<(&'static str, String)>,
}

impl Site {
    async fn new(engine: Engine, config: &str) -> Self {
        let worker = "[worker]\nprocessors = 100\nmemory_mib = 1000000\nlease_secs = 3\n";
        let project = Project::empty()
            .with_file("../config.toml", format!("{config}\n{worker}"))
            .with_file("../secret", "s3cret\n");
        Self {
            test: TestStore::new(engine).await,
            project,
            variables: Vec::new(),
        }
    }

    fn agent(&self, arguments: &[&str]) -> Command {
        let mut command = self.project.agent(arguments);
        command
            .env(
                "BUILDSPEC_AGENT_CONFIG",
                self.project.root().join("config.toml"),
            )
            .env("BUILDSPEC_AGENT_STORE", &self.test.address)
            .envs(self.variables.iter().cloned());
        command
    }

    fn start(&self) -> Running {
        Running::start(self.agent(&["worker"]))
    }

    /// A server that only answers and tells others, once it listens.
    fn serve(&self) -> Running {
        let arguments = ["server", "--no-worker", "--listen", "127.0.0.1:0"];
        let mut server = Running::start(self.agent(&arguments));
        server.wait_for(" at http");
        server
    }

    /// A build that is stopped before anybody has run it: two events tell of its states.
    fn submit_and_stop(&self) {
        let id = self.submit("true").to_string();
        let stopped = Running::start(self.agent(&["stop", &id])).finish();
        assert_eq!(stopped.exit_code, Some(0), "{}", stopped.stderr);
    }

    /// Submits as a user does: the program itself tells of it.
    fn submit(&self, command: &str) -> BuildId {
        let source = self.project.source();
        let source = source.to_str().expect("its path is text");
        let arguments = [
            "submit",
            source,
            "--project",
            "demo",
            "--build-command",
            command,
        ];
        let submitted = Running::start(self.agent(&arguments)).finish();
        assert_eq!(submitted.exit_code, Some(0), "{}", submitted.stderr);
        let id = String::from_utf8_lossy(&submitted.stdout).trim().parse();
        id.expect("it prints the build's id")
    }
}

/// A destination in the configuration.
fn webhook(name: &str, url: &str) -> String {
    format!(
        "[[events]]\nname = '{name}'\nto.webhook = {{ url = '{url}/hook', secret = {{ file = 'secret' }} }}\n"
    )
}

/// Lets a destination hear of the states of builds only.
const STATES: &str = "detail_types = ['CodeBuild Build State Change']\n";

/// What an event is about.
fn subject(event: &Value) -> String {
    let detail = &event["detail"];
    let parts = ["completed-phase", "completed-phase-status", "build-status"];
    let parts = parts.iter().filter_map(|part| detail[*part].as_str());
    parts.collect::<Vec<_>>().join(" ")
}

fn subjects(received: &[Received]) -> Vec<String> {
    received.iter().map(|one| subject(&one.json())).collect()
}

/// Whether the end of a build was told.
fn tells_the_end(received: &[Received]) -> bool {
    let is_end = |one: &Received| one.json()["detail"]["current-phase"] == "COMPLETED";
    received.iter().any(is_end)
}

/// The events of a build that succeeds.
const GOOD: [&str; 12] = [
    "IN_PROGRESS",
    "SUBMITTED SUCCEEDED",
    "QUEUED SUCCEEDED",
    "PROVISIONING SUCCEEDED",
    "DOWNLOAD_SOURCE SUCCEEDED",
    "INSTALL SUCCEEDED",
    "PRE_BUILD SUCCEEDED",
    "BUILD SUCCEEDED",
    "POST_BUILD SUCCEEDED",
    "UPLOAD_ARTIFACTS SUCCEEDED",
    "FINALIZING SUCCEEDED",
    "SUCCEEDED",
];

/// What a receiver of webhooks computes: standard input is a timestamp and a body.
const SIGN: &str = "
import hashlib, hmac, sys
print('sha256=' + hmac.new(b's3cret', sys.stdin.buffer.read(), hashlib.sha256).hexdigest())
";

fn signature(received: &Received) -> String {
    use std::io::Write;
    use std::process::Stdio;
    let mut python = Command::new(aws_of_tests::python_program("python3"))
        .args(["-c", SIGN])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a program that exists starts");
    let signed = format!("{}.{}", received.header("x-event-timestamp"), received.body);
    let mut input = python.stdin.take().expect("standard input is a pipe");
    input.write_all(signed.as_bytes()).expect("it reads");
    drop(input);
    let output = python
        .wait_with_output()
        .expect("a child can be waited for");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// An event of a phase shows all phases up to that one with their ends, and the next one as begun.
fn assert_shows_the_next_phase(detail: &Value, expected: &str) {
    let phases = detail["additional-information"]["phases"].as_array();
    let [before @ .., ended, next] = phases.expect("there are phases").as_slice() else {
        panic!("the next phase is missing: {detail}");
    };
    assert_eq!(ended["phase-type"], detail["completed-phase"]);
    assert_eq!(ended["end-time"], detail["completed-phase-end"]);
    let expected = match expected.trim_end_matches("SUCCEEDED").trim_end() {
        "" => "COMPLETED",
        phase => phase,
    };
    let begun = json!({"phase-type": expected, "start-time": detail["completed-phase-end"]});
    assert_eq!(*next, begun, "{detail}");
    let is_begun =
        detail["completed-phase"] == "SUBMITTED" || detail["completed-phase"] == "QUEUED";
    let context = if is_begun { "[]" } else { "[: ]" };
    assert_eq!(detail["completed-phase-context"], context, "{detail}");
    assert!(before.iter().all(|phase| phase.get("end-time").is_some()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_hears_everything_of_a_build_in_order_and_signed() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let receiver = Receiver::start();
        let site = Site::new(engine, &webhook("ops", &receiver.url())).await;
        let worker = site.start();
        let id = site.submit("true");
        let heard = receiver.wait_until(tells_the_end);
        assert_eq!(subjects(&heard), GOOD, "{engine:?}");
        worker.signal(Signal::SIGTERM);
        assert_eq!(worker.finish().exit_code, Some(0));
        for one in [&heard[0], &heard[11]] {
            assert_eq!(one.line, "POST /hook");
            assert_eq!(one.header("content-type"), "application/json");
            assert_eq!(one.header("x-event-id"), one.json()["id"]);
            assert_eq!(one.header("x-signature-256"), signature(one));
            let arn = one.json()["detail"]["build-id"].clone();
            assert!(arn.as_str().unwrap().ends_with(&id.to_string()), "{arn}");
        }
        for (one, next) in heard[1..11].iter().zip(&GOOD[2..]) {
            assert_shows_the_next_phase(&one.json()["detail"], next);
        }
        let ids: BTreeSet<_> = heard.iter().map(|one| one.header("x-event-id")).collect();
        assert_eq!(ids.len(), GOOD.len(), "each has its own identity");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_is_down_loses_nothing_and_holds_nobody_up() {
    let (receiver, other) = (Receiver::start(), Receiver::start());
    let down = FaultProxy::start(&receiver.address());
    down.set(Fault::Hang);
    let config = webhook("down", &down.endpoint()) + &webhook("up", &other.url());
    let site = Site::new(Engine::Sqlite, &config).await;
    let worker = site.start();
    site.submit("false");
    let heard = other.wait_until(tells_the_end);
    assert_eq!(subjects(&heard).last().unwrap(), "FAILED");
    assert_eq!(subjects(&receiver.received()), [""; 0]);
    // It is broken for a while, then it is back.
    down.next([Some(Fault::INTERNAL_ERROR), Some(Fault::Refuse)]);
    down.set(None);
    down.release();
    let late = receiver.wait_until(tells_the_end);
    assert_eq!(subjects(&late), subjects(&heard));
    let ids = |heard: &[Received]| -> Vec<String> {
        heard
            .iter()
            .map(|one| one.header("x-event-id").to_owned())
            .collect()
    };
    assert_eq!(ids(&late), ids(&heard), "both hear the same");
    worker.signal(Signal::SIGTERM);
    let finished = worker.finish();
    assert!(
        finished.stderr.contains("nothing reaches down"),
        "{}",
        finished.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_given_up_and_said() {
    let receiver = Receiver::start();
    let proxy = FaultProxy::start(&receiver.address());
    proxy.next([
        Some(Fault::Answer(400, "no such hook")),
        Some(Fault::Answer(302, "")),
    ]);
    let site = Site::new(Engine::Sqlite, &webhook("ops", &proxy.endpoint())).await;
    let worker = site.start();
    site.submit("true");
    let heard = receiver.wait_until(tells_the_end);
    assert_eq!(subjects(&heard), GOOD[2..]);
    worker.signal(Signal::SIGTERM);
    let finished = worker.finish();
    let told = finished.stderr;
    assert!(
        told.contains("to ops is given up: status 400 no such hook"),
        "{told}"
    );
    assert!(told.contains("redirects are not followed"), "{told}");
    assert!(!told.contains("s3cret"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_before_it_heard_the_answer_leaves_the_rest_to_the_next_one() {
    let receiver = Receiver::start();
    // Whatever arrives, the worker does not learn of it.
    receiver.set_silent(true);
    let site = Site::new(Engine::Sqlite, &webhook("ops", &receiver.url())).await;
    let worker = site.start();
    let id = site.submit("true");
    site.test.ended(&id).await;
    receiver.wait_until(|heard| !heard.is_empty());
    worker.signal(Signal::SIGKILL);
    worker.finish();
    let before: BTreeSet<String> = receiver
        .received()
        .iter()
        .map(|one| one.header("x-event-id").to_owned())
        .collect();
    assert_eq!(before.len(), 1, "the first one holds back all others");
    receiver.set_silent(false);
    let count = receiver.received().len();
    let next = site.start();
    let heard = receiver.wait_until(tells_the_end);
    let heard = &heard[count..];
    assert_eq!(subjects(heard), GOOD);
    assert!(
        before.contains(heard[0].header("x-event-id")),
        "it is the same event"
    );
    next.signal(Signal::SIGTERM);
    assert_eq!(next.finish().exit_code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_never_ran_is_told_of_by_whoever_stops_it() {
    let receiver = Receiver::start();
    let config = webhook("ops", &receiver.url()) + STATES;
    let site = Site::new(Engine::Postgres, &config).await;
    site.submit_and_stop();
    // Neither of these programs delivers anything.
    assert_eq!(subjects(&receiver.received()), [""; 0]);
    let worker = site.start();
    let heard = receiver.wait_until(tells_the_end);
    assert_eq!(subjects(&heard), ["IN_PROGRESS", "STOPPED"]);
    worker.signal(Signal::SIGTERM);
    worker.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_is_named_nothing_is_written() {
    let site = Site::new(Engine::Sqlite, "").await;
    let worker = site.start();
    let id = site.submit("true");
    assert_eq!(site.test.ended(&id).await.status, "SUCCEEDED");
    for destination in ["ops", "commit status"] {
        let claimed = site.test.store.claim_messages(
            destination,
            "me",
            10,
            std::time::Duration::from_secs(1),
        );
        assert_eq!(claimed.await.unwrap(), []);
    }
    worker.signal(Signal::SIGTERM);
    worker.finish();
}

/// A build of the store's with these overrides.
async fn submit(site: &Site, overrides: &Value) -> BuildId {
    let new = NewBuild {
        request: request("demo", overrides),
        ..build("demo")
    };
    site.test.submit_as(new).await.id
}

fn buildspec(command: &str) -> String {
    json!({"version": 0.2, "phases": {"build": {"commands": [command]}}}).to_string()
}
