//! Git sources: an address, a version and a credential go in, a working tree comes out.
//!
//! A mirror on this machine is brought up to date, its packs are copied into the workspace, the
//! version's files are written there. All of it is done by the git program with nothing allowed that
//! a repository or a host could misuse (`program.rs`).

mod message;
mod mirror;
mod program;
mod submodules;
mod update;
mod url;
mod version;
mod workspace;

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::message::{Meaning, last_line, meaning};
use self::mirror::MirrorKey;
pub use self::mirror::{Evicted, Mirrors};
use self::program::Git;
pub use self::program::{GitError, Lookup};
use self::submodules::Submodule;
use self::update::{Tip, Update, UpdateError};
pub use self::url::{RepositoryUrl, Transport, UrlError, UserInfo};
pub use self::version::{GitVersion, InvalidVersion};
use self::workspace::{Link, Workspace, WorkspaceError};
use super::credential::{Credential, CredentialFile, CredentialKind};
use super::{Refusal, SourceError};

/// Waits before the tries after the first one, where a host did not answer as it should.
const RETRIES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];

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
    /// How long fetching may take.
    pub limit: Duration,
}

/// Fetching one source.
#[derive(Debug)]
struct Fetch<'a> {
    sources: &'a GitSources,
    deadline: Instant,
    stop: &'a CancellationToken,
    credential: Option<&'a Credential>,
    /// The host to which the credential belongs.
    origin: String,
}

/// git with the credentials it needs, which live as long as this value.
struct Ready {
    git: Git,
    has_credential: bool,
    _credential: Option<CredentialFile>,
}

/// A tree that was written.
struct Placed {
    commit: String,
    bytes: u64,
    links: Vec<Link>,
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
            .place(repository, &workspace, self.limit_bytes)
            .await?;
        if repository.submodules {
            fetch.submodules(repository, workspace, &placed).await?;
        }
        Ok(placed.commit)
    }
}

impl Fetch<'_> {
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

    async fn mirror(
        &self,
        repository: &Repository,
        ready: &Ready,
    ) -> Result<mirror::Mirror, SourceError> {
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

    /// A credential is for its own host: a submodule elsewhere does without.
    fn credential_of(&self, url: &RepositoryUrl) -> Option<&Credential> {
        self.credential.filter(|_| url.origin() == self.origin)
    }

    fn ready(&self, repository: &Repository) -> Result<Ready, SourceError> {
        let mirrors = &self.sources.mirrors;
        let url = &repository.url;
        let mut git = Git::new(
            &mirrors.home()?,
            self.sources.lookup,
            self.deadline,
            self.stop,
        );
        if repository.insecure_ssl {
            git.configure("http.sslVerify=false".to_owned());
        }
        let credential = self.credential_of(url);
        let unusable = |error: io::Error| SourceError::Refused(Refusal::Other(error.to_string()));
        let file = match credential.map(|credential| &credential.kind) {
            Some(CredentialKind::Login { username, password })
                if url.transport() != Transport::Ssh =>
            {
                let in_the_open = url.transport() == Transport::Http && !url.is_loopback();
                if in_the_open && !repository.insecure_ssl {
                    return Err(SourceError::Refused(Refusal::Other(format!(
                        "credentials are not sent to {} without TLS: use https, or allow it with insecureSsl",
                        url.host()
                    ))));
                }
                let file = CredentialFile::of_login(username, password).map_err(unusable)?;
                let helper = format!("!f() {{ test \"$1\" = get && cat {}; }}; f", file.path());
                git.configure(format!("credential.{}.helper={helper}", url.origin()));
                Some(file)
            }
            Some(CredentialKind::SshKey(key)) if url.transport() == Transport::Ssh => {
                Some(CredentialFile::of_key(key).map_err(unusable)?)
            }
            _ => None,
        };
        if url.transport() == Transport::Ssh {
            let key = file.as_ref().map(CredentialFile::path);
            git.set(
                "GIT_SSH_COMMAND",
                ssh_command(&mirrors.known_hosts(), key.as_deref()),
            );
            git.set("GIT_SSH_VARIANT", "ssh".to_owned());
            if let Some(socket) = (self.sources.lookup)("SSH_AUTH_SOCK").filter(|_| key.is_none()) {
                git.set("SSH_AUTH_SOCK", socket);
            }
        }
        Ok(Ready {
            git,
            has_credential: file.is_some(),
            _credential: file,
        })
    }

    /// Fetches the submodules of a tree, and theirs.
    async fn submodules(
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
            ..parent.clone()
        };
        let placed = self
            .place(&repository, &submodule.workspace, limit_bytes)
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

/// `ssh` without any configuration file, prompt or forwarding. Without a key of the build's own it
/// takes those of the user who runs the agent. The key of a host is remembered when it is seen for
/// the first time, and has to stay the same.
fn ssh_command(known_hosts: &Path, key: Option<&str>) -> String {
    let known_hosts = known_hosts.to_string_lossy().replace('%', "%%");
    let option = format!("UserKnownHostsFile=\"{known_hosts}\"").replace('\'', r"'\''");
    let mut command = format!(
        "ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=accept-new -o '{option}' \
         -o ConnectTimeout=30 -o ServerAliveInterval=15 -o ServerAliveCountMax=4 \
         -o PermitLocalCommand=no -o ClearAllForwardings=yes -o LogLevel=ERROR"
    );
    if let Some(key) = key {
        command.push_str(" -o IdentitiesOnly=yes -o IdentityAgent=none -i ");
        command.push_str(key);
    }
    command
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
