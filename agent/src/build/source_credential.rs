//! What opens the repository of a source: what the source itself names, else what is stored for its
//! host.

use anyhow::anyhow;

use super::Tools;
use crate::model::{ProjectSource, SourceAuthType, SourceType};
use crate::source::git::RepositoryUrl;
use crate::source::stored::{CredentialError, StoredCredential, of_secret};
use crate::source::{Credential, Refusal, SourceError};

/// Looks the credential up; `None` where the repository has to be open to everybody.
pub(super) async fn find(
    source: &ProjectSource,
    url: &RepositoryUrl,
    tools: &Tools,
) -> Result<Option<Credential>, SourceError> {
    let auth = source.auth.as_ref();
    let resource = auth.and_then(|auth| auth.resource.clone());
    let stored = match (auth.map(|auth| auth.auth_type), resource) {
        (Some(SourceAuthType::SecretsManager), Some(secret)) => {
            Some(StoredCredential::InSecretsManager {
                secret,
                username: None,
            })
        }
        (Some(SourceAuthType::Codeconnections), _) => {
            return Err(refused(
                "connections of AWS CodeConnections are not supported: name a token with SECRETS_MANAGER, or store it as a source credential",
            ));
        }
        _ => {
            let found = tools.source_credentials.find(source.source_type, url).await;
            found.map_err(|error| refused(&told(&error)))?
        }
    };
    match stored {
        None => Ok(None),
        Some(StoredCredential::Ready(credential)) => Ok(Some(credential)),
        Some(StoredCredential::InSecretsManager { secret, username }) => {
            of_secrets_manager(&secret, username, source.source_type, tools).map(Some)
        }
    }
}

fn of_secrets_manager(
    secret: &str,
    username: Option<String>,
    source_type: SourceType,
    tools: &Tools,
) -> Result<Credential, SourceError> {
    let looked_up = secret
        .parse()
        .map_err(|_| refused("the name of the source credential's secret is not valid"));
    let reference = looked_up?;
    let secrets = tools.secrets.as_ref().ok_or_else(|| {
        refused("the source credential lies in Secrets Manager, which is not supported yet: give it with --secrets-file")
    })?;
    let value = secrets
        .secret(&reference)
        .map_err(|error| refused(&error.to_string()))?;
    let credential = of_secret(secret, value.expose(), username, source_type);
    credential.map_err(|error| refused(&told(&error)))
}

fn told(error: &CredentialError) -> String {
    format!("{:#}", anyhow!("{error}"))
}

fn refused(text: &str) -> SourceError {
    SourceError::Refused(Refusal::Other(text.to_owned()))
}
