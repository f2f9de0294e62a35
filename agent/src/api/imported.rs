//! Source credentials that were imported through the API, for the builds whose sources they open.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use async_trait::async_trait;
use secrecy::ExposeSecret;
use serde_json::Value;

use super::operations::credential_purpose;
use crate::model::SourceType;
use crate::source::git::{RepositoryUrl, Transport};
use crate::source::stored::{self, CredentialError, SourceCredentials, StoredCredential};
use crate::store::{Kind, Store};
use crate::vault::Vault;

/// The credentials in a store, and others where it has none.
#[derive(Debug)]
pub struct ImportedCredentials {
    store: Arc<dyn Store>,
    vault_key: PathBuf,
    otherwise: Arc<dyn SourceCredentials>,
}

impl ImportedCredentials {
    /// Looks into the store first. What is found there is opened with the key in `vault_key`: a copy
    /// of the file of the server that took it in. It is read when it is needed, and never made here.
    pub fn new(
        store: Arc<dyn Store>,
        vault_key: PathBuf,
        otherwise: Arc<dyn SourceCredentials>,
    ) -> Self {
        Self {
            store,
            vault_key,
            otherwise,
        }
    }

    async fn imported(
        &self,
        source_type: SourceType,
        url: &RepositoryUrl,
    ) -> anyhow::Result<Option<StoredCredential>> {
        let Some((name, host)) = kept_for(source_type) else {
            return Ok(None);
        };
        // A token must not go wherever a project points.
        let is_its_host = host.is_none_or(|host| host.eq_ignore_ascii_case(url.host()));
        if !is_its_host || url.transport() == Transport::Ssh {
            return Ok(None);
        }
        let names = [name.to_owned()];
        let found = self.store.resources(Kind::SourceCredential, &names).await?;
        let Some(resource) = found.into_iter().next() else {
            return Ok(None);
        };
        let text = |member: &str| resource.body.get(member).and_then(Value::as_str);
        let username = text("username").map(str::to_owned);
        let sealed = text("token").ok_or_else(|| anyhow!("the store has no token of {name}"))?;
        let purpose = credential_purpose(name);
        let token = Vault::open_existing(&self.vault_key)
            .and_then(|vault| vault.unseal(&purpose, sealed))
            .with_context(|| {
                format!(
                    "the credential imported for {} needs the key file of the server that took it in: copy that file to {}, or name it with `vault_key` in [server] of the configuration",
                    name.to_uppercase(),
                    self.vault_key.display()
                )
            })?;
        if text("authType") == Some("SECRETS_MANAGER") {
            return Ok(Some(StoredCredential::InSecretsManager {
                secret: token.expose_secret().to_owned(),
                username,
            }));
        }
        let credential = stored::of_secret(&purpose, token.expose_secret(), username, source_type)?;
        Ok(Some(StoredCredential::Ready(credential)))
    }
}

#[async_trait]
impl SourceCredentials for ImportedCredentials {
    async fn find(
        &self,
        source_type: SourceType,
        url: &RepositoryUrl,
    ) -> Result<Option<StoredCredential>, CredentialError> {
        match self.imported(source_type, url).await {
            Ok(Some(found)) => Ok(Some(found)),
            Ok(None) => self.otherwise.find(source_type, url).await,
            Err(error) => Err(CredentialError::Other(error)),
        }
    }
}

/// Under which name the credential for a kind of source is kept (API, `ServerType`), and the only host
/// it is for, where there is one. Of the others, CodeBuild's API does not say it either.
fn kept_for(source_type: SourceType) -> Option<(&'static str, Option<&'static str>)> {
    match source_type {
        SourceType::Github => Some(("github", Some("github.com"))),
        SourceType::GithubEnterprise => Some(("github_enterprise", None)),
        SourceType::Bitbucket => Some(("bitbucket", Some("bitbucket.org"))),
        SourceType::Gitlab => Some(("gitlab", Some("gitlab.com"))),
        SourceType::GitlabSelfManaged => Some(("gitlab_self_managed", None)),
        _ => None,
    }
}
