//! Collects artifacts: finds their files and copies them into the channel.
//!
//! All paths are looked up inside the container, by its own mounts and links: nothing the build
//! has put there leads to the host.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use executor::globs::{self, FileGlob, Pattern};
use executor::protocol::{ArtifactPlan, Event, PhaseContext};
use walkdir::WalkDir;

use super::Build;
use super::copy::Destination;
use super::evaluate::Unanswered;
use crate::reason;
use crate::supervisor::Fault;
use crate::watch::Ending;

/// What the shell had to be asked to collect artifacts.
#[derive(Debug, Default)]
pub(super) struct ArtifactAnswers {
    /// The variables of all patterns.
    variables: HashMap<String, String>,
    /// The evaluated name of each artifact that has one.
    names: Vec<Option<String>>,
}

/// Files of one artifact: path in the artifact, path in the container.
type Files = BTreeMap<PathBuf, PathBuf>;

/// Why an artifact is not collected.
enum Failure {
    Client(String),
    Cut(Ending),
    Fault(Fault),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Build<'_> {
    /// Asks the shell for the names of all artifacts and the variables in their patterns.
    pub(super) fn artifact_answers(&mut self) -> Result<ArtifactAnswers, Unanswered> {
        let artifacts = self.plan.artifacts.clone();
        let patterns = artifacts.iter().flat_map(|artifact| {
            let files = artifact.files.iter().chain(&artifact.exclude_paths);
            files.chain(&artifact.base_directory)
        });
        let variables = self.variables(patterns.flat_map(|text| globs::variables(text)))?;
        let mut names = Vec::new();
        for artifact in &artifacts {
            names.push(match &artifact.name {
                Some(name) => self.expanded(name)?,
                None => None,
            });
        }
        Ok(ArtifactAnswers { variables, names })
    }

    /// Collects all artifacts, up to the first that fails.
    pub(super) fn artifacts(&mut self, answers: &ArtifactAnswers) -> Result<Option<Ending>, Fault> {
        let artifacts = std::mem::take(&mut self.plan.artifacts);
        let mut ended = None;
        for (index, artifact) in artifacts.iter().enumerate() {
            match self.artifact(index, artifact, answers) {
                Ok(()) => continue,
                Err(Failure::Client(message)) => {
                    let context = PhaseContext::new("CLIENT_ERROR", message);
                    self.event(&Event::ArtifactFailed { index, context })?;
                }
                Err(Failure::Cut(ending)) => ended = Some((ending, index)),
                Err(Failure::Fault(fault)) => return Err(fault),
            }
            break;
        }
        self.plan.artifacts = artifacts;
        ended
            .map(|(ending, index)| self.cut_short(ending, index))
            .transpose()
    }

    fn artifact(
        &mut self,
        index: usize,
        plan: &ArtifactPlan,
        answers: &ArtifactAnswers,
    ) -> Result<(), Failure> {
        if let Some(identifier) = &plan.identifier {
            self.line(&format!(
                "Preparing to copy secondary artifacts {identifier}"
            ))?;
        }
        let files = self.artifact_files(plan, &answers.variables)?;
        if files.is_empty() {
            return Err(Failure::Client(
                "no matching artifact paths found".to_owned(),
            ));
        }
        self.line(&format!("Found {} file(s)", files.len()))?;
        let name = answers.names.get(index).cloned().flatten();
        if plan.name.is_some() && name.is_none() {
            return Err(Failure::Client(
                "the name of the artifact cannot be evaluated or is empty".to_owned(),
            ));
        }
        let bytes = self.copy(index, &files)?;
        let collected = Event::ArtifactCollected {
            index,
            name: name.map(|name| self.supervisor.log.mask(&name)),
            files: files.len() as u64,
            bytes,
        };
        Ok(self.event(&collected)?)
    }

    fn copy(&mut self, index: usize, files: &Files) -> Result<u64, Failure> {
        let mut destination = Destination::create(self.channel, index, self.plan.owner)
            .map_err(|error| copy_failed(Path::new(&index.to_string()), &error))?;
        let mut bytes = 0;
        for (target, source) in files {
            let mut copying = destination
                .open(source, target)
                .map_err(|error| copy_failed(source, &error))?;
            loop {
                if let Some(ending) = self.supervisor.look()? {
                    return Err(Failure::Cut(ending));
                }
                match copying
                    .step()
                    .map_err(|error| copy_failed(source, &error))?
                {
                    0 => break,
                    copied => bytes += copied,
                }
            }
            copying
                .finish()
                .map_err(|error| copy_failed(source, &error))?;
        }
        Ok(bytes)
    }

    /// Finds the files, and says in the log what was looked at.
    fn artifact_files(
        &mut self,
        plan: &ArtifactPlan,
        variables: &HashMap<String, String>,
    ) -> Result<Files, Failure> {
        let expand =
            |text: &String| globs::expand(text, |name| variables.get(name).map(String::as_str));
        let entries: Vec<String> = plan.files.iter().map(expand).collect();
        let excluded: Vec<String> = plan.exclude_paths.iter().map(expand).collect();
        let base = plan
            .base_directory
            .as_ref()
            .map_or_else(|| ".".to_owned(), expand);
        let mut files = Files::new();
        for directory in self.base_directories(&base)? {
            self.shown_line("Expanding file paths for base directory", &directory.shown)?;
            self.line("Assembling file list")?;
            let excluded: Vec<Pattern> = excluded
                .iter()
                .filter_map(|entry| Pattern::new(entry, &directory.absolute()).ok())
                .collect();
            for entry in &entries {
                self.shown_line("Expanding", entry)?;
                let found = match Pattern::new(entry, &directory.absolute()) {
                    Ok(Pattern::Glob(glob)) => self.walk(&directory.path, &glob)?,
                    Ok(Pattern::Literal(path)) if directory.path.join(&path).is_file() => {
                        vec![PathBuf::from(path)]
                    }
                    Ok(Pattern::Literal(_)) | Err(_) => {
                        self.shown_line("Skipping invalid file path", entry)?;
                        continue;
                    }
                };
                for path in found {
                    if excluded.iter().any(|pattern| pattern.is_match(&path)) {
                        continue;
                    }
                    let target = match path.file_name() {
                        Some(name) if plan.discard_paths => PathBuf::from(name),
                        _ => path.clone(),
                    };
                    files.insert(target, directory.path.join(&path));
                }
            }
        }
        Ok(files)
    }

    /// The base directories that exist, in order of their names.
    fn base_directories(&mut self, base: &str) -> Result<Vec<BaseDirectory>, Failure> {
        self.shown_line("Expanding base directory path:", base)?;
        self.line("Assembling file list")?;
        self.shown_line("Expanding", base)?;
        let source = PathBuf::from(&self.plan.source_directory);
        if !globs::is_glob(base) {
            let path = source.join(base);
            if path.is_dir() {
                let shown = base.to_owned();
                return Ok(vec![BaseDirectory { path, shown }]);
            }
            self.shown_line("Skipping invalid file path", base)?;
            return Ok(Vec::new());
        }
        let Ok(Pattern::Glob(glob)) = Pattern::new(base, &self.plan.source_directory) else {
            self.shown_line("Skipping invalid file path", base)?;
            return Ok(Vec::new());
        };
        let matching = found(&source, &glob, |path| path.is_dir());
        Ok(matching
            .map(|path| BaseDirectory {
                shown: path.display().to_string(),
                path: source.join(path),
            })
            .collect())
    }

    /// The files below `base` that match, relative to it.
    fn walk(&mut self, base: &Path, glob: &FileGlob) -> Result<Vec<PathBuf>, Failure> {
        if let Some(ending) = self.supervisor.look()? {
            return Err(Failure::Cut(ending));
        }
        Ok(found(base, glob, Path::is_file).collect())
    }

    fn shown_line(&mut self, words: &str, text: &str) -> Result<(), Fault> {
        let text = self.supervisor.log.mask(text);
        self.line(&format!("{words} {text}"))
    }
}

/// A directory whose files are taken by their paths below it.
struct BaseDirectory {
    path: PathBuf,
    shown: String,
}

impl BaseDirectory {
    fn absolute(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }
}

/// What matches `glob` below `base` and is wanted, relative to `base`, in order of names. A link
/// is what it leads to, but no link to a directory is descended into below the directory that the
/// pattern names: links may form loops, and trees of links can be larger than any disk.
fn found<'a>(
    base: &'a Path,
    glob: &'a FileGlob,
    is_wanted: impl Fn(&Path) -> bool + 'a,
) -> impl Iterator<Item = PathBuf> + 'a {
    WalkDir::new(base.join(glob.directory()))
        .min_depth(1)
        .max_depth(glob.depth().unwrap_or(usize::MAX))
        .sort_by_file_name()
        .into_iter()
        .filter_map(Result::ok)
        .filter_map(move |entry| {
            let relative = entry.path().strip_prefix(base).ok()?;
            (glob.is_match(relative) && is_wanted(entry.path())).then(|| relative.to_owned())
        })
}

fn copy_failed(path: &Path, error: &std::io::Error) -> Failure {
    let reason = reason::text(error);
    Failure::Client(format!(
        "cannot copy artifact file {}: {reason}",
        path.display()
    ))
}
