//! Roles: a build works with the temporary credentials of its project's service role.

use std::fmt;
use std::time::SystemTime;

use aws_config::SdkConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_credential_types::provider::error::CredentialsError as NotProvided;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};

use super::Session;
use super::error::chain;
use crate::model::BuildId;

/// A role to assume, for one build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    arn: String,
    session_name: String,
}

/// Credentials that expire.
#[derive(Clone)]
pub struct TemporaryCredentials {
    /// ARN of the role they are of.
    pub role_arn: String,
    /// Names the key.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: String,
    /// Goes with every request.
    pub session_token: String,
    /// When they end.
    pub expires: SystemTime,
}

/// Names the key only.
impl fmt::Debug for TemporaryCredentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TemporaryCredentials")
            .field("access_key_id", &self.access_key_id)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// Why a role gave no credentials.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// STS refused, or was out of reach.
    #[error("cannot assume the service role {role}: {reason}")]
    Assume {
        /// ARN of the role.
        role: String,
        /// STS's words.
        reason: String,
    },
    /// What came is not temporary.
    #[error("the service role {role} gave credentials that are not temporary")]
    NotTemporary {
        /// ARN of the role.
        role: String,
    },
}

impl CredentialsError {
    /// What a person can do about it.
    pub fn remedy() -> &'static str {
        "let the agent's own identity assume the role: name it in the role's trust policy and allow it sts:AssumeRole; \
         or run the build without a role: --no-service-role"
    }
}

impl Role {
    /// The service role of a build's project. AWS's records show the build in the name of its session.
    pub fn of_build(arn: &str, build: &BuildId) -> Self {
        Self {
            arn: arn.to_owned(),
            // CodeBuild's own form.
            session_name: format!("AWSCodeBuild-{}", build.uuid),
        }
    }

    /// Its ARN.
    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// The same configuration, with the role's credentials in place of those it had.
    pub(super) async fn assumed_from(&self, config: &SdkConfig) -> SdkConfig {
        let provider = SharedCredentialsProvider::new(self.provider(config).await);
        config.to_builder().credentials_provider(provider).build()
    }

    async fn provider(&self, config: &SdkConfig) -> AssumeRoleProvider {
        AssumeRoleProvider::builder(&self.arn)
            .session_name(&self.session_name)
            .configure(config)
            .build()
            .await
    }
}

impl Session {
    /// New credentials of the session's role, to be handed on; `None` for the agent's own session, whose
    /// credentials are nobody else's business, and where the agent has none: projects name a role because
    /// the API wants one, and have to build on machines that know nothing of AWS too.
    pub async fn new_credentials(&self) -> Result<Option<TemporaryCredentials>, CredentialsError> {
        let Some((role, agent)) = &self.shared.role else {
            return Ok(None);
        };
        let config = agent.config().await;
        if !has_credentials(config).await {
            tracing::warn!(
                "the service role {} is not assumed, and builds get no credentials: this agent has none of its own",
                role.arn
            );
            return Ok(None);
        }
        let provider = role.provider(config).await;
        let given = provider.provide_credentials().await;
        let given = given.map_err(|error| CredentialsError::Assume {
            role: role.arn.clone(),
            reason: chain(&error),
        })?;
        match (given.session_token(), given.expiry()) {
            (Some(token), Some(expires)) => Ok(Some(TemporaryCredentials {
                role_arn: role.arn.clone(),
                access_key_id: given.access_key_id().to_owned(),
                secret_access_key: given.secret_access_key().to_owned(),
                session_token: token.to_owned(),
                expires,
            })),
            _ => Err(CredentialsError::NotTemporary {
                role: role.arn.clone(),
            }),
        }
    }
}

/// Whether AWS's chain finds credentials at all. Those that are found and refused are another matter.
pub(super) async fn has_credentials(config: &SdkConfig) -> bool {
    let Some(provider) = config.credentials_provider() else {
        return false;
    };
    !matches!(
        provider.provide_credentials().await,
        Err(NotProvided::CredentialsNotLoaded(_))
    )
}
