//! Workers die and the database crashes, and every build has one outcome all the same.

use std::process::Command;

use agent::model::BuildId;
use agent::store::NewBuild;
use nix::sys::signal::Signal;
use serde_json::json;
use tests::postgres::{Durability, Postgres};
use tests::stores::{TestStore, build, request};
use tests::{Project, Running, engine};

/// Builds that go through it.
const BUILDS: usize = 24;

/// A worker's machine.
struct Machine {
    project: Project,
    address: String,
}

impl Machine {
    fn new(address: &str) -> Self {
        let config = "[worker]\nconcurrent_builds = 2\nlease_secs = 6\npoll_secs = 1\n\
            processors = 100\nmemory_mib = 1000000\n";
        Self {
            project: Project::empty().with_file("../config.toml", config),
            address: address.to_owned(),
        }
    }

    fn agent(&self, arguments: &[&str]) -> Command {
        let mut command = self.project.agent(arguments);
        command
            .env(
                "BUILDSPEC_AGENT_CONFIG",
                self.project.root().join("config.toml"),
            )
            .env("BUILDSPEC_AGENT_STORE", &self.address);
        command
    }

    fn start(&self) -> Running {
        Running::start(self.agent(&["worker"]))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_build_has_one_outcome_whoever_dies() {
    let server = Postgres::start(Durability::Full);
    let test = TestStore::on(&server).await;
    let machines = [(); 3].map(|()| Machine::new(&test.address));
    let [first, second, third] = machines.each_ref().map(Machine::start);
    let mut builds = Vec::new();
    for number in 0..BUILDS {
        let command = ["sleep 1", "true"][number % 2];
        let buildspec = json!({"version": 0.2, "phases": {"build": {"commands": [command]}}});
        let project = ["aa", "bb"][number % 2];
        let overrides = json!({"buildspecOverride": buildspec.to_string()});
        let build = NewBuild {
            request: request(project, &overrides),
            ..build(project)
        };
        builds.push(test.submit_as(build).await.id);
    }
    until_ended(&test, &builds, 3).await;
    kill(first);
    let first = machines[0].start();
    until_ended(&test, &builds, 8).await;
    server.restart();
    until_ended(&test, &builds, 13).await;
    kill(second);
    until_ended(&test, &builds, BUILDS).await;
    let mut faults = Vec::new();
    for id in &builds {
        let build = test.build(id).await;
        assert_eq!(build.record["buildComplete"], true, "{}", build.record);
        assert_eq!(build.record["buildStatus"], build.status);
        let phases = build.record["phases"].as_array().expect("there are phases");
        let completed = phases
            .iter()
            .filter(|phase| phase["phaseType"] == "COMPLETED");
        assert_eq!(completed.count(), 1, "{}", build.record);
        assert!(["SUCCEEDED", "FAULT"].contains(&build.status.as_str()));
        if build.status == "FAULT" {
            faults.push(build.record["phases"].to_string());
        }
    }
    // Two workers that run two builds each were killed.
    assert!(faults.len() <= 4, "{faults:#?}");
    for worker in [first, third] {
        worker.signal(Signal::SIGTERM);
        assert_eq!(worker.finish().exit_code, Some(0));
    }
    // What the one that stayed away had, it ends as soon as it is back.
    let second = machines[1].start();
    for machine in &machines {
        let data = machine.project.data_directory();
        while !engine::containers_of(&data).is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    }
    second.signal(Signal::SIGTERM);
    assert_eq!(second.finish().exit_code, Some(0));
}

fn kill(worker: Running) {
    worker.signal(Signal::SIGKILL);
    worker.finish();
}

/// Waits until so many builds are over.
async fn until_ended(test: &TestStore, builds: &[BuildId], count: usize) {
    for _ in 0..3000 {
        // While the database is away nobody knows.
        let known = test.store.builds(builds).await.unwrap_or_default();
        let ended = known.iter().filter(|build| build.ended_at.is_some());
        if ended.count() >= count {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{count} of the builds do not end");
}
