//! What a build says on its way: the agent's view of the spool, of the phases and of the results.

use std::io;
use std::path::Path;
use std::sync::Arc;

use executor::protocol::spool::{Body, Position, Record};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::chronicle::{Chronicle, ChronicleError, Entry};
use super::learnt::{Ended, Learnt};
use super::phases::Phases;
use super::reading::{JournalError, Reading};
use super::{Abort, Finished, Outcome};
use crate::logs::{AgentLog, Batch, LogSink, Permit, ReaderName, Spool, SpoolReader};
use crate::model::{Artifact, Build, BuildRequest, LogsLocation, PhaseContext, PhaseType, Status};
use crate::state_file;

/// The journal of one build.
pub(super) struct Journal<'a> {
    /// What is known so far.
    learnt: Learnt,
    reading: Option<Reading>,
    chronicle: Option<Chronicle>,
    /// Number of the first event that the chronicle does not have.
    next_event: u64,
    told_not_shown: bool,
    sink: &'a mut dyn LogSink,
}

impl<'a> Journal<'a> {
    /// An empty journal of a build in `PROVISIONING`.
    pub(super) fn new(sink: &'a mut dyn LogSink) -> Self {
        Self {
            learnt: Learnt::new(Phases::provisioning()),
            reading: None,
            chronicle: None,
            next_event: 0,
            told_not_shown: false,
            sink,
        }
    }

    /// Knows what another process has left in the file `chronicle`, and reads its spool on from where
    /// that process remembered to be.
    pub(super) fn take_up(
        &mut self,
        spool: &Arc<Spool>,
        chronicle: &Path,
    ) -> Result<(), JournalError> {
        let (chronicle, entries) = Chronicle::open(chronicle)?;
        self.learnt = Learnt::new(Phases::none());
        for entry in entries {
            if let Entry::Told { sequence, .. } = entry {
                self.next_event = sequence + 1;
            }
            self.learnt.learn(entry);
        }
        self.chronicle = Some(chronicle);
        let reader = spool.reader(ReaderName::Journal);
        let position = reader.mark()?.unwrap_or(Position::START);
        self.reading = Some(Reading::start(reader, position)?);
        Ok(())
    }

    /// Starts to read a new spool, whose first writer is the agent, and to keep what is learnt in the
    /// file `chronicle`.
    pub(super) fn start(
        &mut self,
        spool: &Arc<Spool>,
        chronicle: &Path,
    ) -> Result<AgentLog, Abort> {
        let (mut chronicle, _) = Chronicle::open(chronicle)?;
        for (phase, time) in self.learnt.phases.entered() {
            chronicle.add(&entered(phase, time))?;
        }
        self.chronicle = Some(chronicle);
        let reader = spool.reader(ReaderName::Journal);
        let log = self.read_from(reader, Position::START)?;
        Ok(log)
    }

    /// Reads what the writer before has left, after which the agent writes again. That writer must
    /// be done.
    pub(super) async fn resume(&mut self) -> Result<AgentLog, Abort> {
        self.drain().await?;
        let Some(Reading {
            reader, follower, ..
        }) = self.reading.take()
        else {
            return Err(anyhow::anyhow!("the build has no spool").into());
        };
        let next = Position {
            // A segment without a record in it is no place that a reader has been to.
            segment: reader.spool().last_segment()? + 1,
            offset: 0,
            sequence: follower.position().sequence,
        };
        self.read_from(reader, next)
    }

    fn read_from(&mut self, reader: SpoolReader, start: Position) -> Result<AgentLog, Abort> {
        let spool = reader.spool().segments().to_owned();
        let log = AgentLog::start(spool, start.segment, start.sequence)?;
        self.reading = Some(Reading::start(reader, start)?);
        Ok(log)
    }

    /// Deals with the next records; gives `false` after the last one of a spool that nobody writes
    /// any more. Cancelling it loses nothing.
    pub(super) async fn advance(&mut self) -> Result<bool, JournalError> {
        let Some(reading) = &mut self.reading else {
            return Ok(false);
        };
        let Some(batch) = reading.follower.next().await else {
            return Ok(false);
        };
        let Batch { records, .. } = batch?;
        for (_, record) in records {
            self.deal_with(record)?;
        }
        if let Some(reading) = &mut self.reading {
            reading.keep()?;
        }
        Ok(true)
    }

    /// Shows what is written while something takes its time.
    pub(super) async fn show_during<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                // An error comes back with the next read, when somebody can be told.
                advanced = self.advance() => if !matches!(advanced, Ok(true)) {
                    return work.await;
                }
            }
        }
    }

    /// Says that nobody writes any more.
    pub(super) fn finish(&self) {
        if let Some(reading) = &self.reading {
            reading.follower.finish();
        }
    }

    /// Deals with all records there are.
    async fn drain(&mut self) -> Result<(), JournalError> {
        self.finish();
        while self.advance().await? {}
        Ok(())
    }

    fn deal_with(&mut self, record: Record) -> Result<(), JournalError> {
        let time_micros = record.time_micros;
        let shown = match record.body {
            Body::Log(bytes) => self.sink.log(time_micros, &bytes),
            // The process before has learnt and told it.
            Body::Event(_) if record.sequence < self.next_event => Ok(()),
            Body::Event(event) => {
                let shown = self.sink.event(time_micros, &event);
                self.learn(Entry::Told {
                    sequence: record.sequence,
                    time_micros,
                    event,
                })?;
                shown
            }
        };
        if let Err(error) = shown {
            not_shown(&error, &mut self.told_not_shown);
        }
        Ok(())
    }

    /// Learns something, and keeps it for a process that takes the build up.
    fn learn(&mut self, entry: Entry) -> Result<(), ChronicleError> {
        if let Some(chronicle) = &mut self.chronicle {
            chronicle.add(&entry)?;
        }
        self.learnt.learn(entry);
        self.tell();
        Ok(())
    }

    fn tell(&mut self) {
        if let Some(version) = &self.learnt.resolved_source_version {
            self.sink.resolved(version);
        }
        self.sink.phases(self.learnt.phases.so_far());
    }

    /// Enters a phase, as of now.
    pub(super) fn enter(&mut self, phase: PhaseType) -> Result<(), Abort> {
        Ok(self.learn(entered(phase, Timestamp::now()))?)
    }

    /// Leaves the present phase, as of now.
    pub(super) fn leave_as(&mut self, status: Status, context: Option<PhaseContext>) {
        self.learnt.phases.leave(status, context, Timestamp::now());
    }

    /// Whether the executor waits for a cache, since this was asked last.
    pub(super) fn take_cache_wanted(&mut self) -> bool {
        std::mem::take(&mut self.learnt.wants_cache)
    }

    /// What is known so far.
    pub(super) fn learnt(&self) -> &Learnt {
        &self.learnt
    }

    /// Remembers which commit the primary source is.
    pub(super) fn resolve(&mut self, version: String) -> Result<(), Abort> {
        Ok(self.learn(Entry::Resolved { version })?)
    }

    /// Remembers that an artifact is stored, so that nobody stores it again.
    pub(super) fn store(&mut self, index: usize, artifact: Artifact) -> Result<(), Abort> {
        Ok(self.learn(Entry::Stored { index, artifact })?)
    }

    /// Deals with all records there are of an executor that is dead. It is right to be so if it has
    /// ended the build.
    pub(super) async fn read_to_the_end(&mut self, death: Abort) -> Result<(), Abort> {
        self.drain().await?;
        if self.has_ended() { Ok(()) } else { Err(death) }
    }

    /// Says that commands of the build follow, and waits until they may.
    pub(super) async fn commands_follow(&mut self, stop: &CancellationToken) -> Result<(), Abort> {
        self.tell();
        let told = stop.run_until_cancelled(self.sink.commands_follow()).await;
        told.ok_or(Abort::Stopped)
    }

    /// Permission to write outside this machine.
    pub(super) fn permit(&self) -> Permit {
        self.sink.permit()
    }

    /// Says that something is about to be written outside this machine, and waits until it may be. A
    /// build that is somebody else's by now ends.
    pub(super) async fn writes_follow(&mut self, stop: &CancellationToken) -> Result<(), Abort> {
        let told = stop.run_until_cancelled(self.sink.writes_follow()).await;
        if told == Some(true) {
            Ok(())
        } else {
            Err(Abort::Stopped)
        }
    }

    /// Whether the executor is through.
    pub(super) fn has_ended(&self) -> bool {
        self.learnt.ended.is_some()
    }

    /// How the executor left the build.
    pub(super) fn ended(&self) -> Result<Ended, Abort> {
        self.learnt
            .ended
            .ok_or_else(|| anyhow::anyhow!("the executor has not ended the build").into())
    }

    /// Leaves the present phase as the abort says. Tells whether there was one that says it.
    pub(super) fn leave(&mut self, abort: &Abort) -> bool {
        let (status, context) = abort.phase_end();
        self.learnt.phases.leave(status, context, Timestamp::now())
    }

    /// Leaves the present phase as the abort says, in the record and in the log. Tells whether there was
    /// one that says it.
    pub(super) async fn abort(&mut self, abort: &Abort) -> bool {
        let is_told = self.leave(abort);
        let phase = self.learnt.phases.current();
        let (status, Some(context)) = abort.phase_end() else {
            return is_told;
        };
        let written = match self.resume().await {
            Ok(mut log) => match abort {
                // The log of CodeBuild ends with this one line.
                Abort::Source(failure) => log.output(&failure.log_line()),
                _ => log.phase_complete(phase.name(), status, &context),
            }
            .map_err(Abort::from),
            Err(error) => Err(error),
        };
        let shown = match written {
            Ok(()) => self.drain().await.map_err(Abort::from),
            Err(error) => Err(error),
        };
        if let Err(error) = shown {
            tracing::warn!("cannot complete the build's log: {error:?}");
        }
        is_told
    }

    /// Enters `FINALIZING`, unless the build never got as far or was cut off.
    pub(super) fn finalizing(&mut self) {
        if self.learnt.phases.reaches_finalizing() {
            self.learnt
                .phases
                .enter(PhaseType::Finalizing, Timestamp::now());
        }
    }

    /// Shows what is left of the log.
    pub(super) async fn show_rest(&mut self) -> Result<(), Abort> {
        Ok(self.drain().await?)
    }

    /// Ends the build. Its record is kept in the file `outcome`, if there is a place for it, before
    /// anybody is told.
    pub(super) fn close(
        mut self,
        request: &BuildRequest,
        ended: Result<Finished, Abort>,
        logs: Option<LogsLocation>,
        outcome: Option<&Path>,
    ) -> Outcome {
        let (finished, abort) = match ended {
            Ok(finished) => (finished, None),
            Err(abort) => (
                Finished {
                    status: abort.phase_end().0,
                    artifacts: Vec::new(),
                    reports: Vec::new(),
                },
                Some(abort),
            ),
        };
        let reports = || finished.reports.iter().map(|detailed| &detailed.report);
        let end_time = Timestamp::now();
        let build = Build {
            id: request.id.clone(),
            build_number: request.build_number,
            build_complete: true,
            build_status: finished.status,
            start_time: self.learnt.phases.start_time(),
            end_time,
            resolved_source_version: self.learnt.resolved_source_version,
            phases: self.learnt.phases.complete(end_time),
            exported_environment_variables: self.learnt.exported,
            artifacts: finished.artifacts,
            report_arns: reports().map(|report| report.arn.clone()).collect(),
            reports: reports().cloned().collect(),
            logs,
        };
        if let Some(Err(error)) = outcome.map(|path| state_file::write(path, &build)) {
            tracing::warn!("the outcome of build {} is not kept: {error}", build.id);
        }
        if let Err(error) = self.sink.finished(&build) {
            not_shown(&error, &mut self.told_not_shown);
        }
        Outcome {
            build,
            commands: self.learnt.commands,
            reports: finished.reports,
            abort,
        }
    }
}

fn entered(phase: PhaseType, time: Timestamp) -> Entry {
    Entry::Entered {
        phase,
        time_micros: time.as_microsecond(),
    }
}

/// The build goes on when its log cannot be shown. That the reader went away is its own wish;
/// anything else is said once.
fn not_shown(error: &io::Error, told: &mut bool) {
    if error.kind() != io::ErrorKind::BrokenPipe && !*told {
        *told = true;
        tracing::warn!("the log cannot be written to standard output: {error}");
    }
}
