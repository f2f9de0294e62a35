//! git with what opens a repository.

use std::io;
use std::path::Path;

use super::Repository;
use super::fetch::Fetch;
use super::program::Git;
use super::url::{RepositoryUrl, Transport};
use crate::source::credential::{Credential, CredentialFile, CredentialKind};
use crate::source::{Refusal, SourceError};

/// git with the credentials it needs, which live as long as this value.
pub(super) struct Ready {
    /// The program.
    pub(super) git: Git,
    /// Whether there is anything to open the repository with.
    pub(super) has_credential: bool,
    _credential: Option<CredentialFile>,
}

impl Fetch<'_> {
    /// A credential is for its own host: a submodule elsewhere does without.
    pub(super) fn credential_of(&self, url: &RepositoryUrl) -> Option<&Credential> {
        self.credential.filter(|_| url.origin() == self.origin)
    }

    /// Makes git ready for one repository.
    pub(super) fn ready(&self, repository: &Repository) -> Result<Ready, SourceError> {
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
        if let Some(certificates) = &repository.certificates {
            git.configure(format!("http.sslCAInfo={}", certificates.display()));
        }
        let file = self.credential_file(repository)?;
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
        } else if let Some(file) = &file {
            let helper = format!("!f() {{ test \"$1\" = get && cat {}; }}; f", file.path());
            git.configure(format!("credential.{}.helper={helper}", url.origin()));
        }
        Ok(Ready {
            git,
            has_credential: file.is_some(),
            _credential: file,
        })
    }

    /// Puts the repository's credential where git, or `ssh`, can read it; `None` where it has none that
    /// fits the transport.
    fn credential_file(
        &self,
        repository: &Repository,
    ) -> Result<Option<CredentialFile>, SourceError> {
        let url = &repository.url;
        let Some(credential) = self.credential_of(url) else {
            return Ok(None);
        };
        let refused = |text: String| SourceError::Refused(Refusal::Other(text));
        let file = match (&credential.kind, url.transport()) {
            (CredentialKind::SshKey(key), Transport::Ssh) => CredentialFile::of_key(key),
            (CredentialKind::SshKey(_), _) | (CredentialKind::Login { .. }, Transport::Ssh) => {
                return Ok(None);
            }
            (CredentialKind::Login { .. }, Transport::Http)
                if !url.is_loopback() && !repository.insecure_ssl =>
            {
                return Err(refused(format!(
                    "credentials are not sent to {} without TLS: use https, or allow it with insecureSsl",
                    url.host()
                )));
            }
            (CredentialKind::Login { username, password }, _) => {
                CredentialFile::of_login(username, password)
            }
        };
        file.map(Some)
            .map_err(|error: io::Error| refused(error.to_string()))
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
