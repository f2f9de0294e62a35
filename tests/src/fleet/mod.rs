//! A fleet to which things happen: machines with one database, builds that go through it, and what has to
//! be true of every one of them afterwards.

mod machine;
mod plan;
mod verdict;

use std::time::{Duration, Instant};

use agent::model::BuildId;
use agent::store::NewBuild;
use nix::sys::signal::Signal;
use serde_json::json;
use tokio::time::sleep;

pub use machine::{Equipment, Machine};
pub use plan::{Fault, Plan, Step};
pub use verdict::Verdict;

use crate::postgres::{Durability, Postgres};
use crate::s3_server::S3Server;
use crate::stores::{TestStore, build, request};

/// By how much the clock of a machine is set forward: less than what AWS forgives.
const CLOCK_STEP: Duration = Duration::from_mins(10);

/// By how much the database's is: more than a lease.
const DATABASE_CLOCK_STEP: Duration = Duration::from_secs(8);

/// Time between two looks at the builds.
const LOOK: Duration = Duration::from_millis(200);

/// Lines that each build writes.
pub const LINES: usize = 300;

/// A fleet.
#[derive(Debug)]
pub struct Fleet {
    /// The machines.
    pub machines: Vec<Machine>,
    /// The store, reached past all that happens.
    pub test: TestStore,
    /// The buckets `artifacts` and `logs`.
    pub s3: S3Server,
    /// The database server.
    pub server: Postgres,
}

impl Fleet {
    /// A fleet of so many machines, none of which works yet.
    pub async fn new(machines: usize, equipment: Equipment) -> Self {
        let server = Postgres::start(Durability::Full);
        let test = TestStore::on(&server).await;
        test.run(verdict::WITNESS).await;
        let s3 = S3Server::start(&["artifacts", "logs"]);
        let machines = (0..machines)
            .map(|_| Machine::new(&server, &test, s3.environment(), equipment))
            .collect();
        Self {
            machines,
            test,
            s3,
            server,
        }
    }

    /// Queues a build that writes numbered lines, takes so many seconds, and yields its identity as an
    /// artifact.
    pub async fn submit(&self, number: usize, seconds: usize) -> BuildId {
        let talk =
            format!("for n in $(seq {LINES}); do echo \"line $n of $CODEBUILD_BUILD_ID\"; done");
        let buildspec = json!({"version": 0.2,
            "phases": {"build": {"commands": [
                "printf %s \"$CODEBUILD_BUILD_ID\" > result",
                talk,
                format!("sleep {seconds}"),
                "echo the end"]}},
            "artifacts": {"files": ["result"]}});
        let overrides = json!({
            "buildspecOverride": buildspec.to_string(),
            "artifactsOverride": {"type": "S3", "location": "artifacts", "namespaceType": "BUILD_ID"},
            "logsConfigOverride": {
                "cloudWatchLogs": {"status": "DISABLED"},
                "s3Logs": {"status": "ENABLED", "location": "logs", "encryptionDisabled": true}},
        });
        let project = ["aa", "bb", "cc"][number % 3];
        let build = NewBuild {
            request: request(project, &overrides),
            ..build(project)
        };
        self.test.submit_as(build).await.id
    }

    /// Lets a plan happen while builds go through, and gives what became of them. `tell` hears what goes on.
    pub async fn endure(&mut self, plan: &Plan, limit: Duration, tell: impl Fn(&str)) -> Verdict {
        let deadline = Instant::now() + limit;
        for machine in &mut self.machines {
            machine.start();
        }
        let mut builds = Vec::new();
        for number in 0..plan.builds {
            builds.push(self.submit(number, number % 3).await);
        }
        for step in &plan.steps {
            self.until_ended(&builds, step.after, deadline).await;
            tell(&step.to_string());
            self.happen(step).await;
        }
        self.until_ended(&builds, builds.len(), deadline).await;
        tell("all builds are over");
        for machine in &mut self.machines {
            let code = machine.drain();
            assert_eq!(
                code,
                Some(0),
                "a worker ends in good order: {}",
                machine.log()
            );
        }
        Verdict::of(self, &builds).await
    }

    /// Lets one thing happen, for as long as it lasts.
    async fn happen(&mut self, step: &Step) {
        let machine = &mut self.machines[step.machine];
        match step.fault {
            Fault::Killed => {
                machine.kill();
                machine.start();
            }
            Fault::Away => machine.kill(),
            Fault::Frozen => machine.signal(Signal::SIGSTOP),
            Fault::CutOff => machine.database.cut(),
            Fault::Deaf => machine.database.hang(),
            Fault::EngineHangs => machine.engine.hang(),
            Fault::DiskFull => machine.fill_disk(),
            Fault::ClockSet => machine.set_clock(CLOCK_STEP),
            Fault::DatabaseCrashes => self.server.restart(),
            Fault::DatabaseClockSet => self.test.step(DATABASE_CLOCK_STEP).await,
        }
        sleep(step.lasting).await;
        let machine = &mut self.machines[step.machine];
        match step.fault {
            Fault::Away => machine.start(),
            Fault::Frozen => machine.signal(Signal::SIGCONT),
            Fault::CutOff | Fault::Deaf => machine.database.heal(),
            Fault::EngineHangs => machine.engine.heal(),
            Fault::DiskFull => machine.empty_disk(),
            Fault::ClockSet => machine.set_clock(Duration::ZERO),
            Fault::Killed | Fault::DatabaseCrashes | Fault::DatabaseClockSet => {}
        }
    }

    /// Waits until so many builds are over.
    pub async fn until_ended(&self, builds: &[BuildId], count: usize, deadline: Instant) {
        loop {
            // While the database is away nobody knows.
            let known = self.test.store.builds(builds).await.unwrap_or_default();
            let open: Vec<_> = known
                .iter()
                .filter(|build| build.ended_at.is_none())
                .collect();
            if known.len() == builds.len() && builds.len() - open.len() >= count {
                return;
            }
            if Instant::now() > deadline {
                let open = open.iter().map(|build| build.record.to_string());
                let logs = self.machines.iter().map(Machine::log);
                panic!(
                    "{count} of the builds do not end in time; open:\n{}\nthe workers said:\n{}",
                    open.collect::<Vec<_>>().join("\n"),
                    logs.collect::<Vec<_>>().join("\n---\n")
                );
            }
            sleep(LOOK).await;
        }
    }
}
