//! Collects artifacts: finds their files and copies them into the channel.
//!
//! All paths are looked up inside the container, by its own mounts and links: nothing the build
//! has put there leads to the host.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Component, Path, PathBuf};

use executor::globs;
use executor::protocol::{ArchiveSums, ArtifactPlan, Event, Packaging, PhaseContext, channel};

use super::Build;
use super::copy::Destination;
use super::evaluate::Unanswered;
use super::find::{Files, Selection};
use crate::archive::{self, Content, PackError};
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

/// Why an artifact is not collected.
#[derive(Debug)]
pub(super) enum Failure {
    /// The author of the build has something to mend.
    Client(String),
    /// The build had to end.
    Cut(Ending),
    /// The executor cannot go on.
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
        let patterns = artifacts
            .iter()
            .flat_map(|artifact| Selection::from(artifact).texts());
        let variables = self.variables(patterns.flat_map(globs::variables))?;
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
        let mut destination =
            Destination::create(self.channel, channel::ARTIFACTS, index, self.plan.owner)
                .map_err(|error| copy_failed(Path::new(&index.to_string()), &error))?;
        let (files_count, bytes, archive) = if plan.packaging == Packaging::None {
            let bytes = self.copy(&mut destination, &files, u64::MAX)?;
            (files.len(), bytes, None)
        } else {
            let contents = contents(files, plan);
            let sums = self.pack(&mut destination, &contents)?;
            (contents.len(), sums.bytes, Some(sums))
        };
        let collected = Event::ArtifactCollected {
            index,
            name: name.map(|name| self.supervisor.log.mask(&name)),
            files: files_count as u64,
            bytes,
            archive,
        };
        Ok(self.event(&collected)?)
    }

    /// Packs files into an archive in the channel.
    fn pack(
        &mut self,
        destination: &mut Destination,
        files: &[(PathBuf, Content)],
    ) -> Result<ArchiveSums, Failure> {
        let cannot_write = |error| Failure::Client(archive_failed(&error));
        let target = destination
            .create_file(Path::new(channel::ARCHIVE))
            .map_err(cannot_write)?;
        let look = || match self.supervisor.look()? {
            Some(ending) => Err(Failure::Cut(ending)),
            None => Ok(()),
        };
        archive::pack(files, target, look).map_err(|error| match error {
            PackError::File(path, error) => copy_failed(&path, &error),
            PackError::Archive(error) => cannot_write(error),
            PackError::Cut(failure) => failure,
        })
    }

    /// Copies files into the channel and gives their size. More than `limit_bytes` together are a
    /// failure.
    pub(super) fn copy(
        &mut self,
        destination: &mut Destination,
        files: &Files,
        limit_bytes: u64,
    ) -> Result<u64, Failure> {
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
                if bytes > limit_bytes {
                    return Err(Failure::Client(format!(
                        "the files are larger than {} MiB together",
                        limit_bytes >> 20
                    )));
                }
            }
            copying
                .finish()
                .map_err(|error| copy_failed(source, &error))?;
        }
        Ok(bytes)
    }
}

/// What an archive holds: files, and the links that stay links.
fn contents(files: Files, plan: &ArtifactPlan) -> Vec<(PathBuf, Content)> {
    let keeps_links = plan.packaging == Packaging::ZipWithLinks && !plan.discard_paths;
    let names: BTreeSet<PathBuf> = files.keys().cloned().collect();
    let content = |(name, source): (PathBuf, PathBuf)| {
        let link = keeps_links.then(|| fs::read_link(&source).ok()).flatten();
        let inner = link.filter(|link| leads_inside(&name, link, &names));
        match inner {
            Some(link) => Some((name, Content::Link(link))),
            // A link to a directory outside of the artifact has no content to take.
            None if source.is_dir() => None,
            None => Some((name, Content::File(source))),
        }
    };
    files.into_iter().filter_map(content).collect()
}

/// Whether a link called `name` leads to one of the names, or to a directory some of them are in.
fn leads_inside(name: &Path, link: &Path, names: &BTreeSet<PathBuf>) -> bool {
    let mut target = name.parent().unwrap_or(Path::new("")).to_owned();
    for part in link.components() {
        let is_inside = match part {
            Component::Normal(part) => {
                target.push(part);
                true
            }
            Component::CurDir => true,
            Component::ParentDir => target.pop(),
            Component::RootDir | Component::Prefix(_) => false,
        };
        if !is_inside {
            return false;
        }
    }
    let next = names.range(target.clone()..).next();
    next.is_some_and(|next| next.starts_with(&target))
}

fn archive_failed(error: &std::io::Error) -> String {
    let reason = reason::text(error);
    format!("cannot write the artifact's archive: {reason}")
}

pub(super) fn copy_failed(path: &Path, error: &std::io::Error) -> Failure {
    let reason = reason::text(error);
    Failure::Client(format!(
        "cannot copy artifact file {}: {reason}",
        path.display()
    ))
}
