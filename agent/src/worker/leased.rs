//! One leased build: run here, its progress and its outcome written to the store.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use executor::protocol::Event;
use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};
use tokio::time::sleep;

use super::Node;
use super::outcomes::Pending;
use super::running::Slot;
use crate::build::{self, Abort, NotBegun, Outcome, Tools};
use crate::data_directory::BuildDirectory;
use crate::logs::{KeptLog, KeptLogs, LogSink, Moment, Permit};
use crate::model::{Build, BuildPhase, BuildRequest, DetailedReport};
use crate::store::{
    CommandsRan, Ended, Fence, Lease, Needs, NewReport, Resources, StoreError, StoredBuild,
};

/// Time between two attempts at writing down how far a build is.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest time between two attempts at writing an outcome.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Time between two looks whether an earlier attempt has ended here.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Runs a build to its end, and writes its outcome. `entered` goes once it has its place.
pub(super) async fn run(
    node: Arc<Node>,
    lease: Lease,
    permit: Permit,
    entered: oneshot::Sender<()>,
) {
    let mut entered = Some(entered);
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
        entered = None;
        sleep(LOOK_AGAIN).await;
    }
    let kept = keep_log(&node.tools, &request);
    let way = Way::FromTheStart(Box::new(request));
    let slot = node.running.enter(&fence, resources, permit);
    drop(entered);
    bring_to_its_end(&node, &slot, fence, (record, kept), way).await;
}

/// Brings a build of the worker before to its end, from its directory.
pub(super) async fn go_on(node: Arc<Node>, fence: Fence, directory: BuildDirectory) {
    let build = &fence.build;
    let known = node.store.builds(std::slice::from_ref(build)).await;
    let known = known.ok().and_then(|mut builds| builds.pop());
    let Some(StoredBuild {
        request, record, ..
    }) = known
    else {
        tracing::warn!("the store does not say what build {build} is: it is left to its lease");
        return;
    };
    let share = node.agent.share(&Needs::of(&request));
    let share = share.unwrap_or(Resources::NONE);
    tracing::info!(build.id = %build, "build {build}, attempt {}, is taken up", fence.attempt);
    let kept = keep_log(&node.tools, &request);
    let way = Way::FromWhereItWasLeft(directory);
    // The next sign of life tells for how long it is this worker's.
    let slot = node.running.enter(&fence, share, Permit::unconfirmed());
    bring_to_its_end(&node, &slot, fence, (record, kept), way).await;
}

/// How a build gets to its end.
enum Way {
    /// Nothing of it has been done.
    FromTheStart(Box<BuildRequest>),
    /// A worker before has left it.
    FromWhereItWasLeft(BuildDirectory),
}

/// Brings a build to its end, tells the store how far it is, and writes its outcome. One of which
/// nothing has run is given back.
async fn bring_to_its_end(
    node: &Node,
    slot: &Slot<'_>,
    fence: Fence,
    (record, kept): (Value, Option<KeptLog>),
    way: Way,
) {
    let (course, told) = watch::channel(Course::default());
    let (permit, permitted) = watch::channel(false);
    let running = async {
        let mut sink = Reporter {
            node,
            slot,
            fence: &fence,
            record: &record,
            // Goes with the sink, and so ends the telling.
            course,
            permitted,
            kept,
        };
        match way {
            Way::FromTheStart(request) => {
                Ok(build::run(&request, &node.tools, &mut sink, &slot.stop).await)
            }
            Way::FromWhereItWasLeft(directory) => {
                build::recover(directory, &node.tools, &mut sink, &slot.stop).await
            }
        }
    };
    let telling = tell(node, slot, (&fence, &record), (told, permit));
    let (outcome, ()) = tokio::join!(running, telling);
    let (reason, ran) = match outcome {
        Ok(Outcome {
            abort: Some(Abort::Fault(error)),
            ..
        }) if error.is::<NotBegun>() => (error.to_string(), CommandsRan::No),
        Ok(outcome) => {
            return conclude(node, slot, fence, ended(&outcome, &record)).await;
        }
        Err(error) => (
            format!("{:#}", anyhow::Error::from(error)),
            CommandsRan::MaybeSo,
        ),
    };
    let build = &fence.build;
    node.outcomes.forget(build.uuid);
    if let Err(error) = node.store.give_up(&fence, &reason, ran).await {
        tracing::warn!("build {build} is left to its lease: {error:#}");
    }
}

/// Writes the outcome of a build that takes nothing of this machine any more.
async fn conclude(node: &Node, slot: &Slot<'_>, fence: Fence, ended: Ended) {
    slot.over();
    let build = fence.build.clone();
    let status = ended.status.name();
    let pending = Pending { fence, ended };
    if let Err(error) = node.outcomes.keep(&pending) {
        tracing::warn!("cannot keep the outcome of build {build}: {error}");
    }
    deliver(node, pending).await;
    tracing::info!(build.id = %build, "build {build} {status}");
}

/// How far a build is.
#[derive(Debug, Clone, Default, PartialEq)]
struct Course {
    phases: Vec<BuildPhase>,
    resolved_source_version: Option<String>,
    has_started: bool,
}

/// Writes down how far the build is. Steps that follow each other faster than the store writes become
/// one. Commands are permitted once it is written that they may have run: from then on the build does not
/// run again elsewhere. While the store is away, builds wait there.
async fn tell(
    node: &Node,
    slot: &Slot<'_>,
    (fence, record): (&Fence, &Value),
    (mut course, permit): (watch::Receiver<Course>, watch::Sender<bool>),
) {
    while course.changed().await.is_ok() {
        let step = course.borrow_and_update().clone();
        let mut told = with_phases(record.clone(), record, &json!(step.phases));
        if let Some(version) = &step.resolved_source_version {
            told["resolvedSourceVersion"] = version.as_str().into();
        }
        match node.store.progress(fence, told, step.has_started).await {
            Ok(()) if step.has_started => drop(permit.send_replace(true)),
            Ok(()) => {}
            Err(StoreError::LeaseLost { .. }) => return slot.lost(),
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
    node: &'a Node,
    slot: &'a Slot<'a>,
    fence: &'a Fence,
    record: &'a Value,
    course: watch::Sender<Course>,
    permitted: watch::Receiver<bool>,
    /// Where the log is kept for later readers.
    kept: Option<KeptLog>,
}

/// Opens the log that is kept of a build. A build runs all the same where none can be kept.
fn keep_log(tools: &Tools, request: &BuildRequest) -> Option<KeptLog> {
    let (group, stream) = request.log_stream();
    let opened = KeptLogs::new(tools.data.kept_logs()).write(&group, &stream);
    opened
        .map_err(|error| tracing::warn!("the log of build {} is not kept: {error}", request.id))
        .ok()
}

impl Reporter<'_> {
    /// Writes to the kept log; the first failure is told, and the last.
    fn keep(&mut self, write: impl FnOnce(&mut KeptLog) -> io::Result<()>) {
        if let Some(Err(error)) = self.kept.as_mut().map(write) {
            tracing::warn!(
                "the rest of the log of build {} is not kept: {error}",
                self.fence.build
            );
            self.kept = None;
        }
    }
}

#[async_trait]
impl LogSink for Reporter<'_> {
    fn log(&mut self, time_micros: u64, bytes: &[u8]) -> io::Result<()> {
        self.keep(|kept| kept.log(time_micros, bytes));
        Ok(())
    }

    fn event(&mut self, _time_micros: u64, _event: &Event) -> io::Result<()> {
        Ok(())
    }

    fn resolved(&mut self, version: &str) {
        self.course.send_if_modified(|course| {
            let changes = course.resolved_source_version.as_deref() != Some(version);
            course.resolved_source_version = Some(version.to_owned());
            changes
        });
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

    fn permit(&self) -> Permit {
        self.slot.permit.clone()
    }

    async fn writes_follow(&mut self) -> bool {
        let life = self.node.config().lease();
        loop {
            let asked = Moment::now();
            match self.node.store.confirm(self.fence, life).await {
                Ok(()) => {
                    self.slot.permit.confirm(asked, life);
                    return true;
                }
                Err(StoreError::LeaseLost { .. }) => {
                    self.slot.lost();
                    return false;
                }
                Err(error) => {
                    tracing::warn!(
                        "the store does not say whose build {} is, what it yields waits: {error:#}",
                        self.fence.build
                    );
                    sleep(PAUSE).await;
                }
            }
        }
    }

    fn finished(&mut self, build: &Build) -> io::Result<()> {
        self.keep(|kept| kept.finished(build));
        let ended = Ended {
            status: build.build_status,
            record: final_record(build, self.record),
            reports: Vec::new(),
            report_groups: Vec::new(),
        };
        self.node.outcomes.keep(&Pending {
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
pub(super) async fn deliver(node: &Node, pending: Pending) {
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
