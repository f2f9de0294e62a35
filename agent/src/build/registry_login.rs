//! With which login the image of a build is pulled.

use buildspec_parser::model::SecretReference;

use super::{Tools, session};
use crate::credentials::Role;
use crate::docker::RegistryLogin;
use crate::images::{EcrError, Reference};
use crate::model::{BuildRequest, ImagePullCredentialsType};
use crate::secrets::{self, AwsSecrets, LookUpError};

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
        return of_secret(&credential.credential, request, tools)
            .await
            .map(Some);
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

/// The two parts of the secret, which the project's role reads (API, `RegistryCredential`: it needs
/// `SERVICE_ROLE`).
async fn of_secret(
    credential: &str,
    request: &BuildRequest,
    tools: &Tools,
) -> Result<RegistryLogin, LoginError> {
    let parts = ["username", "password"].map(|key| {
        secrets::Reference::Secret(SecretReference {
            id: credential.to_owned(),
            json_key: Some(key.to_owned()),
            version_stage: None,
            version_id: None,
        })
    });
    let aws = AwsSecrets::new(session(request, tools));
    // Together, so that the secret is asked for once.
    let found = secrets::look_up(&parts.each_ref(), tools.secrets.as_ref(), &aws).await;
    let mut found = found.into_iter().map(|value| match value {
        Ok(value) => Ok(value.expose().to_owned()),
        Err(source) => Err(LoginError::Credential {
            credential: credential.to_owned(),
            source,
        }),
    });
    let mut next = || found.next().unwrap_or_else(|| Ok(String::new()));
    Ok(RegistryLogin {
        username: next()?,
        password: next()?.into(),
    })
}
