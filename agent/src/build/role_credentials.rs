//! Credentials of the project's service role, for the programs of the build.
//!
//! The executor hands them out inside the container; the agent gets them from STS and sends them through the
//! control socket, in the plan and again long before they expire. Nothing in the container can ask the agent for
//! anything, and the agent's own credentials never go there.

use std::convert::Infallible;
use std::time::{Duration, SystemTime};

use executor::protocol::{CredentialsPlan, Order, RoleCredentials, Secret};
use jiff::Timestamp;
use uuid::Uuid;

use super::Abort;
use super::provision::Provisioned;
use crate::credentials::{CredentialsError, Session, TemporaryCredentials, until_renewal};
use crate::model::PhaseContext;

/// Time between two attempts to renew.
const RETRY_INTERVAL: Duration = Duration::from_secs(20);

/// Credentials to begin a build with.
#[derive(Debug)]
pub(super) struct First {
    /// What the executor gets.
    pub(super) plan: CredentialsPlan,
    expires: SystemTime,
}

/// Gets the credentials to begin with; `None` for a build without a role.
pub(super) async fn first(aws: &Session) -> Result<Option<First>, Abort> {
    let given = match aws.temporary_credentials().await {
        Ok(given) => given,
        Err(error) => return Err(refused(error)),
    };
    Ok(given.map(|given| First {
        expires: given.expires,
        plan: CredentialsPlan {
            token: Secret::new(format!(
                "{}{}",
                Uuid::new_v4().simple(),
                Uuid::new_v4().simple()
            )),
            credentials: of_protocol(given),
        },
    }))
}

fn refused(error: CredentialsError) -> Abort {
    Abort::Failed {
        context: PhaseContext::new("CLIENT_ERROR", error.to_string()),
        cause: Some(error.into()),
    }
}

/// Renews the credentials as long as it is polled.
pub(super) async fn renew(
    container: &Provisioned,
    aws: &Session,
    first: Option<SystemTime>,
) -> Infallible {
    let Some(mut expires) = first else {
        return std::future::pending().await;
    };
    loop {
        tokio::time::sleep(until_renewal(expires, SystemTime::now())).await;
        match renewed(container, aws, expires).await {
            Ok(next) => expires = next,
            Err(error) => {
                tracing::warn!("cannot renew the credentials of the build's role: {error:#}");
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
        }
    }
}

/// Hands credentials on that are good for longer than those that end at `before`.
async fn renewed(
    container: &Provisioned,
    aws: &Session,
    before: SystemTime,
) -> anyhow::Result<SystemTime> {
    let given = aws.temporary_credentials().await?;
    let given = given.ok_or_else(|| anyhow::anyhow!("the build has no role"))?;
    let expires = given.expires;
    anyhow::ensure!(expires > before, "STS gives no new ones");
    container
        .order(Order::Renew(Box::new(of_protocol(given))))
        .await?;
    Ok(expires)
}

fn of_protocol(given: TemporaryCredentials) -> RoleCredentials {
    let expires = Timestamp::try_from(given.expires).unwrap_or_default();
    RoleCredentials {
        role_arn: given.role_arn,
        access_key_id: given.access_key_id,
        secret_access_key: Secret::new(given.secret_access_key),
        session_token: Secret::new(given.session_token),
        expiration: expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    }
}

impl First {
    /// When they end.
    pub(super) fn expires(&self) -> SystemTime {
        self.expires
    }
}
