//! The conformance suite: facts about builds, each with a buildspec that shows it.
//!
//! A case is a directory below `conformance/`: `case.toml` says what the fact is, where it is
//! documented and what has to come out ([`Expectation`]); everything else in it is the source of the
//! build. Nothing in a case is about this agent: it holds for any runner of buildspecs, and what
//! CodeBuild itself does decides.

mod check;
mod expectation;

use std::fmt;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

use crate::Project;

pub use expectation::Expectation;

/// Builds that run at the same time.
const AT_A_TIME: usize = 4;

/// How the suite went.
#[derive(Debug)]
pub struct Report {
    /// Names of the cases that hold, sorted.
    pub held: Vec<String>,
    /// Names of the others, sorted, each with what was found instead.
    pub broken: Vec<(String, Vec<String>)>,
}

/// Runs every case below a directory and reports on all of them.
pub fn run_all(directory: &Path) -> Report {
    let cases = Mutex::new(cases(directory));
    let results = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(case) = next(&cases) {
                    let differences = run(&case);
                    results
                        .lock()
                        .expect("no holder panics")
                        .push((case.name, differences));
                }
            });
        }
    });
    let mut results = results.into_inner().expect("no holder panics");
    results.sort();
    let (held, broken) = results
        .into_iter()
        .partition(|(_, differences)| differences.is_empty());
    let held: Vec<(String, Vec<String>)> = held;
    Report {
        held: held.into_iter().map(|(name, _)| name).collect(),
        broken,
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, differences) in &self.broken {
            writeln!(formatter, "\n{name}")?;
            for difference in differences {
                writeln!(formatter, "  {}", difference.replace('\n', "\n  "))?;
            }
        }
        let all = self.held.len() + self.broken.len();
        writeln!(formatter, "\n{} of {all} cases hold", self.held.len())?;
        let names: Vec<&str> = self.broken.iter().map(|(name, _)| name.as_str()).collect();
        if names.is_empty() {
            return Ok(());
        }
        writeln!(formatter, "not: {}", names.join(", "))
    }
}

/// One case, read but not run.
struct Case {
    name: String,
    directory: PathBuf,
    expectation: Expectation,
}

fn next(cases: &Mutex<Vec<Case>>) -> Option<Case> {
    cases.lock().expect("no holder panics").pop()
}

fn cases(directory: &Path) -> Vec<Case> {
    let entries =
        fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let paths = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir());
    paths.map(read).collect()
}

fn read(directory: PathBuf) -> Case {
    let path = directory.join("case.toml");
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let expectation =
        toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let name = directory
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    Case {
        name,
        directory,
        expectation,
    }
}

/// Runs one case and gives what differs from the expectation. A panic is a difference too: the other
/// cases have to be heard.
fn run(case: &Case) -> Vec<String> {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let project = project(&case.directory);
        let mut arguments = Vec::new();
        let overrides = project.root().join("overrides.json");
        if let Some(start) = &case.expectation.start {
            let json = serde_json::to_vec(start).expect("TOML has a form in JSON");
            fs::write(&overrides, json).expect("a file can be written in one's own directory");
            arguments.extend([
                "--overrides",
                overrides.to_str().expect("temporary paths are UTF-8"),
            ]);
        }
        let finished = project.run(&arguments);
        check::differences(&case.expectation, &finished, &project.artifacts())
    }));
    outcome.unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().cloned();
        vec![
            said.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                .unwrap_or_default(),
        ]
    })
}

fn project(case: &Path) -> Project {
    let files = crate::read_tree(case)
        .into_iter()
        .filter(|(path, _)| path != "case.toml");
    files.fold(Project::empty(), |project, (path, content)| {
        project.with_file(&path, content)
    })
}
