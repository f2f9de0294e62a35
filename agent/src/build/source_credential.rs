//! What opens the repository of a source: what the source itself names, else what is stored for its
//! host.

use anyhow::anyhow;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::{Tools, checkout};
use crate::credentials::describe;
use crate::model::{BuildRequest, ProjectSource, SourceAuthType, SourceType};
use crate::source::git::RepositoryUrl;
use crate::source::stored::{CredentialError, StoredCredential, of_secret};
use crate::source::{Credential, Refusal, SourceError, codecommit};

/// Looks the credential up; `None` where the repository has to be open to everybody.
pub(super) async fn find(
    request: &BuildRequest,
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
        None if source.source_type == SourceType::Codecommit => {
            of_codecommit(request, url, tools).await
        }
        None => Ok(None),
        Some(StoredCredential::Ready(credential)) => Ok(Some(credential)),
        Some(StoredCredential::InSecretsManager { secret, username }) => {
            let text = secret_text(request, &secret, tools).await?;
            let text = text.expose_secret();
            let credential = of_secret(&secret, text, username, source.source_type);
            credential.map(Some).map_err(|error| refused(&told(&error)))
        }
    }
}

/// The text of a secret: from the file that stands for Secrets Manager, else from Secrets Manager itself,
/// with the credentials of the project's role.
async fn secret_text(
    request: &BuildRequest,
    secret: &str,
    tools: &Tools,
) -> Result<SecretString, SourceError> {
    if let Some(secrets) = &tools.secrets {
        let reference = secret.parse();
        let reference = reference
            .map_err(|_| refused("the name of the source credential's secret is not valid"))?;
        let value = secrets.secret(&reference);
        let value = value.map_err(|error| refused(&error.to_string()))?;
        return Ok(value.expose().into());
    }
    let region = secret
        .strip_prefix("arn:")
        .and_then(|arn| arn.split(':').nth(2));
    let session = checkout::session(request, tools);
    let client = session.secrets_manager(region).await;
    let answer = client.get_secret_value().secret_id(secret).send().await;
    let answer =
        answer.map_err(|error| refused(&format!("Secrets Manager Error: {}", describe(&error))))?;
    match answer.secret_string {
        Some(text) => Ok(text.into()),
        None => Err(refused(
            &CredentialError::Form(secret.to_owned()).to_string(),
        )),
    }
}

/// The role of the project opens its repositories in `CodeCommit`.
async fn of_codecommit(
    request: &BuildRequest,
    url: &RepositoryUrl,
    tools: &Tools,
) -> Result<Option<Credential>, SourceError> {
    let Some(region) = codecommit::region_of(url) else {
        return Ok(None);
    };
    let keys = checkout::session(request, tools).keys().await;
    let keys = keys.map_err(|error| refused(&error.to_string()))?;
    let signing = codecommit::Keys {
        access_key_id: keys.access_key_id(),
        secret_access_key: keys.secret_access_key(),
        session_token: keys.session_token(),
    };
    let now = Timestamp::now();
    Ok(Some(codecommit::credential(url, region, signing, now)))
}

fn told(error: &CredentialError) -> String {
    format!("{:#}", anyhow!("{error}"))
}

fn refused(text: &str) -> SourceError {
    SourceError::Refused(Refusal::Other(text.to_owned()))
}
