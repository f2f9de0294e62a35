//! What a build says of itself on its way: how far it is goes to the store, its log to a file for later readers, its
//! outcome to the disk before anything of it leaves this machine.

use std::future::pending;
use std::io;
use std::time::Duration;

use async_trait::async_trait;
use executor::protocol::Event;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::sleep;

use super::Node;
use super::outcomes::Pending;
use super::record::{final_record, with_phases};
use super::running::Slot;
use crate::logs::{KeptLog, LogSink, Moment, Permit};
use crate::model::{Build, BuildPhase};
use crate::store::{Ended, Fence, StoreError};

/// Time between two attempts at writing down how far a build is.
const PAUSE: Duration = Duration::from_secs(1);

/// How far a build is.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Course {
    phases: Vec<BuildPhase>,
    resolved_source_version: Option<String>,
    has_started: bool,
}

/// Writes down how far the build is. Steps that follow each other faster than the store writes become
/// one. Commands are permitted once it is written that they may have run: from then on the build does not
/// run again elsewhere. While the store is away, builds wait there.
pub(super) async fn tell(
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
pub(super) struct Reporter<'a> {
    pub(super) node: &'a Node,
    pub(super) slot: &'a Slot<'a>,
    pub(super) fence: &'a Fence,
    pub(super) record: &'a Value,
    pub(super) course: watch::Sender<Course>,
    pub(super) permitted: watch::Receiver<bool>,
    /// Where the log is kept for later readers.
    pub(super) kept: Option<KeptLog>,
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
