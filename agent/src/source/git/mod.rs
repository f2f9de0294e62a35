//! Git sources: an address, a version and a credential go in, a working tree comes out.
//!
//! A mirror on this machine is brought up to date, its packs are copied into the workspace, the
//! version's files are written there. All of it is done by the git program with nothing allowed that
//! a repository or a host could misuse (`program.rs`).

mod access;
mod fetch;
mod message;
mod mirror;
mod program;
mod submodules;
mod update;
mod url;
mod version;
mod workspace;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::fetch::Fetch;
pub use self::mirror::{Evicted, Mirrors};
pub use self::program::{GitError, Lookup};
pub use self::url::{RepositoryUrl, Transport, UrlError, UserInfo};
pub use self::version::{GitVersion, InvalidVersion};
use self::workspace::Workspace;
use super::SourceError;
use super::credential::Credential;

/// A repository to fetch.
#[derive(Debug, Clone)]
pub struct Repository {
    /// Its address.
    pub url: RepositoryUrl,
    /// What of it is wanted.
    pub version: GitVersion,
    /// How much of the history.
    pub depth: Depth,
    /// Whether its submodules are fetched too (API, `GitSubmodulesConfig`).
    pub submodules: bool,
    /// Whether the host's certificate is not looked at (API, `insecureSsl`).
    pub insecure_ssl: bool,
    /// A file of certificates in PEM form that hosts are trusted by; none for those that git trusts by itself.
    pub certificates: Option<PathBuf>,
    /// What opens it; none where it is open to everybody.
    pub credential: Option<Credential>,
}

/// How much of a history is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// All of it.
    Full,
    /// The newest commits.
    Commits(u32),
}

impl Depth {
    /// Reads `gitCloneDepth`: 0, nothing and more than 25 stand for the full history (API).
    pub fn from_member(depth: Option<u32>) -> Self {
        match depth {
            Some(commits @ 1..=25) => Self::Commits(commits),
            _ => Self::Full,
        }
    }
}

/// Fetches git sources.
#[derive(Debug, Clone)]
pub struct GitSources {
    /// Mirrors of repositories.
    pub mirrors: Mirrors,
    /// Where variables of this process are looked up: proxies, and the path of programs.
    pub lookup: Lookup,
    /// How large a repository, and how large a tree of files, may be, in bytes.
    pub limit_bytes: u64,
    /// How large all mirrors together may be, in bytes.
    pub mirrors_limit_bytes: u64,
    /// How long fetching may take.
    pub limit: Duration,
}

impl GitSources {
    /// Fetches a repository into an empty directory, and gives the commit that is checked out there.
    pub async fn fetch(
        &self,
        repository: &Repository,
        into: &Path,
        stop: &CancellationToken,
    ) -> Result<String, SourceError> {
        let fetch = Fetch {
            sources: self,
            deadline: Instant::now() + self.limit,
            stop,
            credential: repository.credential.as_ref(),
            origin: repository.url.origin(),
        };
        let workspace = Workspace {
            git_directory: into.join(".git"),
            tree: into.to_owned(),
        };
        let placed = fetch
            .place_deep_enough(repository, &workspace, self.limit_bytes)
            .await?;
        if repository.submodules {
            fetch.submodules(repository, workspace, &placed).await?;
        }
        self.evict().await;
        Ok(placed.commit)
    }

    /// Keeps the mirrors within their bounds. The build has its source; that this fails is no reason for
    /// it to fail too.
    async fn evict(&self) {
        let (mirrors, limit) = (self.mirrors.clone(), self.mirrors_limit_bytes);
        let evict = move || mirrors.evict(limit, Duration::MAX, false);
        match tokio::task::spawn_blocking(evict).await {
            Ok(Ok(evicted)) => {
                for mirror in evicted {
                    tracing::info!("removed mirror {}", mirror.directory.display());
                }
            }
            Ok(Err(error)) => tracing::warn!("cannot look after the mirrors: {error}"),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
}
