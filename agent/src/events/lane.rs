//! The delivery to one destination: claim, send, settle, and pause while nothing arrives.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::Sent;
use super::delivery::Route;
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

/// Pauses that are remembered at most; others end with the next look.
const MOST_PAUSES: usize = 1000;

/// The delivery to one destination.
pub(super) struct Lane {
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
    /// The delivery by a route, in the name of `holder`.
    pub(super) fn new(store: Arc<dyn Store>, holder: String, route: Route) -> Self {
        Self {
            store,
            holder,
            route,
            failures: 0,
            pauses: BTreeSet::new(),
        }
    }

    /// Delivers until it is told to stop, and then for a short while what can be delivered at once.
    pub(super) async fn run(mut self, stop: CancellationToken) {
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
