//! Finds the files of an artifact or a report, and says in the log where it looks.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use executor::globs::{self, Pattern};
use executor::protocol::{ArtifactPlan, Packaging, ReportPlan};

use super::Build;
use super::artifacts::Failure;
use crate::supervisor::Fault;
use crate::walk::found;

/// Files of one artifact: path in the artifact, path in the container.
pub(super) type Files = BTreeMap<PathBuf, PathBuf>;

/// What says which files are taken.
#[derive(Debug)]
pub(super) struct Selection<'a> {
    files: &'a [String],
    excluded: &'a [String],
    base: Option<&'a str>,
    /// Whether a link to a directory is taken like a file.
    directory_links: bool,
}

impl<'a> From<&'a ArtifactPlan> for Selection<'a> {
    fn from(plan: &'a ArtifactPlan) -> Self {
        Self {
            files: &plan.files,
            excluded: &plan.exclude_paths,
            base: plan.base_directory.as_deref(),
            directory_links: plan.packaging == Packaging::ZipWithLinks,
        }
    }
}

impl<'a> From<&'a ReportPlan> for Selection<'a> {
    fn from(plan: &'a ReportPlan) -> Self {
        Self {
            files: &plan.files,
            excluded: &[],
            base: plan.base_directory.as_deref(),
            directory_links: false,
        }
    }
}

impl<'a> Selection<'a> {
    /// Every text in which variables may stand.
    pub(super) fn texts(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let lists = self.files.iter().chain(self.excluded);
        lists.map(String::as_str).chain(self.base)
    }
}

/// A file that is taken.
#[derive(Debug)]
pub(super) struct Match {
    /// Its path below the base directory.
    pub(super) relative: PathBuf,
    /// Its path in the container.
    pub(super) path: PathBuf,
}

/// The patterns of a selection with their variables replaced.
#[derive(Debug)]
struct Patterns {
    base: String,
    files: Vec<String>,
    excluded: Vec<String>,
    directory_links: bool,
}

impl Patterns {
    fn new(selection: &Selection<'_>, variables: &HashMap<String, String>) -> Self {
        let expand =
            |text: &str| globs::expand(text, |name| variables.get(name).map(String::as_str));
        let all = |texts: &[String]| texts.iter().map(|text| expand(text)).collect();
        Self {
            base: selection.base.map_or_else(|| ".".to_owned(), expand),
            files: all(selection.files),
            excluded: all(selection.excluded),
            directory_links: selection.directory_links,
        }
    }
}

/// A directory whose files are taken by their paths below it.
#[derive(Debug)]
struct BaseDirectory {
    path: PathBuf,
    shown: String,
}

impl BaseDirectory {
    /// A pattern relative to the directory; none if it can match nothing in it.
    fn pattern(&self, entry: &str) -> Option<Pattern> {
        Pattern::new(entry, &self.path.to_string_lossy()).ok()
    }
}

impl Build<'_> {
    /// Finds the files. The same path found in two base directories is taken from the last one.
    pub(super) fn artifact_files(
        &mut self,
        plan: &ArtifactPlan,
        variables: &HashMap<String, String>,
    ) -> Result<Files, Failure> {
        let selection = Selection::from(plan);
        let matches = self.matches(&selection, variables)?.into_iter();
        let files = matches.map(|Match { relative, path }| {
            let target = match relative.file_name() {
                Some(name) if plan.discard_paths => PathBuf::from(name),
                _ => relative,
            };
            (target, path)
        });
        Ok(files.collect())
    }

    /// Everything that a selection takes, base directory by base directory.
    pub(super) fn matches(
        &mut self,
        selection: &Selection<'_>,
        variables: &HashMap<String, String>,
    ) -> Result<Vec<Match>, Failure> {
        let patterns = Patterns::new(selection, variables);
        let mut matches = Vec::new();
        for directory in self.base_directories(&patterns.base)? {
            self.shown_line("Expanding file paths for base directory", &directory.shown)?;
            self.line("Assembling file list")?;
            let files = self.matching_files(&directory, &patterns)?.into_iter();
            matches.extend(files.map(|relative| Match {
                path: directory.path.join(&relative),
                relative,
            }));
        }
        Ok(matches)
    }

    /// The base directories that exist, in order of their names.
    fn base_directories(&mut self, base: &str) -> Result<Vec<BaseDirectory>, Failure> {
        self.shown_line("Expanding base directory path:", base)?;
        self.line("Assembling file list")?;
        self.shown_line("Expanding", base)?;
        let source = PathBuf::from(&self.plan.source_directory);
        if globs::is_glob(base) {
            if let Ok(Pattern::Glob(glob)) = Pattern::new(base, &self.plan.source_directory) {
                return Ok(found(&source, &glob, None, Path::is_dir)
                    .map(|path| BaseDirectory {
                        shown: path.display().to_string(),
                        path: source.join(path),
                    })
                    .collect());
            }
        } else {
            let path = source.join(base);
            if path.is_dir() {
                let shown = base.to_owned();
                return Ok(vec![BaseDirectory { path, shown }]);
            }
        }
        self.shown_line("Skipping invalid file path", base)?;
        Ok(Vec::new())
    }

    /// The files of one base directory, by paths relative to it.
    fn matching_files(
        &mut self,
        directory: &BaseDirectory,
        patterns: &Patterns,
    ) -> Result<Vec<PathBuf>, Failure> {
        let excluded = patterns.excluded.iter();
        let excluded: Vec<Pattern> = excluded
            .filter_map(|entry| directory.pattern(entry))
            .collect();
        let is_wanted = |path: &Path| {
            path.is_file() || (patterns.directory_links && path.is_symlink() && path.exists())
        };
        let mut files = Vec::new();
        for entry in &patterns.files {
            if let Some(ending) = self.supervisor.look()? {
                return Err(Failure::Cut(ending));
            }
            self.shown_line("Expanding", entry)?;
            match directory.pattern(entry) {
                Some(Pattern::Glob(glob)) => {
                    files.extend(found(&directory.path, &glob, None, is_wanted));
                }
                Some(Pattern::Literal(path)) if is_wanted(&directory.path.join(&path)) => {
                    files.push(PathBuf::from(path));
                }
                _ => self.shown_line("Skipping invalid file path", entry)?,
            }
        }
        files.retain(|file| !excluded.iter().any(|pattern| pattern.is_match(file)));
        Ok(files)
    }

    /// A line with a text of the build in it, which may hold a secret.
    pub(super) fn shown_line(&mut self, words: &str, text: &str) -> Result<(), Fault> {
        let text = self.supervisor.log.mask(text);
        self.line(&format!("{words} {text}"))
    }
}
