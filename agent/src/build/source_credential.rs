//! What opens the repository of a source: what the source itself names, else what is stored for its
//! host.

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::role_session;
use crate::credentials::Aws;
use crate::model::{BuildRequest, ProjectSource, SourceAuthType, SourceType};
use crate::secrets::{self, AwsSecrets, Reference, SecretsFile};
use crate::source::git::RepositoryUrl;
use crate::source::stored::{CredentialError, SourceCredentials, StoredCredential, of_secret};
use crate::source::{Credential, Refusal, SourceError, codecommit};

/// Where credentials are looked up.
#[derive(Debug, Clone, Copy)]
pub struct CredentialAccess<'a> {
    /// The way to AWS.
    pub aws: &'a Aws,
    /// What is stored for git hosts.
    pub stored: &'a dyn SourceCredentials,
    /// Stored values that stand for those of AWS, if there are any.
    pub secrets: Option<&'a SecretsFile>,
}

/// Looks the credential up; `None` where the repository has to be open to everybody.
pub async fn find(
    request: &BuildRequest,
    source: &ProjectSource,
    url: &RepositoryUrl,
    access: CredentialAccess<'_>,
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
        (Some(SourceAuthType::Codeconnections), connection) => {
            return Err(refused(&format!(
                "the connection {} cannot be used: AWS gives tokens of CodeConnections to its own services only. Let auth be a token in SECRETS_MANAGER, or none, and store a source credential for {}",
                connection.as_deref().unwrap_or("of CodeConnections"),
                url.host()
            )));
        }
        _ => {
            let found = access.stored.find(source.source_type, url).await;
            found.map_err(told)?
        }
    };
    match stored {
        None if source.source_type == SourceType::Codecommit => {
            of_codecommit(request, url, access).await
        }
        None => Ok(None),
        Some(StoredCredential::Ready(credential)) => Ok(Some(credential)),
        Some(StoredCredential::InSecretsManager { secret, username }) => {
            let text = secret_text(request, &secret, access).await?;
            let text = text.expose_secret();
            let credential = of_secret(&secret, text, username, source.source_type);
            credential.map(Some).map_err(told)
        }
    }
}

/// The text of a secret: from the file that stands for Secrets Manager, else from Secrets Manager itself,
/// with the credentials of the project's role.
async fn secret_text(
    request: &BuildRequest,
    secret: &str,
    access: CredentialAccess<'_>,
) -> Result<SecretString, SourceError> {
    let reference = secret
        .parse()
        .map_err(|_| refused("the name of the source credential's secret is not valid"))?;
    let aws = AwsSecrets::new(role_session(request, access.aws));
    let value = secrets::look_up_one(Reference::Secret(reference), access.secrets, &aws);
    match value.await {
        Ok(value) => Ok(value.expose().into()),
        Err(error) => Err(refused(&format!("Secrets Manager Error: {error}"))),
    }
}

/// The role of the project opens its repositories in `CodeCommit`.
async fn of_codecommit(
    request: &BuildRequest,
    url: &RepositoryUrl,
    access: CredentialAccess<'_>,
) -> Result<Option<Credential>, SourceError> {
    let Some(region) = codecommit::region_of(url) else {
        return Ok(None);
    };
    let keys = role_session(request, access.aws).keys().await;
    let keys = keys.map_err(|error| refused(&error.to_string()))?;
    let signing = codecommit::Keys {
        access_key_id: keys.access_key_id(),
        secret_access_key: keys.secret_access_key(),
        session_token: keys.session_token(),
    };
    let now = Timestamp::now();
    Ok(Some(codecommit::credential(url, region, signing, now)))
}

fn told(error: CredentialError) -> SourceError {
    if let CredentialError::Other(error) = error {
        return SourceError::Credential(error);
    }
    refused(&format!("{:#}", anyhow::Error::new(error)))
}

fn refused(text: &str) -> SourceError {
    SourceError::Refused(Refusal::Other(text.to_owned()))
}
