//! Stages report files: finds them by the rules of artifacts, or by their content, and copies them
//! into the channel.

use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use executor::globs::{self, Pattern};
use executor::protocol::{Event, ReportPlan, Reports, channel};

use super::Build;
use super::artifacts::{Failure, copy_failed};
use super::copy::Destination;
use super::evaluate::Unanswered;
use super::find::{Files, Match, Selection};
use super::recognise;
use crate::supervisor::Fault;
use crate::untrusted;
use crate::walk::found;
use crate::watch::Ending;

/// Most files of one report.
const MOST_FILES: usize = 10_000;

/// Most bytes of the files of one report together.
const MOST_BYTES: u64 = 512 * 1024 * 1024;

/// Switches discovery off when it is `false` (user guide, "Discover test reports").
const SWITCH: &str = "CODEBUILD_CONFIG_AUTO_DISCOVER";

/// Pattern of the files among which reports are discovered; every file by default.
const DIRECTORY: &str = "CODEBUILD_CONFIG_AUTO_DISCOVER_DIR";

/// How long files are looked at to discover reports.
const DISCOVERY_LIMIT: Duration = Duration::from_secs(5);

/// What the shell had to be asked to stage reports: values of variables.
#[derive(Debug, Default)]
pub(super) struct ReportAnswers(HashMap<String, String>);

/// A report whose files are known.
#[derive(Debug)]
struct Report {
    index: usize,
    group: String,
    format: String,
    discovered: bool,
}

impl Build<'_> {
    /// Asks the shell for the variables that say where reports are.
    pub(super) fn report_answers(&mut self) -> Result<ReportAnswers, Unanswered> {
        let reports = self.plan.reports.clone();
        let answers = match &reports {
            Reports::Configured(reports) => {
                let texts = reports.iter().flat_map(|report| {
                    let selection = Selection::from(report);
                    selection.texts().chain([report.group.as_str()])
                });
                self.variables(texts.flat_map(globs::variables))?
            }
            // Nobody sets them, as a rule, and a question costs a process.
            Reports::Discovered if !self.shell.may_know(SWITCH) => HashMap::new(),
            Reports::Discovered => self.variables([SWITCH, DIRECTORY].into_iter())?,
        };
        Ok(ReportAnswers(answers))
    }

    /// Stages the files of all reports.
    pub(super) fn reports(&mut self, answers: &ReportAnswers) -> Result<Option<Ending>, Fault> {
        let staged = match std::mem::replace(&mut self.plan.reports, Reports::Discovered) {
            Reports::Configured(reports) => self.configured(&reports, &answers.0),
            Reports::Discovered => self.discover(&answers.0),
        };
        match staged {
            // A failure of one report is told with that report.
            Ok(()) | Err(Failure::Client(_)) => Ok(None),
            Err(Failure::Cut(ending)) => Ok(Some(ending)),
            Err(Failure::Fault(fault)) => Err(fault),
        }
    }

    fn configured(
        &mut self,
        plans: &[ReportPlan],
        variables: &HashMap<String, String>,
    ) -> Result<(), Failure> {
        for (index, plan) in plans.iter().enumerate() {
            let matches = self.matches(&plan.into(), variables)?;
            let files = targets(matches.into_iter().map(|Match { path, .. }| path));
            self.line(&format!("Found {} file(s)", files.len()))?;
            let group = globs::expand(&plan.group, |name| variables.get(name).map(String::as_str));
            let report = Report {
                index,
                group: self.supervisor.log.mask(&group),
                format: plan.format.clone(),
                discovered: false,
            };
            self.stage(report, files)?;
        }
        Ok(())
    }

    /// Looks for reports in the source directory, for a limited time.
    fn discover(&mut self, variables: &HashMap<String, String>) -> Result<(), Failure> {
        if variables.get(SWITCH).is_some_and(|value| value == "false") {
            return Ok(());
        }
        let pattern = variables.get(DIRECTORY).map_or("**/*", String::as_str);
        self.line(&format!(
            "Set report auto-discover timeout to {} seconds",
            DISCOVERY_LIMIT.as_secs()
        ))?;
        // The service writes two blanks here.
        for line in [
            "Expanding base directory path:  .",
            "Assembling file list",
            "Expanding .",
            "Expanding file paths for base directory .",
            "Assembling file list",
        ] {
            self.line(line)?;
        }
        self.shown_line("Expanding", pattern)?;
        let start = Instant::now();
        let discovered = self.discovered(pattern, start + DISCOVERY_LIMIT)?;
        if discovered.is_empty() {
            self.line("No matching auto-discover report paths found")?;
        }
        self.line(&format!(
            "Report auto-discover file discovery took {:.6} seconds",
            start.elapsed().as_secs_f64()
        ))?;
        for (index, (format, files)) in discovered.into_iter().enumerate() {
            let report = Report {
                index,
                group: format!("{format}-AutoDiscovered"),
                format: format.to_owned(),
                discovered: true,
            };
            self.stage(report, files)?;
        }
        Ok(())
    }

    /// The report files that match a pattern, by format.
    fn discovered(
        &mut self,
        pattern: &str,
        until: Instant,
    ) -> Result<BTreeMap<&'static str, Files>, Failure> {
        let source = PathBuf::from(&self.plan.source_directory);
        let is_wanted = |path: &Path| recognise::is_candidate(path) && path.is_file();
        let paths: Vec<PathBuf> = match Pattern::new(pattern, &self.plan.source_directory) {
            Ok(Pattern::Glob(glob)) => found(&source, &glob, Some(until), is_wanted).collect(),
            Ok(Pattern::Literal(path)) if is_wanted(&source.join(&path)) => vec![path.into()],
            _ => Vec::new(),
        };
        let mut formats: BTreeMap<&'static str, Files> = BTreeMap::new();
        for path in paths {
            if let Some(ending) = self.supervisor.look()? {
                return Err(Failure::Cut(ending));
            }
            if Instant::now() >= until {
                break;
            }
            let path = source.join(path);
            // A file that cannot be read is none of the build's reports.
            let head = untrusted::read(&path, recognise::HEAD_BYTES).unwrap_or_default();
            if let Some(format) = recognise::format(&head) {
                formats.entry(format).or_default().extend(targets([path]));
            }
        }
        Ok(formats)
    }

    /// Copies the files of a report and says so. What is wrong with one report does not keep the
    /// others.
    fn stage(&mut self, report: Report, mut files: Files) -> Result<(), Failure> {
        let mut problem = None;
        if files.len() > MOST_FILES {
            problem = Some(format!("more than {MOST_FILES} files"));
            files.clear();
        }
        let mut staged = files.len() as u64;
        if staged > 0 {
            match self.copy_report(report.index, &files) {
                Ok(()) => {}
                Err(Failure::Client(message)) => {
                    problem = Some(message);
                    staged = 0;
                }
                Err(other) => return Err(other),
            }
        }
        let problem = problem.map(|problem| self.supervisor.log.mask(&problem));
        let Report {
            index,
            group,
            format,
            discovered,
        } = report;
        let event = Event::ReportStaged {
            index,
            group,
            format,
            discovered,
            files: staged,
            problem,
        };
        Ok(self.event(&event)?)
    }

    fn copy_report(&mut self, index: usize, files: &Files) -> Result<(), Failure> {
        let owner = self.plan.owner;
        let mut destination = Destination::create(self.channel, channel::REPORTS, index, owner)
            .map_err(|error| copy_failed(Path::new(&index.to_string()), &error))?;
        self.copy(&mut destination, files, MOST_BYTES).map(drop)
    }
}

/// Files with the paths they get below a report's directory: those they have in the container, so
/// that the agent can name them.
fn targets(paths: impl IntoIterator<Item = PathBuf>) -> Files {
    let paths = paths.into_iter();
    paths.map(|path| (below_root(&path), path)).collect()
}

/// An absolute path relative to the root, without anything that leads upwards.
fn below_root(path: &Path) -> PathBuf {
    let mut below = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => below.push(name),
            Component::ParentDir => {
                below.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leads_out_of_a_reports_directory() {
        for (path, expected) in [
            ("/a/src/./x.xml", "a/src/x.xml"),
            ("/a/../../../../x.xml", "x.xml"),
            ("/a/b/../x.xml", "a/x.xml"),
        ] {
            assert_eq!(below_root(Path::new(path)), Path::new(expected), "{path}");
        }
    }
}
