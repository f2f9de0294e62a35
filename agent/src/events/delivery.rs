//! Brings messages from the outbox to where they go: one task a destination, so that none waits for another.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::commit_status::{self, CommitStatuses};
use super::event_bridge::EventBus;
use super::http::Http;
use super::sns::Topic;
use super::webhook::Webhook;
use super::{Destination, Sent};
use crate::config::{self, Config, EventTarget};
use crate::credentials::Aws;
use crate::secrets::AwsSecrets;
use crate::source::stored::SourceCredentials;
use crate::store::{Message, Settled, Store};

/// How long a claim holds: longer than a round of a destination can take.
const CLAIM: Duration = Duration::from_mins(1);

/// How long a destination may take for what it was sent at once.
const ROUND_LIMIT: Duration = Duration::from_secs(40);

/// Time between two looks at the outbox when nobody calls: another process may have given something back.
const POLL: Duration = Duration::from_secs(30);

/// The pause after the first failure; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// How long messages go on being delivered after the process was told to end.
const FLUSH: Duration = Duration::from_secs(5);

/// Time between two looks for messages whose time is over.
const EXPIRY_INTERVAL: Duration = Duration::from_mins(1);

/// Pauses that are remembered at most; others end with the next look.
const MOST_PAUSES: usize = 1000;

/// Why a message is given up that was never tried.
const NEVER_TRIED: &str =
    "an earlier message of this build did not arrive, or nobody delivers to this destination";

/// A way to somebody who is told of builds.
#[derive(Clone)]
pub struct Route {
    name: String,
    destination: Arc<dyn Destination>,
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
                let lane = Lane {
                    store: Arc::clone(&self.store),
                    holder: self.holder.clone(),
                    route,
                    failures: 0,
                    pauses: BTreeSet::new(),
                };
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

/// The delivery to one destination.
struct Lane {
    store: Arc<dyn Store>,
    holder: String,
    route: Route,
    /// Rounds one after the other in which nothing has arrived.
    failures: u32,
    /// When messages that did not arrive are due again.
    pauses: BTreeSet<Instant>,
}

/// What a round has come to.
enum Round {
    /// Something has arrived, and there may be more.
    More,
    /// Nothing is due.
    Empty,
    /// Nothing arrives at present.
    Failing(Duration),
}

impl Lane {
    async fn run(mut self, stop: CancellationToken) {
        let mut calls = self.store.changes().outbox;
        let mut end = None;
        loop {
            calls.mark_unchanged();
            let round = self.round().await;
            if stop.is_cancelled() {
                let end = *end.get_or_insert_with(|| Instant::now() + FLUSH);
                if !matches!(round, Round::More) || Instant::now() >= end {
                    return;
                }
            }
            match round {
                Round::More => {}
                Round::Empty => {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        Ok(()) = calls.changed() => {}
                        () = sleep_until(self.next_look()) => {}
                    }
                }
                // Whatever is new would not arrive either.
                Round::Failing(pause) => {
                    stop.run_until_cancelled(sleep(pause)).await;
                }
            }
        }
    }

    /// Claims, sends and settles. A destination from which nothing came back is tried with one message.
    async fn round(&mut self) -> Round {
        let name = &self.route.name;
        let most = if self.failures > 0 {
            1
        } else {
            self.route.destination.batch()
        };
        let claimed = self
            .store
            .claim_messages(name, &self.holder, most, CLAIM)
            .await;
        let messages = match claimed {
            Ok(messages) if messages.is_empty() => return Round::Empty,
            Ok(messages) => messages,
            Err(error) => {
                tracing::warn!("cannot look for messages to {name}: {error:#}");
                return Round::Failing(FIRST_PAUSE);
            }
        };
        let sent = timeout(ROUND_LIMIT, self.route.destination.send(&messages)).await;
        let sent = sent.unwrap_or_else(|_| {
            let limit = ROUND_LIMIT.as_secs();
            vec![Sent::not_yet(format!("it took more than {limit} seconds")); messages.len()]
        });
        let mut settled = Vec::new();
        let mut failure = None;
        for (message, sent) in messages.iter().zip(sent) {
            let outcome = self.outcome(message, sent);
            if let Settled::Again { problem, .. } = &outcome {
                failure = Some(problem.clone());
            }
            settled.push((message.id, outcome));
        }
        let has_arrived = settled.iter().any(|(_, one)| *one == Settled::Gone);
        let name = &self.route.name;
        let written = self.store.settle_messages(name, &self.holder, &settled);
        if let Err(error) = written.await {
            // They come again when the claim is over: at least once.
            tracing::warn!("what has reached {name} is not written down: {error:#}");
        }
        self.verdict(has_arrived, failure)
    }

    /// What a message's answer makes of it.
    fn outcome(&mut self, message: &Message, sent: Sent) -> Settled {
        let (name, build) = (&self.route.name, &message.build);
        match sent {
            Sent::Arrived => Settled::Gone,
            Sent::Refused(reason) => {
                tracing::warn!(
                    build.id = %build,
                    "message {} of build {build} to {name} is given up: {reason}",
                    message.id
                );
                Settled::Gone
            }
            Sent::NotYet { problem, pause } => {
                let pause = pause.unwrap_or_default().max(back_off(message.attempts));
                if self.pauses.len() < MOST_PAUSES {
                    self.pauses.insert(Instant::now() + pause);
                }
                Settled::Again { pause, problem }
            }
        }
    }

    /// Keeps account of how the destination does; the first failures of many are told.
    fn verdict(&mut self, has_arrived: bool, failure: Option<String>) -> Round {
        let name = &self.route.name;
        match failure {
            Some(problem) if !has_arrived => {
                self.failures = self.failures.saturating_add(1);
                if self.failures.is_power_of_two() {
                    tracing::warn!("nothing reaches {name}, trying again: {problem}");
                }
                Round::Failing(back_off(self.failures))
            }
            _ => {
                if self.failures > 1 {
                    tracing::info!("{name} is reached again");
                }
                self.failures = 0;
                Round::More
            }
        }
    }

    fn next_look(&mut self) -> Instant {
        let now = Instant::now();
        self.pauses = self.pauses.split_off(&now);
        let next = self.pauses.first().copied();
        next.map_or(now + POLL, |next| next.min(now + POLL))
    }
}

/// The pause after so many failures, between half and all of it: those that failed together come back apart.
fn back_off(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let whole = (FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE);
    let chance = u32::from(uuid::Uuid::new_v4().as_bytes()[0]);
    whole / 2 + whole * chance / 510
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_minute_and_are_never_the_same() {
        for (failures, most) in [(1, 1), (2, 2), (5, 16), (7, 60), (u32::MAX, 60)] {
            let most = Duration::from_secs(most);
            for _ in 0..100 {
                let pause = back_off(failures);
                assert!(pause >= most / 2 && pause <= most, "{failures}: {pause:?}");
            }
        }
        let different: BTreeSet<_> = (0..100).map(|_| back_off(9)).collect();
        assert!(different.len() > 10);
    }
}
