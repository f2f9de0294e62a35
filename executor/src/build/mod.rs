//! One build inside its container: a plan in, the spool and the collected artifacts out.

mod artifacts;
mod cache;
mod commands;
mod copy;
mod download_source;
mod evaluate;
mod find;
mod phase;
mod recognise;
mod reports;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use executor::protocol::{Event, Plan, Status};
use executor::transitions::Follow;

use self::artifacts::ArtifactAnswers;
use self::cache::Caching;
use self::evaluate::Unanswered;
use self::reports::ReportAnswers;

use crate::channel::Channel;
use crate::memory::MemoryWatch;
use crate::mounts::Mounter;
use crate::places::Places;
use crate::shell::Shell;
use crate::supervisor::{Fault, Supervisor};
use crate::watch::Ending;

/// Time for processes left in the background to end by themselves after the last command.
const FAREWELL: Duration = Duration::from_millis(500);

/// One build and what it needs.
#[derive(Debug)]
pub(crate) struct Build<'a> {
    plan: Plan,
    root: PathBuf,
    places: Places,
    channel: &'a Channel,
    shell: Shell,
    supervisor: Supervisor,
    memory: MemoryWatch,
    succeeding: bool,
    mounter: Option<Mounter>,
    caching: Option<Caching>,
}

impl<'a> Build<'a> {
    /// Puts the parts together. `inherited` are the variables of the image.
    pub(crate) fn new(
        plan: Plan,
        surroundings: Surroundings<'a>,
        supervisor: Supervisor,
        inherited: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Self {
        Self {
            memory: MemoryWatch::new(&surroundings.root),
            shell: Shell::new(&plan, &surroundings.places, inherited),
            plan,
            root: surroundings.root,
            places: surroundings.places,
            channel: surroundings.channel,
            supervisor,
            succeeding: true,
            mounter: surroundings.mounter,
            caching: None,
        }
    }

    /// Runs the build to its end. After a fault nothing of it is left running.
    pub(crate) fn run(mut self) -> Result<(), Fault> {
        let ended = self.steps();
        if ended.is_err() {
            self.supervisor.kill_all();
        }
        ended
    }

    fn steps(&mut self) -> Result<(), Fault> {
        let (mut status, upload) = self.phases()?;
        let mut ending = None;
        if upload {
            ending = self.collect()?;
        }
        if let Some(ending) = ending {
            status = ending.status();
        }
        self.supervisor.end_all(FAREWELL)?;
        let ended = Event::Ended {
            status,
            upload: upload && ending.is_none(),
        };
        self.event(&ended)
    }

    /// Runs the phases: how the build stands after them, and whether artifacts are collected.
    fn phases(&mut self) -> Result<(Status, bool), Fault> {
        let mut status = self.download_source()?;
        if status != Status::Succeeded {
            return Ok((status, false));
        }
        for phase in self.plan.phases.clone() {
            let (ended, follow) = self.phase(&phase)?;
            if ended != Status::Succeeded {
                status = ended;
            }
            if follow == Follow::End {
                return Ok((status, false));
            }
        }
        Ok((status, true))
    }

    /// Takes what the build yields, with everything it has left running ended in between.
    fn collect(&mut self) -> Result<Option<Ending>, Fault> {
        let answers = match self.questions() {
            Ok(answers) => answers,
            Err(Unanswered::Cut(ending)) => return self.cut_short(ending, 0).map(Some),
            Err(Unanswered::Fault(fault)) => return Err(fault),
        };
        // From here on nobody changes the files that are collected.
        self.supervisor.end_all(FAREWELL)?;
        let (reports, artifacts) = answers;
        if let Some(ending) = self.reports(&reports)? {
            return self.cut_short(ending, 0).map(Some);
        }
        self.artifacts(&artifacts)
    }

    /// Asks the shell what has to be asked while the build's own processes still run.
    fn questions(&mut self) -> Result<(ReportAnswers, ArtifactAnswers), Unanswered> {
        self.export_variables()?;
        Ok((self.report_answers()?, self.artifact_answers()?))
    }

    /// Reports that artifact `index` was not collected because the build had to end.
    fn cut_short(&mut self, ending: Ending, index: usize) -> Result<Ending, Fault> {
        if ending == Ending::TimedOut && index < self.plan.artifacts.len() {
            let context = commands::timed_out();
            self.event(&Event::ArtifactFailed { index, context })?;
        }
        Ok(ending)
    }

    fn line(&mut self, text: &str) -> Result<(), Fault> {
        self.supervisor.log.line(text).map_err(Fault::Spool)
    }

    fn event(&mut self, event: &Event) -> Result<(), Fault> {
        self.supervisor.log.event(event).map_err(Fault::Spool)
    }
}

/// Where a build runs.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    /// Root of the file system the build sees.
    pub(crate) root: PathBuf,
    /// The executor's directories in it.
    pub(crate) places: Places,
    /// The way to the agent.
    pub(crate) channel: &'a Channel,
    /// What can mount caches, if there are any.
    pub(crate) mounter: Option<Mounter>,
}
