//! With which login the image of a build is pulled.

use buildspec_parser::model::SecretReference;

use super::Tools;
use crate::credentials::Role;
use crate::docker::RegistryLogin;
use crate::images::{EcrError, Reference};
use crate::model::{BuildRequest, ImagePullCredentialsType};
use crate::secrets::LookUpError;

/// Why there is no login.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoginError {
    /// The secret of `registryCredential`.
    #[error("the registryCredential {credential} gives no login: {source}")]
    Credential {
        /// Name of the secret.
        credential: String,
        /// Why.
        source: LookUpError,
    },
    /// Nobody to ask for the secret.
    #[error(
        "the registryCredential {0} lies in Secrets Manager, for which values have to be given with --secrets-file"
    )]
    NoSecrets(String),
    /// ECR.
    #[error(transparent)]
    Ecr(#[from] EcrError),
}

/// The login for a registry; `None` where it is asked without. `registryCredential` is a secret with
/// `username` and `password` (API, `RegistryCredential`); ECR is asked with the service role where the project
/// says so, otherwise with the agent's own credentials (user guide, `imagePullCredentialsType`).
pub(super) async fn find(
    reference: &Reference,
    request: &BuildRequest,
    tools: &Tools,
) -> Result<Option<RegistryLogin>, LoginError> {
    if let Some(credential) = &request.registry_credential {
        return of_secret(&credential.credential, tools).map(Some);
    }
    let Some(registry) = reference.ecr() else {
        return Ok(None);
    };
    let by_role =
        request.image_pull_credentials_type == Some(ImagePullCredentialsType::ServiceRole);
    let role = request.service_role.as_deref().filter(|_| by_role);
    let session = tools
        .aws
        .session(role.map(|arn| Role::of_build(arn, &request.id)));
    let (username, password) = tools.ecr.login(&registry, &session, role).await?;
    Ok(Some(RegistryLogin { username, password }))
}

fn of_secret(credential: &str, tools: &Tools) -> Result<RegistryLogin, LoginError> {
    let Some(secrets) = &tools.secrets else {
        return Err(LoginError::NoSecrets(credential.to_owned()));
    };
    let part = |key: &str| {
        let reference = SecretReference {
            id: credential.to_owned(),
            json_key: Some(key.to_owned()),
            version_stage: None,
            version_id: None,
        };
        let value = secrets.secret(&reference);
        value.map_err(|source| LoginError::Credential {
            credential: credential.to_owned(),
            source,
        })
    };
    Ok(RegistryLogin {
        username: part("username")?.expose().to_owned(),
        password: part("password")?.expose().to_owned().into(),
    })
}
