//! Roles: a build works with the temporary credentials of its project's service role.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError as NotProvided;
use aws_credential_types::provider::{ProvideCredentials, future};
use tokio::sync::Mutex;

use super::Session;
use super::error::chain;
use crate::model::BuildId;

/// How long before their end credentials are renewed; those of a short life at half of it.
const MARGIN: Duration = Duration::from_mins(20);

/// A role to assume, for one build.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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

    /// Its credentials, asked for with those of a configuration. Nobody is asked yet.
    pub(super) async fn keys(&self, config: &SdkConfig) -> RoleKeys {
        let provider = AssumeRoleProvider::builder(&self.arn)
            .session_name(&self.session_name)
            .configure(config)
            .build()
            .await;
        RoleKeys {
            provider: Arc::new(provider),
            kept: Arc::default(),
        }
    }
}

/// Time until temporary credentials are to be renewed.
pub fn until_renewal(expires: SystemTime, now: SystemTime) -> Duration {
    let left = expires.duration_since(now).unwrap_or_default();
    left.saturating_sub(MARGIN.min(left / 2))
}

/// The credentials of a role: one set at a time, whoever needs them, renewed in time. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct RoleKeys {
    provider: Arc<AssumeRoleProvider>,
    kept: Arc<Mutex<Option<Kept>>>,
}

#[derive(Debug)]
struct Kept {
    credentials: Credentials,
    renewal: SystemTime,
}

impl RoleKeys {
    async fn current(&self) -> Result<Credentials, NotProvided> {
        let mut kept = self.kept.lock().await;
        let now = SystemTime::now();
        if let Some(Kept {
            credentials,
            renewal,
        }) = &*kept
            && now < *renewal
        {
            return Ok(credentials.clone());
        }
        match self.provider.provide_credentials().await {
            Ok(credentials) => {
                let wait = credentials.expiry().map(|end| until_renewal(end, now));
                *kept = Some(Kept {
                    credentials: credentials.clone(),
                    renewal: now + wait.unwrap_or_default(),
                });
                Ok(credentials)
            }
            // As long as the last ones are good, an outage of STS hurts nobody.
            Err(error) => match kept.as_ref().map(|kept| &kept.credentials) {
                Some(last) if last.expiry().is_some_and(|end| now < end) => Ok(last.clone()),
                _ => Err(error),
            },
        }
    }
}

impl ProvideCredentials for RoleKeys {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.current())
    }
}

impl Session {
    /// Credentials of the session's role, to be handed on; new ones when those before are
    /// [due](until_renewal). `None` for the agent's own session, whose credentials are nobody else's business, and
    /// where the agent has none: projects name a role because the API wants one, and have to build on machines
    /// that know nothing of AWS too.
    pub async fn temporary_credentials(
        &self,
    ) -> Result<Option<TemporaryCredentials>, CredentialsError> {
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
        let given = self.role_keys(role, config).await.current().await;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_renewed_well_before_they_end() {
        let now = SystemTime::UNIX_EPOCH;
        for (label, left, expected) in [
            ("an hour", Duration::from_hours(1), Duration::from_mins(40)),
            (
                "a quarter",
                Duration::from_mins(15),
                Duration::from_secs(450),
            ),
            ("nothing", Duration::ZERO, Duration::ZERO),
        ] {
            assert_eq!(until_renewal(now + left, now), expected, "{label}");
        }
        assert_eq!(until_renewal(now, now + MARGIN), Duration::ZERO);
    }
}
