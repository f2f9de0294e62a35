//! Settings of sources.

use std::path::PathBuf;

use serde::Deserialize;

/// Settings of sources: what is kept of them on this machine, and what opens them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SourcesConfig {
    /// How large a repository, an archive or the files of a source may be, in GiB. Default: 20.
    pub limit_gib: u64,
    /// How large the mirrors of repositories may be together, in GiB; those used longest ago are
    /// removed first. Default: 20.
    pub mirrors_limit_gib: u64,
    /// After how many days without use `gc` removes a mirror. Default: 30.
    pub mirrors_idle_days: u64,
    /// What opens repositories, by host; the first entry that fits counts. Default: nothing.
    pub credentials: Vec<SourceCredentialConfig>,
}

impl Default for SourcesConfig {
    fn default() -> Self {
        Self {
            limit_gib: 20,
            mirrors_limit_gib: 20,
            mirrors_idle_days: 30,
            credentials: Vec::new(),
        }
    }
}

/// What opens the repositories of one host.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceCredentialConfig {
    /// The host, with the port if the repositories' addresses have one.
    pub host: String,
    /// The user. Default: the one that the host expects beside a token.
    #[serde(default)]
    pub username: Option<String>,
    /// Password or token, for HTTPS.
    #[serde(default)]
    pub password: Option<SecretPlace>,
    /// Private key without a pass phrase, for SSH.
    #[serde(default)]
    pub ssh_key: Option<SecretPlace>,
}

/// Where a secret of the configuration is: never in the file itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretPlace {
    /// In this variable of the agent's environment.
    Variable(String),
    /// In this file.
    File(PathBuf),
    /// In this secret of Secrets Manager, by its ARN or name.
    SecretsManager(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_named_by_where_they_are() {
        let text = "
            [[credentials]]
            host = 'github.com'
            password = { variable = 'GITHUB_TOKEN' }
            [[credentials]]
            host = 'git.example.com'
            ssh_key = { file = '/etc/key' }
        ";
        let config: SourcesConfig = toml::from_str(text).unwrap();
        assert_eq!(config.limit_gib, 20);
        let places: Vec<_> = config
            .credentials
            .iter()
            .map(|entry| entry.password.as_ref().or(entry.ssh_key.as_ref()).unwrap())
            .collect();
        assert_eq!(places[0], &SecretPlace::Variable("GITHUB_TOKEN".to_owned()));
        assert_eq!(places[1], &SecretPlace::File("/etc/key".into()));
        let in_the_file = "[[credentials]]\nhost = 'h'\npassword = 'ghp_x'\n";
        assert!(toml::from_str::<SourcesConfig>(in_the_file).is_err());
    }
}
