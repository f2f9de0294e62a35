//! One leased build: run here, its progress and its outcome written to the store.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use executor::protocol::Event;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::Node;
use super::outcomes::{Outcomes, Pending};
use crate::build::{self, Outcome};
use crate::logs::LogSink;
use crate::model::{Build, BuildPhase, DetailedReport};
use crate::store::{Ended, Fence, Lease, NewReport, StoreError};

/// Time between two attempts at writing down how far a build is.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest time between two attempts at writing an outcome.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Time between two looks whether an earlier attempt has ended here.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Runs a build to its end, and writes its outcome.
pub(super) async fn run(node: Arc<Node>, lease: Lease) {
    let Lease {
        fence,
        resources,
        request,
        record,
    } = lease;
    let build = &fence.build;
    tracing::info!(build.id = %build, "leased build {build}, attempt {}", fence.attempt);
    // An attempt that was lost and came back to this worker waits for the end of the one before.
    while node.running.has(build.uuid) {
        sleep(LOOK_AGAIN).await;
    }
    let slot = node.running.enter(&fence, resources);
    let (course, told) = watch::channel(Course::default());
    let (permit, permitted) = watch::channel(false);
    let running = async {
        let mut sink = Reporter {
            fence: &fence,
            record: &record,
            outcomes: &node.outcomes,
            // Goes with the sink, and so ends the telling.
            course,
            permitted,
        };
        build::run(&request, &node.tools, &mut sink, &slot.stop).await
    };
    let telling = tell(&node, &fence, &record, (told, permit));
    let (outcome, ()) = tokio::join!(running, telling);
    let status = outcome.build.build_status;
    let pending = Pending {
        ended: ended(&outcome, &record),
        fence: fence.clone(),
    };
    if let Err(error) = node.outcomes.keep(&pending) {
        tracing::warn!("cannot keep the outcome of build {build}: {error}");
    }
    slot.over();
    deliver(&node, pending).await;
    tracing::info!(build.id = %build, "build {build} {}", status.name());
}

/// How far a build is.
#[derive(Debug, Clone, Default, PartialEq)]
struct Course {
    phases: Vec<BuildPhase>,
    has_started: bool,
}

/// Writes down how far the build is. Steps that follow each other faster than the store writes become
/// one. Commands are permitted once it is written that they may have run: from then on the build does not
/// run again elsewhere. While the store is away, builds wait there.
async fn tell(
    node: &Node,
    fence: &Fence,
    record: &Value,
    (mut course, permit): (watch::Receiver<Course>, watch::Sender<bool>),
) {
    while course.changed().await.is_ok() {
        let step = course.borrow_and_update().clone();
        let told = with_phases(record.clone(), record, &json!(step.phases));
        match node.store.progress(fence, told, step.has_started).await {
            Ok(()) if step.has_started => drop(permit.send_replace(true)),
            Ok(()) => {}
            // The heartbeat learns of it too, and stops the build.
            Err(StoreError::LeaseLost { .. }) => return,
            Err(error) => {
                tracing::warn!(
                    "the store does not hear how far build {} is: {error:#}",
                    fence.build
                );
                sleep(PAUSE).await;
                course.mark_changed();
            }
        }
        if course.has_changed().is_err() {
            return;
        }
    }
}

/// Hears what the build does, and keeps its outcome before anything of it leaves this machine.
struct Reporter<'a> {
    fence: &'a Fence,
    record: &'a Value,
    outcomes: &'a Outcomes,
    course: watch::Sender<Course>,
    permitted: watch::Receiver<bool>,
}

#[async_trait]
impl LogSink for Reporter<'_> {
    fn log(&mut self, _time_micros: u64, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn event(&mut self, _time_micros: u64, _event: &Event) -> io::Result<()> {
        Ok(())
    }

    fn phases(&mut self, phases: &[BuildPhase]) {
        self.course.send_if_modified(|course| {
            let changes = course.phases != phases;
            course.phases = phases.to_vec();
            changes
        });
    }

    async fn commands_follow(&mut self) {
        self.course.send_modify(|course| course.has_started = true);
        let permitted = self.permitted.wait_for(|permitted| *permitted);
        let is_permitted = permitted.await.is_ok();
        if !is_permitted {
            // The lease is lost: nothing of the build runs any more, and it is about to be stopped.
            pending::<()>().await;
        }
    }

    fn finished(&mut self, build: &Build) -> io::Result<()> {
        let ended = Ended {
            status: build.build_status,
            record: final_record(build, self.record),
            reports: Vec::new(),
            report_groups: Vec::new(),
        };
        self.outcomes.keep(&Pending {
            fence: self.fence.clone(),
            ended,
        })
    }
}

/// The outcome as the store takes it.
fn ended(outcome: &Outcome, record: &Value) -> Ended {
    let reports = outcome.reports.iter().map(report);
    let groups = outcome.reports.iter().map(group);
    Ended {
        status: outcome.build.build_status,
        record: final_record(&outcome.build, record),
        reports: reports.collect(),
        report_groups: groups.collect(),
    }
}

/// The record of a build that is over.
fn final_record(build: &Build, before: &Value) -> Value {
    let mut record = json!(build);
    record["startTime"] = before["startTime"].clone();
    if let Some(config) = before.get("autoRetryConfig") {
        record["autoRetryConfig"] = config.clone();
    }
    let phases = record["phases"].clone();
    with_phases(record, before, &phases)
}

/// Puts the phases of a build into its record. The time before its lease is what the store wrote down.
fn with_phases(mut record: Value, before: &Value, phases: &Value) -> Value {
    let mut phases = phases.as_array().cloned().unwrap_or_default();
    if let [submitted, queued, ..] = phases.as_mut_slice() {
        *submitted = before["phases"][0].clone();
        let began = before["phases"][1]["startTime"].clone();
        let waited = queued["endTime"].as_f64().zip(began.as_f64());
        let waited = waited.map_or(0.0, |(end, start)| (end - start).max(0.0));
        queued["startTime"] = began;
        queued["durationInSeconds"] = json!(whole(waited));
    }
    if let Some(phase) = phases.last() {
        record["currentPhase"] = phase["phaseType"].clone();
    }
    record["phases"] = phases.into();
    record
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a time in the queue is far below the limits of either type"
)]
fn whole(seconds: f64) -> i64 {
    seconds as i64
}

fn report(detailed: &DetailedReport) -> NewReport {
    NewReport {
        arn: detailed.report.arn.clone(),
        group_arn: detailed.report.report_group_arn.clone(),
        status: detailed.report.status.name().to_owned(),
        report: json!(detailed.report),
        details: json!({
            "testCases": detailed.test_cases,
            "codeCoverages": detailed.code_coverages,
        }),
    }
}

/// The group of a report, made unless there is one: those of buildspecs export nothing (API,
/// `ReportGroup`).
fn group(detailed: &DetailedReport) -> (String, Value) {
    let report = &detailed.report;
    let body = json!({
        "arn": report.report_group_arn,
        "name": report.name,
        "type": report.r#type,
        "exportConfig": {"exportConfigType": "NO_EXPORT"},
        "status": "ACTIVE",
    });
    (report.name.clone(), body)
}

/// Writes an outcome, however long the store is away. Nobody wants it if the lease is another's.
async fn deliver(node: &Node, pending: Pending) {
    let Pending { fence, ended } = pending;
    let mut pause = Duration::from_secs(1);
    loop {
        match node.store.finish(&fence, ended.clone()).await {
            Ok(()) => break,
            Err(error @ StoreError::LeaseLost { .. }) => {
                tracing::warn!("an outcome was not written: {error}");
                break;
            }
            Err(error) => {
                tracing::warn!(
                    "cannot write the outcome of build {}, trying again: {error:#}",
                    fence.build
                );
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
    node.outcomes.forget(fence.build.uuid);
}

/// Takes up what the worker before has left: outcomes that the store does not have yet, and leases.
pub(super) async fn take_up(node: &Arc<Node>, builds: &mut JoinSet<()>) {
    let kept = node.outcomes.all().unwrap_or_else(|error| {
        tracing::warn!("cannot look for outcomes that were not written: {error}");
        Vec::new()
    });
    let over: Vec<Fence> = kept.iter().map(|pending| pending.fence.clone()).collect();
    for pending in kept {
        let node = Arc::clone(node);
        builds.spawn(async move { deliver(&node, pending).await });
    }
    let life = node.tools.config.worker.lease();
    let held = match node.store.heartbeat(&node.description(), &over, life).await {
        Ok(held) => held,
        Err(error) => {
            // They run out, and are dealt with as those of any lost worker.
            tracing::warn!("cannot ask for the leases of the worker before: {error:#}");
            return;
        }
    };
    for lease in held {
        if over.contains(&lease.fence) {
            continue;
        }
        let done = node
            .store
            .give_up(&lease.fence, "its agent was restarted")
            .await;
        if let Err(error) = done {
            tracing::warn!("a build of the worker before is left to its lease: {error:#}");
        }
    }
}
