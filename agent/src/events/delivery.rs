//! Brings messages from the outbox to where they go: one task a destination, so that none waits for another.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Destination;
use super::commit_status::{self, CommitStatuses};
use super::event_bridge::EventBus;
use super::http::Http;
use super::lane::Lane;
use super::sns::Topic;
use super::webhook::Webhook;
use crate::config::{self, Config, EventTarget};
use crate::credentials::Aws;
use crate::secrets::AwsSecrets;
use crate::source::stored::SourceCredentials;
use crate::store::Store;

/// Time between two looks for messages whose time is over.
const EXPIRY_INTERVAL: Duration = Duration::from_mins(1);

/// Why a message is given up that was never tried.
const NEVER_TRIED: &str =
    "an earlier message of this build did not arrive, or nobody delivers to this destination";

/// A way to somebody who is told of builds.
#[derive(Clone)]
pub struct Route {
    /// Name of the destination.
    pub(super) name: String,
    /// The destination.
    pub(super) destination: Arc<dyn Destination>,
}

/// Shows the name; what lies behind it may hold secrets.
impl fmt::Debug for Route {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Route({})", self.name)
    }
}

/// The ways to everybody whom the configuration names, and to the git hosts.
pub fn routes(
    config: &Config,
    aws: &Aws,
    credentials: &Arc<dyn SourceCredentials>,
    store: &Arc<dyn Store>,
) -> Vec<Route> {
    let session = || aws.agent().clone();
    let mut routes = vec![Route {
        name: commit_status::DESTINATION.to_owned(),
        destination: Arc::new(CommitStatuses::new(
            &config.commit_status,
            aws.clone(),
            Arc::clone(credentials),
            Arc::clone(store),
        )),
    }];
    routes.extend(config.events.iter().map(|event| Route {
        name: event.name.clone(),
        destination: match &event.to {
            EventTarget::EventBridge { bus, .. } => Arc::new(EventBus {
                bus: bus.clone(),
                session: session(),
            }),
            EventTarget::Sns { topic, .. } => Arc::new(Topic {
                arn: topic.clone(),
                session: session(),
            }),
            EventTarget::Webhook { url, secret, .. } => Arc::new(Webhook {
                url: url.clone(),
                secret: secret.clone(),
                lookup: config::process_environment,
                aws: AwsSecrets::new(session()),
                http: Http::default(),
            }),
        },
    }));
    routes
}

/// Delivers what is in the outbox of a store.
#[derive(Debug)]
pub struct Delivery {
    store: Arc<dyn Store>,
    /// By what its claims are known.
    holder: String,
}

impl Delivery {
    /// Delivers in the name of `holder`, which no other living process has. One that died under the same name
    /// has left its claims to this one.
    pub fn new(store: Arc<dyn Store>, holder: String) -> Self {
        Self { store, holder }
    }

    /// Delivers until it is told to stop, and then for a short while what can be delivered at once. Takes
    /// other routes as soon as there are any.
    pub async fn run(&self, mut routes: watch::Receiver<Vec<Route>>, stop: &CancellationToken) {
        if let Err(error) = self.store.release_messages(&self.holder).await {
            tracing::warn!("messages of the process before wait for a while: {error:#}");
        }
        while !stop.is_cancelled() {
            let present = routes.borrow_and_update().clone();
            let stop_lanes = stop.child_token();
            let mut lanes = JoinSet::new();
            lanes.spawn(expire(Arc::clone(&self.store), stop_lanes.clone()));
            for route in present {
                let lane = Lane::new(Arc::clone(&self.store), self.holder.clone(), route);
                lanes.spawn(lane.run(stop_lanes.clone()));
            }
            tokio::select! {
                () = stop.cancelled() => {}
                Ok(()) = routes.changed() => {}
            }
            stop_lanes.cancel();
            while let Some(ended) = lanes.join_next().await {
                if let Err(error) = ended {
                    tracing::error!("the task of a destination panicked: {error}");
                }
            }
        }
    }
}

/// Forgets messages whose time is over, and says which.
async fn expire(store: Arc<dyn Store>, stop: CancellationToken) {
    loop {
        match store.expire_messages().await {
            Ok(expired) if expired.is_empty() => {}
            Ok(expired) => {
                for message in expired {
                    let problem = message.problem.as_deref();
                    tracing::warn!(
                        build.id = %message.build,
                        "message {} of build {} to {} is given up after {} attempts: {}",
                        message.id,
                        message.build,
                        message.destination,
                        message.attempts,
                        problem.unwrap_or(NEVER_TRIED)
                    );
                }
                continue;
            }
            Err(error) => tracing::warn!("cannot look for messages that are too old: {error:#}"),
        }
        if stop
            .run_until_cancelled(sleep(EXPIRY_INTERVAL))
            .await
            .is_none()
        {
            return;
        }
    }
}
