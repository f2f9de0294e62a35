//! From a repository to a tree of files, with whatever lies between: mirrors that are damaged, hosts that
//! do not answer, submodules.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::access::Ready;
use super::message::{Meaning, last_line, meaning};
use super::mirror::{Mirror, MirrorKey};
use super::program::GitError;
use super::submodules::{self, Submodule};
use super::update::{Tip, Update, UpdateError};
use super::version::GitVersion;
use super::workspace::{Link, Workspace, WorkspaceError};
use super::{Depth, GitSources, Repository};
use crate::source::credential::Credential;
use crate::source::{Refusal, SourceError};

/// Waits before the tries after the first one, where a host did not answer as it should.
const RETRIES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];

/// Fetching one source.
#[derive(Debug)]
pub(super) struct Fetch<'a> {
    /// How.
    pub(super) sources: &'a GitSources,
    /// When it has to be over.
    pub(super) deadline: Instant,
    /// Ends it before.
    pub(super) stop: &'a CancellationToken,
    /// What opens the source.
    pub(super) credential: Option<&'a Credential>,
    /// The host to which the credential belongs.
    pub(super) origin: String,
}

/// A tree that was written.
#[derive(Debug)]
pub(super) struct Placed {
    /// Its commit.
    pub(super) commit: String,
    /// Sizes of its files together.
    bytes: u64,
    /// The submodules in it.
    links: Vec<Link>,
}

impl Fetch<'_> {
    /// Fetches a repository with as much of its history as it takes to find a commit: not every host
    /// gives one by its hash, and none by the beginning of it.
    pub(super) async fn place_deep_enough(
        &self,
        repository: &Repository,
        workspace: &Workspace,
        limit_bytes: u64,
    ) -> Result<Placed, SourceError> {
        let placed = self.place(repository, workspace, limit_bytes).await;
        let is_hidden = matches!(
            placed,
            Err(SourceError::Refused(Refusal::ReferenceNotFound))
        );
        if !is_hidden || repository.depth == Depth::Full || !repository.version.names_a_commit() {
            return placed;
        }
        let whole = Repository {
            depth: Depth::Full,
            ..repository.clone()
        };
        self.place(&whole, workspace, limit_bytes).await
    }

    /// Fetches one repository. A mirror that turns out to be damaged is made anew, once.
    async fn place(
        &self,
        repository: &Repository,
        workspace: &Workspace,
        limit_bytes: u64,
    ) -> Result<Placed, SourceError> {
        let ready = self.ready(repository)?;
        match self
            .place_once(repository, workspace, &ready, limit_bytes)
            .await?
        {
            Ok(placed) => return Ok(placed),
            Err(error) => {
                let url = repository.url.as_str();
                tracing::warn!("the mirror of {url} is damaged and is made anew: {error}");
            }
        }
        empty(&workspace.tree, &workspace.git_directory)
            .map_err(GitError::file("empty", &workspace.tree))?;
        let mut mirror = self.mirror(repository, &ready).await?;
        mirror.start_over(&ready.git).await?;
        drop(mirror);
        let placed = self
            .place_once(repository, workspace, &ready, limit_bytes)
            .await?;
        placed.map_err(refusal_of)
    }

    /// The inner error is one that a damaged mirror can cause; a mirror that is new has none.
    async fn place_once(
        &self,
        repository: &Repository,
        workspace: &Workspace,
        ready: &Ready,
        limit_bytes: u64,
    ) -> Result<Result<Placed, GitError>, SourceError> {
        let mirror = self.mirror(repository, ready).await?;
        let was_there = mirror.was_there();
        let suspect = |error: GitError| match error {
            GitError::Failed { .. } if was_there => Ok(Err(error)),
            error => Err(refusal_of(error)),
        };
        let update = Update {
            mirror: &mirror,
            git: &ready.git,
            repository,
            limit_bytes: self.sources.limit_bytes,
        };
        let tip = match self.update(&update, ready.has_credential).await? {
            Ok(tip) => tip,
            Err(error) => return suspect(error),
        };
        let filled = async {
            mirror.tidy(&ready.git).await?;
            workspace
                .fill(&mirror, &ready.git, &repository.url, &tip)
                .await
        };
        if let Err(error) = filled.await {
            return suspect(error);
        }
        // Others need the mirror; this build has all it needs.
        drop(mirror);
        match workspace
            .check_out(&ready.git, &tip.commit, limit_bytes)
            .await
        {
            Ok(measured) => Ok(Ok(Placed {
                commit: tip.commit,
                bytes: measured.bytes,
                links: measured.links,
            })),
            Err(WorkspaceError::TooLarge) => Err(self.too_large()),
            Err(WorkspaceError::Git(error)) => suspect(error),
        }
    }

    /// Brings the mirror up to date; tries again where the network is to blame.
    async fn update(
        &self,
        update: &Update<'_>,
        has_credential: bool,
    ) -> Result<Result<Tip, GitError>, SourceError> {
        let mut waits = RETRIES.into_iter();
        loop {
            let error = match update.run().await {
                Ok(tip) => return Ok(Ok(tip)),
                Err(UpdateError::NoSuchVersion) => {
                    return Err(SourceError::Refused(Refusal::ReferenceNotFound));
                }
                Err(UpdateError::Git(GitError::TooLarge { .. })) => return Err(self.too_large()),
                Err(UpdateError::Git(error)) => error,
            };
            let GitError::Failed { words, .. } = &error else {
                return Ok(Err(error));
            };
            match meaning(words, update.repository.url.as_str(), has_credential) {
                Meaning::Refused(refusal) => return Err(SourceError::Refused(refusal)),
                Meaning::Unknown => return Ok(Err(error)),
                Meaning::Network(text) => {
                    let Some(wait) = waits.next() else {
                        return Err(SourceError::Refused(Refusal::Other(text)));
                    };
                    tracing::warn!("{text}; trying again");
                    let waited = self
                        .stop
                        .run_until_cancelled(tokio::time::sleep(wait))
                        .await;
                    waited.ok_or(SourceError::Stopped)?;
                }
            }
        }
    }

    async fn mirror(&self, repository: &Repository, ready: &Ready) -> Result<Mirror, SourceError> {
        let credential = self.credential_of(&repository.url);
        let key = MirrorKey {
            url: repository.url.as_str(),
            credential: credential.map_or("", |credential| &credential.name),
            shallow: repository.depth != Depth::Full,
        };
        Ok(self
            .sources
            .mirrors
            .take(key, &ready.git, self.stop)
            .await?)
    }

    /// Fetches the submodules of a tree, and theirs.
    pub(super) async fn submodules(
        &self,
        repository: &Repository,
        workspace: Workspace,
        placed: &Placed,
    ) -> Result<(), SourceError> {
        let mut left_bytes = self.sources.limit_bytes.saturating_sub(placed.bytes);
        let mut count = 0;
        let git = self.ready(repository)?.git;
        let top = (
            workspace,
            repository.url.clone(),
            placed.commit.clone(),
            placed.links.clone(),
            0,
        );
        let mut parents = vec![top];
        while let Some((parent, url, commit, links, level)) = parents.pop() {
            let found = submodules::of(&parent, &git, &url, &commit, &links).await?;
            for submodule in found.map_err(SourceError::Refused)? {
                count += 1;
                if count > submodules::MOST || level >= submodules::DEEPEST {
                    let text = "Git clone failed: the repository has too many submodules";
                    return Err(SourceError::Refused(Refusal::Other(text.to_owned())));
                }
                let placed = self
                    .submodule(repository, &parent, &submodule, left_bytes)
                    .await?;
                left_bytes = left_bytes.saturating_sub(placed.bytes);
                let Submodule { url, workspace, .. } = submodule;
                parents.push((workspace, url, placed.commit, placed.links, level + 1));
            }
        }
        Ok(())
    }

    async fn submodule(
        &self,
        parent: &Repository,
        workspace: &Workspace,
        submodule: &Submodule,
        limit_bytes: u64,
    ) -> Result<Placed, SourceError> {
        let repository = Repository {
            url: submodule.url.clone(),
            version: GitVersion::Commit(submodule.commit.clone()),
            insecure_ssl: parent.insecure_ssl && submodule.url.origin() == self.origin,
            ..parent.clone()
        };
        let placed = self
            .place_deep_enough(&repository, &submodule.workspace, limit_bytes)
            .await;
        let placed = placed.map_err(|error| match error {
            SourceError::Refused(refusal) => SourceError::Refused(Refusal::Other(format!(
                "{refusal} for submodule {}",
                submodule.url
            ))),
            error => error,
        })?;
        submodules::tie(workspace, submodule)
            .map_err(GitError::file("write", &submodule.workspace.tree))?;
        Ok(placed)
    }

    fn too_large(&self) -> SourceError {
        let mebibytes = self.sources.limit_bytes >> 20;
        SourceError::Refused(Refusal::Other(format!(
            "Git clone failed: the repository is larger than {mebibytes} MiB"
        )))
    }
}

/// What is left of a first try goes; the tree itself stays.
fn empty(tree: &Path, git_directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(git_directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    for entry in fs::read_dir(tree)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// What git could not do although nothing of ours was damaged: the repository is to blame.
fn refusal_of(error: GitError) -> SourceError {
    match error {
        GitError::Failed { words, .. } => SourceError::Refused(Refusal::Other(format!(
            "Git clone failed: {}",
            last_line(&words)
        ))),
        GitError::TimedOut { .. } => SourceError::Refused(Refusal::Other(
            "Git clone failed: it took longer than the build may".to_owned(),
        )),
        error @ GitError::TooLarge { .. } => {
            SourceError::Refused(Refusal::Other(error.to_string()))
        }
        GitError::Stopped => SourceError::Stopped,
        error => SourceError::Git(error),
    }
}
