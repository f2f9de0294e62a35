//! Clients of AWS: whose credentials they use, in which Region, at which endpoint.
//!
//! Everything AWS's own tools read is honoured: `AWS_ENDPOINT_URL[_SERVICE]`, profiles and the standard chain of
//! credentials. Nothing is looked up and nobody is contacted before a client is asked for something.

mod error;
mod role;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_s3::config::RequestChecksumCalculation;
use aws_types::service_config::ServiceConfigKey;
use tokio::sync::OnceCell;

pub use error::{describe, is_transient};
use role::RoleKeys;
pub use role::{CredentialsError, Role, TemporaryCredentials, until_renewal};

/// How long a connection may take to be made.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// How long a request may take until its answer begins, with its body sent: a part of an upload through a slow
/// line included.
const ANSWER_LIMIT: Duration = Duration::from_mins(1);

/// Attempts of a request before its caller hears of a failure. Callers with more patience try again themselves.
const ATTEMPTS: u32 = 5;

/// The way to AWS, chosen once for the agent.
#[derive(Debug, Clone)]
pub struct Aws {
    agent: Session,
    /// The sessions of roles that somebody holds.
    roles: Arc<Mutex<HashMap<Role, Weak<Shared>>>>,
}

/// Clients that share their credentials. Cheap to clone; every clone uses the same temporary credentials, which
/// are renewed before they expire.
#[derive(Debug, Clone)]
pub struct Session {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    region: String,
    /// The role to assume, and the session that may do so; the agent's own session has none.
    role: Option<(Role, Session)>,
    /// The credentials of the role.
    keys: OnceCell<RoleKeys>,
    config: OnceCell<SdkConfig>,
}

/// There are no keys of AWS.
#[derive(Debug, thiserror::Error)]
#[error("no credentials of AWS: {0}")]
pub struct NoKeys(String);

impl Aws {
    /// The way to AWS in a Region.
    pub fn new(region: &str) -> Self {
        Self {
            agent: Session::new(region, None),
            roles: Arc::default(),
        }
    }

    /// Clients with the agent's own credentials.
    pub fn agent(&self) -> &Session {
        &self.agent
    }

    /// Whether the agent has credentials at all; whether they are good, AWS decides.
    pub async fn has_credentials(&self) -> bool {
        role::has_credentials(self.agent.config().await).await
    }

    /// Clients with the credentials of a role, or with the agent's own where there is none. As long as somebody
    /// holds a session of a role, all who ask for the same one get it, so that it is assumed once.
    pub fn session(&self, role: Option<Role>) -> Session {
        let Some(role) = role else {
            return self.agent.clone();
        };
        // What it holds is whole between any two statements.
        let mut roles = self.roles.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = roles.get(&role).and_then(Weak::upgrade) {
            return Session { shared };
        }
        roles.retain(|_, session| session.strong_count() > 0);
        let region = &self.agent.shared.region;
        let session = Session::new(region, Some((role.clone(), self.agent.clone())));
        roles.insert(role, Arc::downgrade(&session.shared));
        session
    }
}

impl Session {
    fn new(region: &str, role: Option<(Role, Self)>) -> Self {
        Self {
            shared: Arc::new(Shared {
                region: region.to_owned(),
                role,
                keys: OnceCell::new(),
                config: OnceCell::new(),
            }),
        }
    }

    /// A client of S3. At an endpoint that is not AWS's own, buckets are part of the path, and checksums are sent
    /// only where a request asks for them: many servers know neither host names of buckets nor trailers.
    pub async fn s3(&self) -> aws_sdk_s3::Client {
        let config = self.config().await;
        let mut builder = aws_sdk_s3::config::Builder::from(config);
        if has_own_endpoint(config, "S3") {
            builder = builder
                .force_path_style(true)
                .request_checksum_calculation(RequestChecksumCalculation::WhenRequired);
        }
        aws_sdk_s3::Client::from_conf(builder.build())
    }

    /// A client of CloudWatch Logs.
    pub async fn logs(&self) -> aws_sdk_cloudwatchlogs::Client {
        aws_sdk_cloudwatchlogs::Client::new(self.config().await)
    }

    /// A client of Parameter Store, in the session's Region or another.
    pub async fn ssm(&self, region: Option<&str>) -> aws_sdk_ssm::Client {
        aws_sdk_ssm::Client::new(&self.config_in(region).await)
    }

    /// A client of Secrets Manager, in the session's Region or another.
    pub async fn secrets_manager(&self, region: Option<&str>) -> aws_sdk_secretsmanager::Client {
        aws_sdk_secretsmanager::Client::new(&self.config_in(region).await)
    }

    /// A client of ECR, in the session's Region or another.
    pub async fn ecr(&self, region: Option<&str>) -> aws_sdk_ecr::Client {
        aws_sdk_ecr::Client::new(&self.config_in(region).await)
    }

    /// A client of EventBridge, in the session's Region or another.
    pub async fn event_bridge(&self, region: Option<&str>) -> aws_sdk_eventbridge::Client {
        aws_sdk_eventbridge::Client::new(&self.config_in(region).await)
    }

    /// A client of SNS, in the session's Region or another.
    pub async fn sns(&self, region: Option<&str>) -> aws_sdk_sns::Client {
        aws_sdk_sns::Client::new(&self.config_in(region).await)
    }

    /// A client of SQS.
    pub async fn sqs(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(self.config().await)
    }

    /// A client of CodePipeline.
    pub async fn codepipeline(&self) -> aws_sdk_codepipeline::Client {
        aws_sdk_codepipeline::Client::new(self.config().await)
    }

    /// Clients with credentials that somebody else has issued for one purpose. They are not renewed.
    pub async fn with(&self, credentials: Credentials) -> Self {
        let provider = SharedCredentialsProvider::new(credentials);
        let config = self.config().await.to_builder();
        let config = config.credentials_provider(provider).build();
        Self {
            shared: Arc::new(Shared {
                region: self.shared.region.clone(),
                role: None,
                keys: OnceCell::new(),
                config: OnceCell::new_with(Some(config)),
            }),
        }
    }

    /// A client of STS.
    pub async fn sts(&self) -> aws_sdk_sts::Client {
        aws_sdk_sts::Client::new(self.config().await)
    }

    /// The keys themselves, for what no client of the SDK signs. Not to be handed on to a build.
    pub async fn keys(&self) -> Result<Credentials, NoKeys> {
        let config = self.config().await;
        let provider = config.credentials_provider();
        let provider = provider.ok_or_else(|| NoKeys("none are configured".to_owned()))?;
        let keys = provider.provide_credentials().await;
        keys.map_err(|error| NoKeys(error::chain(&error)))
    }

    /// The credentials of a role, of which all clients of this session and the build itself have their share.
    async fn role_keys(&self, role: &Role, config: &SdkConfig) -> &RoleKeys {
        let keys = &self.shared.keys;
        keys.get_or_init(|| role.keys(config)).await
    }

    async fn config_in(&self, region: Option<&str>) -> SdkConfig {
        let config = self.config().await;
        match region {
            None => config.clone(),
            Some(region) => {
                let region = Region::new(region.to_owned());
                config.to_builder().region(region).build()
            }
        }
    }

    async fn config(&self) -> &SdkConfig {
        let shared = &self.shared;
        shared
            .config
            .get_or_init(|| async {
                match &shared.role {
                    None => load(&shared.region).await,
                    Some((role, agent)) => {
                        let config = Box::pin(agent.config()).await;
                        let keys = self.role_keys(role, config).await;
                        let provider = SharedCredentialsProvider::new(keys.clone());
                        config.to_builder().credentials_provider(provider).build()
                    }
                }
            })
            .await
    }
}

/// Reads files and variables; contacts nobody, because the Region is known.
async fn load(region: &str) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_LIMIT)
        .read_timeout(ANSWER_LIMIT)
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .timeout_config(timeouts);
    if let Ok(name) = AppName::new("buildspec-agent") {
        loader = loader.app_name(name);
    }
    loader.load().await
}

/// Whether somebody set an endpoint for a service, by the rules of AWS's tools ("Service-specific endpoints" of
/// the SDKs and tools reference guide).
fn has_own_endpoint(config: &SdkConfig, service: &str) -> bool {
    let key = ServiceConfigKey::builder()
        .service_id(service)
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build();
    let of_service = || {
        let settings = config.service_config()?;
        settings.load_config(key.ok()?)
    };
    config.endpoint_url().is_some() || of_service().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Settings(&'static str);

    impl aws_types::service_config::LoadServiceConfig for Settings {
        fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
            (key.service_id() == self.0).then(|| "http://localhost:1".to_owned())
        }
    }

    #[test]
    fn an_endpoint_is_ones_own_if_it_is_set_for_all_services_or_for_this_one() {
        let none = SdkConfig::builder().build();
        let all = SdkConfig::builder().endpoint_url("http://x").build();
        let own = SdkConfig::builder().service_config(Settings("S3")).build();
        let other = SdkConfig::builder().service_config(Settings("SSM")).build();
        let found = [none, all, own, other].map(|config| has_own_endpoint(&config, "S3"));
        assert_eq!(found, [false, true, true, false]);
    }

    #[tokio::test]
    async fn a_session_without_a_role_is_the_agents_and_its_credentials_are_not_handed_on() {
        let aws = Aws::new("eu-west-1");
        let session = aws.session(None);
        assert!(Arc::ptr_eq(&session.shared, &aws.agent().shared));
        assert!(session.temporary_credentials().await.unwrap().is_none());
    }

    #[test]
    fn a_role_has_one_session_as_long_as_somebody_holds_it() {
        let aws = Aws::new("eu-west-1");
        let role = |uuid: &str| {
            let id = format!("demo:{uuid}").parse().expect("it is one");
            Some(Role::of_build("arn:aws:iam::123456789012:role/r", &id))
        };
        let (one, other) = (
            "3f0c1f0e-8a58-4c37-9a50-57b7a40cc1ff",
            "3f0c1f0e-8a58-4c37-9a50-57b7a40cc1fe",
        );
        let session = aws.session(role(one));
        assert!(Arc::ptr_eq(&session.shared, &aws.session(role(one)).shared));
        assert!(!Arc::ptr_eq(
            &session.shared,
            &aws.session(role(other)).shared
        ));
        drop(session);
        aws.session(role(other));
        assert_eq!(aws.roles.lock().unwrap().len(), 1);
    }
}
