//! What is known of a build: derived from what happened, entry by entry.

use std::collections::BTreeMap;

use executor::protocol::{ArchiveSums, CommandUsage, Event, Exit};
use jiff::Timestamp;

use super::CommandRecord;
use super::chronicle::Entry;
use super::phases::Phases;
use crate::model::{Artifact, ExportedVariable, PhaseContext, PhaseType, Status};

/// What is known so far. The same entries in the same order make the same of it in every process.
#[derive(Debug)]
pub(super) struct Learnt {
    /// The phases so far.
    pub(super) phases: Phases,
    /// What the collector reported, by the artifact's index in the plan.
    pub(super) collected: BTreeMap<usize, Collected>,
    /// Whether the executor waits for a cache.
    pub(super) wants_cache: bool,
    /// The kept cache that was restored, by its name.
    pub(super) restored_cache: Option<String>,
    /// The name of the cache that lies in the channel.
    pub(super) saved_cache: Option<String>,
    /// The staged reports, by their numbers.
    pub(super) staged: BTreeMap<usize, StagedReport>,
    /// What is stored already, by the artifact's index in the plan.
    pub(super) stored: BTreeMap<usize, Artifact>,
    /// The commit of the primary source.
    pub(super) resolved_source_version: Option<String>,
    /// The exported variables.
    pub(super) exported: Vec<ExportedVariable>,
    /// The commands so far.
    pub(super) commands: Vec<CommandRecord>,
    /// How the executor left the build, once it has.
    pub(super) ended: Option<Ended>,
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

impl Learnt {
    /// Knows of these phases only.
    pub(super) fn new(phases: Phases) -> Self {
        Self {
            phases,
            collected: BTreeMap::new(),
            wants_cache: false,
            restored_cache: None,
            saved_cache: None,
            staged: BTreeMap::new(),
            stored: BTreeMap::new(),
            resolved_source_version: None,
            exported: Vec::new(),
            commands: Vec::new(),
            ended: None,
        }
    }

    /// Learns of something that happened.
    pub(super) fn learn(&mut self, entry: Entry) {
        match entry {
            Entry::Entered { phase, time_micros } => {
                let time = Timestamp::from_microsecond(time_micros).unwrap_or_default();
                self.phases.enter(phase, time);
            }
            Entry::Told {
                time_micros, event, ..
            } => self.told(event, time_micros),
            Entry::Resolved { version } => self.resolved_source_version = Some(version),
            Entry::Stored { index, artifact } => {
                self.stored.insert(index, artifact);
            }
        }
    }

    fn told(&mut self, event: Event, time_micros: u64) {
        let time = time(time_micros);
        // Whatever comes next, comes from an executor that waits no longer.
        self.wants_cache = false;
        match event {
            Event::PhaseStarted { phase } => self.phases.enter(phase.into(), time),
            Event::PhaseEnded {
                status, context, ..
            } => _ = self.phases.leave(status, context, time),
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
            Event::CacheWanted | Event::CacheRestored { .. } | Event::CacheSaved { .. } => {
                self.told_of_cache(event);
            }
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

    fn told_of_cache(&mut self, event: Event) {
        match event {
            Event::CacheWanted => self.wants_cache = true,
            Event::CacheRestored { entry } => self.restored_cache = Some(entry),
            Event::CacheSaved { entry, .. } => self.saved_cache = Some(entry),
            _ => {}
        }
    }

    fn command_ended(&mut self, exit: Exit, usage: CommandUsage) {
        if let Some(command) = self.commands.last_mut() {
            command.ended = Some((exit, usage));
        }
    }
}

fn time(micros: u64) -> Timestamp {
    let time = i64::try_from(micros).ok();
    let time = time.and_then(|micros| Timestamp::from_microsecond(micros).ok());
    time.unwrap_or_else(Timestamp::now)
}
