//! Credentials of git hosts that somebody has stored: a repository goes in, what opens it comes out.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use secrecy::SecretString;
use serde_json::Value;

use super::credential::{Credential, CredentialKind};
use super::git::{Lookup, RepositoryUrl, Transport};
use crate::config::{SecretPlace, SourceCredentialConfig};
use crate::model::SourceType;

/// Largest file with a token or a key, in bytes.
const LARGEST_BYTES: u64 = 64 * 1024;

/// A place in which credentials of git hosts are stored (API, `ImportSourceCredentials`).
#[async_trait]
pub trait SourceCredentials: std::fmt::Debug + Send + Sync {
    /// What opens a repository; `None` if nothing is stored for its host.
    async fn find(
        &self,
        source_type: SourceType,
        url: &RepositoryUrl,
    ) -> Result<Option<StoredCredential>, CredentialError>;
}

/// A stored credential.
#[derive(Debug, Clone)]
pub enum StoredCredential {
    /// The credential itself.
    Ready(Credential),
    /// Its name in Secrets Manager.
    InSecretsManager {
        /// ARN or name of the secret.
        secret: String,
        /// The user, if the secret does not say.
        username: Option<String>,
    },
}

/// Why a stored credential cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The variable is not set.
    #[error(
        "the source credential of {host} is to come from the variable {variable}, which is not set"
    )]
    NoVariable {
        /// Host it is for.
        host: String,
        /// The variable.
        variable: String,
    },
    /// The file cannot be read.
    #[error("cannot read the source credential of {host} from {}", path.display())]
    Read {
        /// Host it is for.
        host: String,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A secret does not have a form that is known.
    #[error(
        "the secret {0} holds no source credential: it has to be a token, a private key, or JSON with Token, or with username and password"
    )]
    Form(String),
    /// Another place of credentials failed.
    #[error("cannot look the source credential up")]
    Other(#[source] anyhow::Error),
}

/// The credentials that the configuration names, and one in the environment.
#[derive(Debug, Clone)]
pub struct ConfiguredCredentials {
    entries: Vec<SourceCredentialConfig>,
    lookup: Lookup,
}

impl ConfiguredCredentials {
    /// Takes the entries of the configuration; variables are looked up when a credential is wanted.
    pub fn new(entries: Vec<SourceCredentialConfig>, lookup: Lookup) -> Self {
        Self { entries, lookup }
    }

    fn value(&self, host: &str, place: &SecretPlace) -> Result<String, CredentialError> {
        match place {
            SecretPlace::Variable(variable) => {
                (self.lookup)(variable).ok_or_else(|| CredentialError::NoVariable {
                    host: host.to_owned(),
                    variable: variable.clone(),
                })
            }
            SecretPlace::File(path) => read_secret(path).map_err(|source| CredentialError::Read {
                host: host.to_owned(),
                path: path.clone(),
                source,
            }),
            // Its caller knows how to get there.
            SecretPlace::SecretsManager(secret) => Err(CredentialError::Form(secret.clone())),
        }
    }

    /// `BUILDSPEC_AGENT_GIT_TOKEN` is for one host, github.com unless `BUILDSPEC_AGENT_GIT_HOST` says
    /// otherwise: a token must not go wherever a project points.
    fn of_environment(&self, source_type: SourceType, url: &RepositoryUrl) -> Option<Credential> {
        let lookup = self.lookup;
        let host = lookup("BUILDSPEC_AGENT_GIT_HOST").unwrap_or_else(|| "github.com".to_owned());
        if !host.eq_ignore_ascii_case(url.host()) || url.transport() == Transport::Ssh {
            return None;
        }
        let token = lookup("BUILDSPEC_AGENT_GIT_TOKEN")?;
        let username = lookup("BUILDSPEC_AGENT_GIT_USERNAME");
        Some(Credential {
            name: format!("environment {}", username.as_deref().unwrap_or_default()),
            kind: CredentialKind::Login {
                username: username.unwrap_or_else(|| user_of_tokens(source_type).to_owned()),
                password: token.into(),
            },
        })
    }
}

#[async_trait]
impl SourceCredentials for ConfiguredCredentials {
    async fn find(
        &self,
        source_type: SourceType,
        url: &RepositoryUrl,
    ) -> Result<Option<StoredCredential>, CredentialError> {
        let is_ssh = url.transport() == Transport::Ssh;
        let entry = self.entries.iter().enumerate().find_map(|(index, entry)| {
            let place = if is_ssh {
                &entry.ssh_key
            } else {
                &entry.password
            };
            let place = place.as_ref()?;
            entry
                .host
                .eq_ignore_ascii_case(url.host())
                .then_some((index, entry, place))
        });
        let Some((index, entry, place)) = entry else {
            let given = self.of_environment(source_type, url);
            return Ok(given.map(StoredCredential::Ready));
        };
        let username = entry.username.clone();
        if let SecretPlace::SecretsManager(secret) = place {
            return Ok(Some(StoredCredential::InSecretsManager {
                secret: secret.clone(),
                username,
            }));
        }
        let value = SecretString::from(self.value(&entry.host, place)?);
        Ok(Some(StoredCredential::Ready(Credential {
            name: format!(
                "configuration {index} {}",
                username.as_deref().unwrap_or_default()
            ),
            kind: if is_ssh {
                CredentialKind::SshKey(value)
            } else {
                CredentialKind::Login {
                    username: username.unwrap_or_else(|| user_of_tokens(source_type).to_owned()),
                    password: value,
                }
            },
        })))
    }
}

/// Reads a credential out of a secret: a private key, a token, or JSON with `Token` and `Username` as
/// CodeBuild's own secrets have it (user guide, "Access tokens"), or with `username` and `password`.
pub fn of_secret(
    name: &str,
    text: &str,
    username: Option<String>,
    source_type: SourceType,
) -> Result<Credential, CredentialError> {
    let text = text.trim();
    let login = |username: Option<String>, password: &str| CredentialKind::Login {
        username: username.unwrap_or_else(|| user_of_tokens(source_type).to_owned()),
        password: password.into(),
    };
    let kind = match serde_json::from_str(text) {
        Ok(Value::Object(members)) => {
            let member = |names: [&str; 2]| {
                names
                    .into_iter()
                    .find_map(|name| members.get(name)?.as_str())
            };
            let token = member(["Token", "token"]).or_else(|| member(["password", "Password"]));
            let token = token.ok_or_else(|| CredentialError::Form(name.to_owned()))?;
            let user = member(["Username", "username"]).map(str::to_owned);
            login(user.or(username), token)
        }
        _ if text.starts_with("-----BEGIN") => CredentialKind::SshKey(text.into()),
        _ if text.is_empty() || text.contains(char::is_whitespace) => {
            return Err(CredentialError::Form(name.to_owned()));
        }
        _ => login(username, text),
    };
    Ok(Credential {
        name: format!("secret {name}"),
        kind,
    })
}

/// The user that a host expects beside a token, where nobody names one.
fn user_of_tokens(source_type: SourceType) -> &'static str {
    match source_type {
        SourceType::Bitbucket => "x-token-auth",
        SourceType::Gitlab | SourceType::GitlabSelfManaged => "oauth2",
        _ => "x-access-token",
    }
}

/// Reads a token, a key or another secret from a file, without blanks around it.
pub fn read_secret(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let file = fs::File::open(path)?;
    file.take(LARGEST_BYTES).read_to_string(&mut text)?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn shown(credential: &Credential) -> String {
        match &credential.kind {
            CredentialKind::Login { username, password } => {
                format!("{username}:{}", password.expose_secret())
            }
            CredentialKind::SshKey(key) => key.expose_secret().to_owned(),
        }
    }

    fn lookup(name: &str) -> Option<String> {
        match name {
            "TOKEN" => Some("of-variable".to_owned()),
            "BUILDSPEC_AGENT_GIT_TOKEN" => Some("of-environment".to_owned()),
            _ => None,
        }
    }

    #[tokio::test]
    async fn credentials_go_to_their_own_hosts_only() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "key\n").unwrap();
        let entry = |host: &str, password, ssh_key| SourceCredentialConfig {
            host: host.to_owned(),
            username: None,
            password,
            ssh_key,
        };
        let variable = Some(SecretPlace::Variable("TOKEN".to_owned()));
        let configured = ConfiguredCredentials::new(
            vec![
                entry("git.example.com:8443", variable, None),
                entry(
                    "ssh.example.com",
                    None,
                    Some(SecretPlace::File(file.path().to_owned())),
                ),
            ],
            lookup,
        );
        for (url, expected) in [
            ("https://git.example.com:8443/r", Some("oauth2:of-variable")),
            ("https://git.example.com/r", None),
            ("git@ssh.example.com:r", Some("key")),
            ("https://ssh.example.com/r", None),
            ("https://github.com/o/r", Some("oauth2:of-environment")),
            ("git@github.com:o/r", None),
        ] {
            let url = RepositoryUrl::parse(url).unwrap().0;
            let found = configured
                .find(SourceType::GitlabSelfManaged, &url)
                .await
                .unwrap();
            let found = found.map(|found| match found {
                StoredCredential::Ready(credential) => shown(&credential),
                other @ StoredCredential::InSecretsManager { .. } => panic!("{other:?}"),
            });
            assert_eq!(found.as_deref(), expected, "{url}");
        }
    }

    #[tokio::test]
    async fn a_credential_that_is_not_there_is_named() {
        let missing = SourceCredentialConfig {
            host: "h".to_owned(),
            username: None,
            password: Some(SecretPlace::Variable("NONE".to_owned())),
            ssh_key: None,
        };
        let configured = ConfiguredCredentials::new(vec![missing], lookup);
        let url = RepositoryUrl::parse("https://h/r").unwrap().0;
        let error = configured.find(SourceType::Github, &url).await.unwrap_err();
        assert!(error.to_string().contains("NONE"), "{error}");
    }

    #[test]
    fn secrets_are_read_in_all_their_forms() {
        for (text, expected) in [
            (
                r#"{"ServerType":"GITHUB","AuthType":"PERSONAL_ACCESS_TOKEN","Token":"t"}"#,
                Some("x-access-token:t"),
            ),
            (
                r#"{"ServerType":"BITBUCKET","AuthType":"BASIC_AUTH","Username":"u","Token":"t"}"#,
                Some("u:t"),
            ),
            (r#"{"username":"u","password":"p"}"#, Some("u:p")),
            ("token\n", Some("x-access-token:token")),
            (
                "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n",
                Some("-----BEGIN OPENSSH PRIVATE KEY-----\nx"),
            ),
            (r#"{"other":"x"}"#, None),
            ("two words", None),
            ("", None),
        ] {
            let read = of_secret("s", text, None, SourceType::Github);
            assert_eq!(read.ok().as_ref().map(shown).as_deref(), expected, "{text}");
        }
    }
}
