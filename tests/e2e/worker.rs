//! `worker`: builds of the store run on this machine.

use agent::model::BuildRequest;
use agent::store::{CommandsRan, NewBuild, StoredBuild};
use nix::sys::signal::Signal;
use serde_json::json;
use tests::stores::{Engine, TestStore, build, request};
use tests::{Project, Running, engine, until};

/// A worker with room for many builds, and the store it works for.
struct Site {
    test: TestStore,
    project: Project,
}

impl Site {
    /// Whether the worker takes nothing new any more.
    async fn is_closed(&self) -> bool {
        let agents = self.test.store.agents().await.expect("the store answers");
        agents.iter().any(|(agent, _)| agent.closed.is_some())
    }

    async fn new(engine: Engine) -> Self {
        let config = "[worker]\nprocessors = 100\nmemory_mib = 1000000\nlease_secs = 3\n";
        Self {
            test: TestStore::new(engine).await,
            project: Project::empty().with_file("../config.toml", config),
        }
    }

    fn agent(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = self.project.agent(arguments);
        command
            .env(
                "BUILDSPEC_AGENT_CONFIG",
                self.project.root().join("config.toml"),
            )
            .env("BUILDSPEC_AGENT_STORE", &self.test.address);
        command
    }

    fn start(&self) -> Running {
        Running::start(self.agent(&["worker"]))
    }

    async fn submit(&self, commands: &[&str]) -> StoredBuild {
        self.test
            .submit_as(NewBuild {
                request: of_commands(commands),
                ..build("demo")
            })
            .await
    }

    /// Runs a command to its end and gives what it printed.
    fn says(&self, arguments: &[&str]) -> String {
        let finished = Running::start(self.agent(arguments)).finish();
        assert_eq!(finished.exit_code, Some(0), "{}", finished.stderr);
        String::from_utf8(finished.stdout).expect("ids and sentences are text")
    }
}

fn of_commands(commands: &[&str]) -> BuildRequest {
    let buildspec = json!({"version": 0.2, "phases": {"build": {"commands": commands}}});
    request("demo", &json!({"buildspecOverride": buildspec.to_string()}))
}

/// Whether a command of the build has started.
fn runs(build: &StoredBuild) -> bool {
    build.record["currentPhase"] == "BUILD"
}

#[tokio::test(flavor = "multi_thread")]
async fn builds_of_a_store_run_and_their_records_are_kept() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let site = Site::new(engine).await;
        let good = site.submit(&["true"]).await;
        let worker = site.start();
        let bad = site.submit(&["exit 3"]).await;
        let good = site.test.ended(&good.id).await;
        let bad = site.test.ended(&bad.id).await;
        assert_eq!(
            (good.status.as_str(), bad.status.as_str()),
            ("SUCCEEDED", "FAILED")
        );
        let phases = good.record["phases"].as_array().unwrap();
        let names: Vec<_> = phases
            .iter()
            .map(|phase| phase["phaseType"].as_str().unwrap())
            .collect();
        assert_eq!(names[..3], ["SUBMITTED", "QUEUED", "PROVISIONING"]);
        assert_eq!(names.last(), Some(&"COMPLETED"));
        assert_eq!(good.record["startTime"], phases[0]["startTime"]);
        assert_eq!(phases[1]["endTime"], phases[2]["startTime"]);
        assert_eq!((bad.number, &bad.record["buildNumber"]), (2, &json!(2)));
        assert_eq!(
            bad.record["phases"]
                .as_array()
                .unwrap()
                .iter()
                .find(|phase| phase["phaseType"] == "BUILD")
                .unwrap()["phaseStatus"],
            "FAILED"
        );
        worker.signal(Signal::SIGTERM);
        assert_eq!(worker.finish().exit_code, Some(0));
        assert!(
            site.test.store.agents().await.unwrap().is_empty(),
            "it said farewell"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_leaves_the_container_of_another_alone() {
    let site = Site::new(Engine::Sqlite).await;
    let build = site.submit(&["true"]).await;
    // Another agent of this engine, which lost the build before its first command.
    let lease = site.test.lease("other").await.expect("a build waits");
    let name = format!("--name=buildspec-agent-{}", build.id.uuid);
    let image = engine::test_image();
    let left = engine::docker(&["create", &name, &image, "true"]);
    let left = left.trim().to_owned();
    let store = &site.test.store;
    let given_up = store.give_up(&lease.fence, "gone", CommandsRan::No).await;
    given_up.expect("it is its lease");
    let worker = site.start();
    let ended = site.test.ended(&build.id).await;
    worker.signal(Signal::SIGTERM);
    assert_eq!(worker.finish().exit_code, Some(0));
    let containers = engine::docker(&["ps", "--all", "--quiet", "--no-trunc"]);
    engine::remove(std::slice::from_ref(&left));
    assert_eq!(ended.status, "SUCCEEDED", "{}", ended.record);
    assert!(containers.contains(&left), "{containers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_says_whose_it_is() {
    let site = Site::new(Engine::Sqlite).await;
    let build = site.submit(&["sleep 1000"]).await;
    let worker = site.start();
    site.test.until(&build.id, runs).await;
    let name = format!("buildspec-agent-{}", build.id.uuid);
    let format = "{{range $label, $value := .Config.Labels}}{{$label}}={{$value}} {{end}}";
    let labels = engine::docker(&["inspect", "--format", format, &name]);
    for label in [
        format!("buildspec-agent.build={}", build.id.uuid),
        "buildspec-agent.attempt=1".to_owned(),
        format!(
            "buildspec-agent.data-directory={}",
            site.project.data_directory().display()
        ),
    ] {
        assert!(labels.split(' ').any(|found| found == label), "{labels}");
    }
    site.says(&["stop", &build.id.to_string()]);
    assert_eq!(site.test.ended(&build.id).await.status, "STOPPED");
    worker.signal(Signal::SIGTERM);
    assert_eq!(worker.finish().exit_code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_builds_run_at_once() {
    let site = Site::new(Engine::Sqlite).await;
    let worker = site.start();
    // Each goes on until it is stopped.
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().to_str().unwrap();
    let mut builds = Vec::new();
    for number in 0..4 {
        let output = site.says(&[
            "submit",
            source,
            "--build-command",
            &format!("sleep {}", 1000 + number),
        ]);
        builds.push(output.trim().parse().unwrap());
    }
    for id in &builds {
        site.test.until(id, runs).await;
    }
    let stopped = site.says(&["stop", &builds[0].to_string(), &builds[1].to_string()]);
    assert_eq!(stopped.lines().count(), 2);
    for id in &builds[..2] {
        assert_eq!(site.test.ended(id).await.status, "STOPPED");
    }
    for id in &builds[2..] {
        assert!(runs(&site.test.build(id).await));
        site.says(&["stop", &id.to_string()]);
        site.test.ended(id).await;
    }
    worker.signal(Signal::SIGINT);
    assert_eq!(worker.finish().exit_code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_drains_ends_its_builds_and_takes_no_others() {
    let site = Site::new(Engine::Postgres).await;
    let worker = site.start();
    let first = site.submit(&["sleep 5", "true"]).await;
    site.test.until(&first.id, runs).await;
    worker.signal(Signal::SIGTERM);
    // It is heard before the next look at the queue.
    let why = async || site.says(&["builds", "why", &first.id.to_string()]);
    assert!(why().await.contains("it runs on worker"));
    until("nothing new is taken", async || site.is_closed().await).await;
    let second = site.submit(&["true"]).await;
    assert_eq!(worker.finish().exit_code, Some(0));
    assert_eq!(site.test.build(&first.id).await.status, "SUCCEEDED");
    assert_eq!(site.test.build(&second.id).await.status, "IN_PROGRESS");
    let why = site.says(&["builds", "why", &second.id.to_string()]);
    assert!(why.contains("no living worker"), "{why}");
    let next = site.start();
    assert_eq!(site.test.ended(&second.id).await.status, "SUCCEEDED");
    next.signal(Signal::SIGTERM);
    next.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_goes_on_while_its_worker_is_replaced() {
    for ways in [&[Signal::SIGKILL][..], &[Signal::SIGTERM, Signal::SIGTERM]] {
        let site = Site::new(Engine::Sqlite).await;
        let worker = site.start();
        let build = site.submit(&["sleep 4", "true"]).await;
        site.test.until(&build.id, runs).await;
        for signal in ways {
            worker.signal(*signal);
            if *signal == Signal::SIGTERM {
                // Two signals at once may arrive as one.
                until("nothing new is taken", async || site.is_closed().await).await;
            }
        }
        worker.finish();
        let next = site.start();
        let ended = site.test.ended(&build.id).await;
        assert_eq!(ended.status, "SUCCEEDED", "{ways:?}: {}", ended.record);
        next.signal(Signal::SIGTERM);
        assert_eq!(next.finish().exit_code, Some(0));
        let left = engine::containers_of(&site.project.data_directory());
        assert!(left.is_empty(), "{left:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_has_one_worker() {
    let site = Site::new(Engine::Sqlite).await;
    let build = site.submit(&["true"]).await;
    let worker = site.start();
    site.test.ended(&build.id).await;
    let second = site.start().finish();
    assert_eq!(second.exit_code, Some(3));
    assert!(
        second.stderr.contains("another worker"),
        "{}",
        second.stderr
    );
    worker.signal(Signal::SIGTERM);
    worker.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_taken_below_the_disk_floor() {
    let site = Site::new(Engine::Sqlite).await;
    let config = "[worker]\ndisk_floor_mib = 4000000000\nlease_secs = 3\n";
    std::fs::write(site.project.root().join("config.toml"), config).unwrap();
    let build = site.submit(&["true"]).await;
    // What only makes later builds faster, and a record.
    let spec = "{version: 0.2, phases: {build: {commands: [touch a]}}, cache: {paths: [a]}}";
    std::fs::write(site.project.source().join("buildspec.yml"), spec).unwrap();
    site.project.run(&[]);
    assert_eq!(caches(&site.project), 1);
    let data = site.project.data_directory();
    let [mirror, log] =
        ["sources/mirrors/a-whole", "logs/group/stream"].map(|path| data.join(path));
    for directory in [&mirror, &data.join("sources/locks"), log.parent().unwrap()] {
        std::fs::create_dir_all(directory).unwrap();
    }
    std::fs::write(&log, "1 line\n").unwrap();
    let worker = site.start();
    let mut why = String::new();
    until("nothing new is taken", async || {
        why = site.says(&["builds", "why", &build.id.to_string()]);
        why.contains("takes nothing new")
    })
    .await;
    assert!(
        why.contains("less than the 4000000000 it keeps free"),
        "{why}"
    );
    assert_eq!(caches(&site.project), 0, "caches go first");
    assert!(!mirror.exists() && log.exists(), "then mirrors, and no log");
    worker.signal(Signal::SIGTERM);
    worker.finish();
    assert_eq!(site.test.build(&build.id).await.status, "IN_PROGRESS");
}

/// How many caches a data directory has, in use or about to be removed.
fn caches(project: &Project) -> usize {
    let files = tests::read_tree(&project.data_directory().join("cache"));
    files
        .keys()
        .filter(|path| path.ends_with("meta.json"))
        .count()
}
