//! What a build says on its way: the agent's view of the spool, of the phases and of the results.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use executor::protocol::spool::{Body, Position, Record};
use executor::protocol::{ArchiveSums, CommandUsage, Event, Exit};
use jiff::Timestamp;

use super::phases::Phases;
use super::{Abort, CommandRecord, Finished, Outcome};
use crate::logs::{AgentLog, Batch, FollowError, LogSink, SpoolFollower};
use crate::model::{Build, BuildRequest, ExportedVariable, PhaseContext, PhaseType, Status};

/// The journal of one build.
pub(super) struct Journal<'a> {
    /// The phases so far.
    pub(super) phases: Phases,
    /// What the collector reported, by the artifact's index in the plan.
    pub(super) collected: BTreeMap<usize, Collected>,
    /// The kept cache that was restored, by its name.
    pub(super) restored_cache: Option<String>,
    /// The name of the cache that lies in the channel.
    pub(super) saved_cache: Option<String>,
    /// The staged reports, by their numbers.
    pub(super) staged: BTreeMap<usize, StagedReport>,
    exported: Vec<ExportedVariable>,
    commands: Vec<CommandRecord>,
    ended: Option<Ended>,
    reading: Option<Reading>,
    told_not_shown: bool,
    sink: &'a mut dyn LogSink,
}

/// An artifact in the channel, or why it is not there.
#[derive(Debug)]
pub(super) enum Collected {
    /// It lies complete in the channel.
    Complete {
        /// Its evaluated name, if it has one.
        name: Option<String>,
        /// The archive it was packed into, if it was.
        archive: Option<ArchiveSums>,
    },
    /// It could not be collected.
    Failed(PhaseContext),
}

/// A report whose files lie in the channel.
#[derive(Debug)]
pub(super) struct StagedReport {
    /// The report group as the buildspec names it.
    pub(super) group: String,
    /// CodeBuild's name of the format.
    pub(super) format: String,
    /// Whether nobody named it.
    pub(super) discovered: bool,
    /// Number of files.
    pub(super) files: u64,
    /// Why not all files are there.
    pub(super) problem: Option<String>,
}

/// How the executor left the build.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    /// The build's status before `UPLOAD_ARTIFACTS`.
    pub(super) status: Status,
    /// Whether `UPLOAD_ARTIFACTS` is attempted.
    pub(super) upload: bool,
}

/// A spool that is being read.
#[derive(Debug)]
struct Reading {
    spool: PathBuf,
    follower: SpoolFollower,
    end: Position,
}

impl<'a> Journal<'a> {
    /// An empty journal of a build in `PROVISIONING`.
    pub(super) fn new(sink: &'a mut dyn LogSink) -> Self {
        Self {
            phases: Phases::provisioning(),
            collected: BTreeMap::new(),
            restored_cache: None,
            saved_cache: None,
            staged: BTreeMap::new(),
            exported: Vec::new(),
            commands: Vec::new(),
            ended: None,
            reading: None,
            told_not_shown: false,
            sink,
        }
    }

    /// Starts to read a new spool, whose first writer is the agent.
    pub(super) fn start(&mut self, spool: PathBuf) -> io::Result<AgentLog> {
        self.read_from(spool, Position::START)
    }

    /// Reads what the writer before has left, after which the agent writes again. That writer must
    /// be done.
    pub(super) async fn resume(&mut self) -> Result<AgentLog, Abort> {
        self.drain().await?;
        let Some(Reading { spool, end, .. }) = self.reading.take() else {
            return Err(anyhow::anyhow!("the build has no spool").into());
        };
        let next = Position {
            segment: end.segment + 1,
            offset: 0,
            sequence: end.sequence,
        };
        Ok(self.read_from(spool, next)?)
    }

    fn read_from(&mut self, spool: PathBuf, start: Position) -> io::Result<AgentLog> {
        let log = AgentLog::start(spool.clone(), start.segment, start.sequence)?;
        let follower = SpoolFollower::start(spool.clone(), start)?;
        self.reading = Some(Reading {
            spool,
            follower,
            end: start,
        });
        Ok(log)
    }

    /// Deals with the next records; gives `false` after the last one of a spool that nobody writes
    /// any more. Cancelling it loses nothing.
    pub(super) async fn advance(&mut self) -> Result<bool, FollowError> {
        let Some(reading) = &mut self.reading else {
            return Ok(false);
        };
        let Some(batch) = reading.follower.next().await else {
            return Ok(false);
        };
        let Batch { records, end } = batch?;
        reading.end = end;
        for record in records {
            self.deal_with(record);
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
    async fn drain(&mut self) -> Result<(), FollowError> {
        self.finish();
        while self.advance().await? {}
        Ok(())
    }

    fn deal_with(&mut self, record: Record) {
        let shown = match record.body {
            Body::Log(bytes) => self.sink.log(record.time_micros, &bytes),
            Body::Event(event) => {
                let shown = self.sink.event(record.time_micros, &event);
                self.learn(event, record.time_micros);
                shown
            }
        };
        if let Err(error) = shown {
            not_shown(&error, &mut self.told_not_shown);
        }
    }

    fn learn(&mut self, event: Event, time_micros: u64) {
        let time = i64::try_from(time_micros)
            .ok()
            .and_then(|micros| Timestamp::from_microsecond(micros).ok());
        let time = time.unwrap_or_else(Timestamp::now);
        match event {
            Event::PhaseStarted { phase } => self.phases.enter(phase.into(), time),
            Event::PhaseEnded {
                status, context, ..
            } => self.phases.leave(status, context, time),
            Event::Exported { variables } => {
                self.exported = variables
                    .into_iter()
                    .map(|(name, value)| ExportedVariable { name, value })
                    .collect();
            }
            Event::ArtifactCollected {
                index,
                name,
                archive,
                ..
            } => {
                self.phases.enter(PhaseType::UploadArtifacts, time);
                self.collected
                    .insert(index, Collected::Complete { name, archive });
            }
            Event::ArtifactFailed { index, context } => {
                self.phases.enter(PhaseType::UploadArtifacts, time);
                self.collected.insert(index, Collected::Failed(context));
            }
            Event::ReportStaged {
                index,
                group,
                format,
                discovered,
                files,
                problem,
            } => {
                self.phases.enter(PhaseType::UploadArtifacts, time);
                let report = StagedReport {
                    group,
                    format,
                    discovered,
                    files,
                    problem,
                };
                self.staged.insert(index, report);
            }
            Event::CacheRestored { entry } => self.restored_cache = Some(entry),
            Event::CacheSaved { entry, .. } => self.saved_cache = Some(entry),
            Event::Ended { status, upload } => self.ended = Some(Ended { status, upload }),
            Event::CommandStarted { phase, command, .. } => {
                self.commands.push(CommandRecord {
                    phase: phase.into(),
                    command,
                    ended: None,
                });
            }
            Event::CommandEnded { exit, usage } => self.command_ended(exit, usage),
            // Whom it concerns gets it from the sink.
            Event::Paused(_) | Event::Resumed { .. } => {}
        }
    }

    fn command_ended(&mut self, exit: Exit, usage: CommandUsage) {
        if let Some(command) = self.commands.last_mut() {
            command.ended = Some((exit, usage));
        }
    }

    /// Whether the executor is through.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// How the executor left the build.
    pub(super) fn ended(&self) -> Result<Ended, Abort> {
        self.ended
            .ok_or_else(|| anyhow::anyhow!("the executor has not ended the build").into())
    }

    /// Leaves the present phase as the abort says.
    pub(super) fn leave(&mut self, abort: &Abort) {
        let (status, context) = abort.phase_end();
        self.phases.leave(status, context, Timestamp::now());
    }

    /// Leaves the present phase as the abort says, in the record and in the log.
    pub(super) async fn abort(&mut self, abort: &Abort) {
        self.leave(abort);
        let phase = self.phases.current();
        let (status, Some(context)) = abort.phase_end() else {
            return;
        };
        let written = match self.resume().await {
            Ok(mut log) => log
                .phase_complete(phase.name(), status, &context)
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
    }

    /// Enters `FINALIZING`, unless the build never got as far or was cut off.
    pub(super) fn finalizing(&mut self) {
        if self.phases.reaches_finalizing() {
            self.phases.enter(PhaseType::Finalizing, Timestamp::now());
        }
    }

    /// Shows what is left of the log.
    pub(super) async fn show_rest(&mut self) -> Result<(), Abort> {
        Ok(self.drain().await?)
    }

    /// Ends the build.
    pub(super) fn close(
        mut self,
        request: &BuildRequest,
        ended: Result<Finished, Abort>,
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
            start_time: self.phases.start_time(),
            end_time,
            phases: self.phases.complete(end_time),
            exported_environment_variables: self.exported,
            artifacts: finished.artifacts,
            report_arns: reports().map(|report| report.arn.clone()).collect(),
            reports: reports().cloned().collect(),
        };
        if let Err(error) = self.sink.finished(&build) {
            not_shown(&error, &mut self.told_not_shown);
        }
        Outcome {
            build,
            commands: self.commands,
            reports: finished.reports,
            abort,
        }
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
