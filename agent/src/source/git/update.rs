//! Brings a mirror up to date and finds the commit that a version means.
//!
//! The host is asked every time, so what is found is what the host says now, to this build's
//! credentials; references of earlier fetches count for nothing.

use super::mirror::Mirror;
use super::program::{Bound, Git, GitError};
use super::version::{GitVersion, is_short_commit};
use super::{Depth, Repository};

/// All branches and tags.
const EVERYTHING: [&str; 2] = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];

/// Where the head of the default branch is kept in a mirror.
const DEFAULT_HEAD: &str = "refs/buildspec-agent/head";

/// What a version means at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tip {
    /// The commit.
    pub(super) commit: String,
    /// What of the mirror's references the checkout gets.
    pub(super) references: References,
}

/// References that a checkout gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum References {
    /// All branches and tags.
    Everything,
    /// This one.
    Only(String),
    /// None: the commit alone.
    None,
}

/// Why there is no tip.
#[derive(Debug)]
pub(super) enum UpdateError {
    /// The repository has no such version.
    NoSuchVersion,
    /// git failed.
    Git(GitError),
}

impl From<GitError> for UpdateError {
    fn from(error: GitError) -> Self {
        Self::Git(error)
    }
}

/// A mirror that is being brought up to date.
#[derive(Debug)]
pub(super) struct Update<'a> {
    /// The mirror.
    pub(super) mirror: &'a Mirror,
    /// git, with the credentials.
    pub(super) git: &'a Git,
    /// What is wanted.
    pub(super) repository: &'a Repository,
    /// How large the mirror may become, in bytes.
    pub(super) limit_bytes: u64,
}

impl Update<'_> {
    /// Fetches what is missing for the repository's version.
    pub(super) async fn run(&self) -> Result<Tip, UpdateError> {
        match &self.repository.version {
            GitVersion::Default => self.default_branch().await,
            GitVersion::Name(name) => self.name(name).await,
            GitVersion::Reference(reference) => self.reference(reference).await,
            GitVersion::CommitOf { reference, commit } => self.commit_of(reference, commit).await,
            GitVersion::Commit(commit) => self.commit(commit).await,
        }
    }

    async fn default_branch(&self) -> Result<Tip, UpdateError> {
        let head = format!("+HEAD:{DEFAULT_HEAD}");
        match self.repository.depth {
            Depth::Full => {
                let [heads, tags] = EVERYTHING;
                self.fetch(&[heads, tags, &head]).await?;
                self.tip(DEFAULT_HEAD, References::Everything).await
            }
            Depth::Commits(_) => {
                self.fetch(&[&head]).await?;
                self.tip(DEFAULT_HEAD, References::None).await
            }
        }
    }

    /// A branch, else a tag, else the beginning of a hash.
    async fn name(&self, name: &str) -> Result<Tip, UpdateError> {
        let candidates = [format!("refs/heads/{name}"), format!("refs/tags/{name}")];
        if self.repository.depth == Depth::Full {
            self.fetch(&EVERYTHING).await?;
            for reference in &candidates {
                match self.tip(reference, References::Everything).await {
                    Err(UpdateError::NoSuchVersion) => {}
                    found => return found,
                }
            }
            if !is_short_commit(name) {
                return Err(UpdateError::NoSuchVersion);
            }
            return self.tip(name, References::Everything).await;
        }
        for reference in candidates {
            match self.fetch(&[&format!("+{reference}:{reference}")]).await {
                Err(UpdateError::NoSuchVersion) => {}
                fetched => {
                    fetched?;
                    return self
                        .tip(&reference, References::Only(reference.clone()))
                        .await;
                }
            }
        }
        Err(UpdateError::NoSuchVersion)
    }

    async fn reference(&self, reference: &str) -> Result<Tip, UpdateError> {
        let is_common = ["refs/heads/", "refs/tags/"]
            .iter()
            .any(|prefix| reference.starts_with(prefix));
        if is_common && self.repository.depth == Depth::Full {
            self.fetch(&EVERYTHING).await?;
            return self.tip(reference, References::Everything).await;
        }
        self.fetch(&[&format!("+{reference}:{reference}")]).await?;
        self.tip(reference, References::Only(reference.to_owned()))
            .await
    }

    /// Only the reference is fetched (observed for `refs/heads/main^{<hash>}`), unless the commit is
    /// no longer on it.
    async fn commit_of(&self, reference: &str, commit: &str) -> Result<Tip, UpdateError> {
        self.fetch(&[&format!("+{reference}:{reference}")]).await?;
        let references = References::Only(reference.to_owned());
        match self.tip(commit, references.clone()).await {
            Err(UpdateError::NoSuchVersion) => {}
            found => return found,
        }
        self.fetch_commit(commit).await?;
        self.tip(commit, references).await
    }

    /// All is fetched (observed for plain hashes), and the commit too if it is on no branch.
    async fn commit(&self, commit: &str) -> Result<Tip, UpdateError> {
        if self.repository.depth != Depth::Full {
            self.fetch_commit(commit).await?;
            return self.tip(commit, References::None).await;
        }
        self.fetch(&EVERYTHING).await?;
        match self.tip(commit, References::Everything).await {
            Err(UpdateError::NoSuchVersion) => {}
            found => return found,
        }
        self.fetch_commit(commit).await?;
        self.tip(commit, References::Everything).await
    }

    async fn fetch_commit(&self, commit: &str) -> Result<(), UpdateError> {
        self.fetch(&[&format!("+{commit}:refs/buildspec-agent/commits/{commit}")])
            .await
    }

    async fn fetch(&self, refspecs: &[&str]) -> Result<(), UpdateError> {
        let depth = match self.repository.depth {
            Depth::Full => None,
            Depth::Commits(commits) => Some(format!("--depth={commits}")),
        };
        // A deleted branch `a` must not be in the way of a new one `a/b`.
        let prune = refspecs.starts_with(&EVERYTHING).then_some("--prune");
        let mut arguments = vec![
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            "--no-show-forced-updates",
            "--force",
        ];
        arguments.extend(depth.as_deref());
        arguments.extend(prune);
        arguments.extend(["--", self.repository.url.as_str()]);
        arguments.extend(refspecs);
        let packs = self.mirror.packs();
        let bound = Bound {
            directory: &packs,
            limit_bytes: self.limit_bytes,
        };
        match self
            .git
            .run(self.mirror.directory(), &arguments, Some(bound))
            .await
        {
            Err(GitError::Failed { words, .. }) if means_no_reference(&words) => {
                Err(UpdateError::NoSuchVersion)
            }
            fetched => Ok(fetched?),
        }
    }

    /// The commit that a reference or a hash leads to in the mirror.
    async fn tip(&self, name: &str, references: References) -> Result<Tip, UpdateError> {
        let commit = format!("{name}^{{commit}}");
        let arguments = [
            "rev-parse",
            "--quiet",
            "--verify",
            "--end-of-options",
            &commit,
        ];
        match self
            .git
            .read(self.mirror.directory(), &arguments, 100)
            .await
        {
            Ok(output) => Ok(Tip {
                commit: String::from_utf8_lossy(&output).trim().to_owned(),
                references,
            }),
            Err(GitError::Failed { .. }) => Err(UpdateError::NoSuchVersion),
            Err(error) => Err(error.into()),
        }
    }
}

/// What git and the hosts say when they do not have what was asked for.
fn means_no_reference(words: &str) -> bool {
    [
        "couldn't find remote ref",
        "not our ref",
        "unadvertised object",
        "no such remote ref",
    ]
    .iter()
    .any(|sign| words.contains(sign))
}
