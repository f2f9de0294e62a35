//! What opens a repository: credentials, and the one way in which they reach a program.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::{Mode, fchmod};
use secrecy::{ExposeSecret, SecretString};

/// What opens a repository.
#[derive(Clone)]
pub struct Credential {
    /// Which one it is, stable while its value changes: two builds whose credentials have the same
    /// name are shown the same repositories. Not secret.
    pub name: String,
    /// The credential itself.
    pub kind: CredentialKind,
}

/// The kinds of credentials.
#[derive(Clone)]
pub enum CredentialKind {
    /// User and password, or token, for HTTPS.
    Login {
        /// The user.
        username: String,
        /// Password or token.
        password: SecretString,
    },
    /// A private key for SSH, as OpenSSH writes it, without a pass phrase.
    SshKey(SecretString),
}

impl fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Credential({})", self.name)
    }
}

impl fmt::Debug for CredentialKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Login { .. } => "Login(***)",
            Self::SshKey(_) => "SshKey(***)",
        })
    }
}

/// A user or a password that the protocol of git's credentials cannot carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the source credential holds a line break or a zero byte")]
pub struct UnusableCredential;

/// A credential where only programs started by this user can read it: in memory, at a path below
/// `/proc` that exists for as long as this value does. Not inherited by any program.
#[derive(Debug)]
pub(super) struct CredentialFile {
    file: File,
}

impl CredentialFile {
    /// Writes user and password in the form in which git asks its helpers for them.
    pub(super) fn of_login(username: &str, password: &SecretString) -> io::Result<Self> {
        let password = password.expose_secret();
        if [username, password]
            .iter()
            .any(|text| text.contains(['\n', '\r', '\0']))
        {
            return Err(io::Error::other(UnusableCredential));
        }
        Self::of(format!("username={username}\npassword={password}\n").as_bytes())
    }

    /// Writes a private key as `ssh` reads it.
    pub(super) fn of_key(key: &SecretString) -> io::Result<Self> {
        Self::of(format!("{}\n", key.expose_secret().trim_end()).as_bytes())
    }

    fn of(bytes: &[u8]) -> io::Result<Self> {
        let descriptor = memfd_create(c"source-credential", MFdFlags::MFD_CLOEXEC)?;
        // ssh refuses a key that others could read.
        fchmod(&descriptor, Mode::S_IRUSR | Mode::S_IWUSR)?;
        let mut file = File::from(descriptor);
        file.write_all(bytes)?;
        Ok(Self { file })
    }

    /// Where programs read it, each from its beginning.
    pub(super) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_credential_is_read_from_its_path_again_and_again() {
        let file = CredentialFile::of_login("ada", &"s3cret".into()).unwrap();
        for _ in 0..2 {
            let text = fs::read_to_string(file.path()).unwrap();
            assert_eq!(text, "username=ada\npassword=s3cret\n");
        }
        let mode = fs::metadata(file.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_password_cannot_add_lines_to_gits_protocol() {
        for (user, password) in [("a\nhost=x", "p"), ("a", "p\nquit=1"), ("a", "p\0")] {
            assert!(CredentialFile::of_login(user, &password.into()).is_err());
        }
    }

    #[test]
    fn no_credential_shows_itself() {
        let credential = Credential {
            name: "github".to_owned(),
            kind: CredentialKind::Login {
                username: "ada".to_owned(),
                password: "s3cret".into(),
            },
        };
        assert!(!format!("{credential:?}{:?}", credential.kind).contains("s3cret"));
    }
}
