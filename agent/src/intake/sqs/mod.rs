//! A queue of SQS: messages come out of it, and go when they are builds of the store, or when their builds are over.
//!
//! Nothing is asked for while the worker is full, the store is away, or enough builds of the queue wait already: what
//! is in the queue is safe there, and every receipt without a build brings a message nearer to the dead-letter queue. A
//! message that can be no build is never deleted: it is told of in the log and left to the queue's redrive policy.

mod hold;
mod message;
mod payload;
mod service;

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Intake, IntakeError, Reception, Refusal, ask};
use crate::config::SqsConfig;
use crate::model::Site;
use crate::store::{Arrival, Claim, Ticket};
use message::Message;
use service::{Service, Trouble};

/// How long a build may run whose message is held: SQS hides a message for twelve hours at most, and some of them go
/// by before it runs.
const LONGEST_HELD_BUILD: Duration = Duration::from_hours(11);

/// A queue.
#[derive(Debug)]
pub(super) struct Queue {
    reception: Reception,
    site: Site,
    service: Service,
    config: SqsConfig,
    /// Its name in the store.
    intake: String,
    /// Its name, as people know it.
    name: String,
    /// The same, in a sentence.
    title: String,
}

#[async_trait]
impl Intake for Queue {
    fn key(&self) -> &str {
        &self.intake
    }

    fn title(&self) -> &str {
        &self.title
    }

    fn most_waiting(&self) -> u32 {
        self.config.waiting
    }

    fn answers_within(&self) -> Option<Duration> {
        // Held on to once in every third of the time for which they are hidden.
        self.holds().then(|| self.config.visibility() / 3)
    }

    async fn take(&self, room: u32, stop: &CancellationToken) -> Result<Duration, String> {
        self.take_some(room, stop).await?;
        // The question itself waits for messages.
        Ok(Duration::ZERO)
    }

    async fn close(&self) {
        if self.holds() {
            self.give_back_waiting().await;
        }
    }

    async fn look_at(&self, arrival: Arrival) {
        self.hold_on_or_let_go(&arrival).await;
    }
}

impl Queue {
    /// The queue of this URL. Nobody is contacted.
    pub(super) async fn new(
        reception: Reception,
        site: Site,
        url: &str,
        config: &SqsConfig,
    ) -> Result<Self, IntakeError> {
        let path = url.split_once("://").map(|(_, rest)| rest);
        let name = path.and_then(|path| path.rsplit_once('/'));
        let name = name.map(|(_, name)| name).filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| {
            IntakeError::Configuration(format!(
                "{url:?} is not the URL of a queue, such as https://sqs.eu-west-1.amazonaws.com/123456789012/builds"
            ))
        })?;
        Ok(Self {
            service: Service::new(&reception.aws, url).await,
            intake: format!("sqs {url}"),
            name: name.to_owned(),
            title: format!("queue {name}"),
            config: config.clone(),
            reception,
            site,
        })
    }

    /// Whether messages stay until their builds are over.
    fn holds(&self) -> bool {
        self.config.hold
    }

    /// Waits for messages, and deals with them. The question is not given up when it is time to stop: SQS would hide the
    /// next messages for one who does not listen any more. Those that come then go back at once.
    async fn take_some(&self, room: u32, stop: &CancellationToken) -> Result<(), String> {
        let visibility = self.config.visibility();
        let received = self.service.receive(room, self.config.wait(), visibility);
        tokio::pin!(received);
        let messages = tokio::select! {
            messages = &mut received => messages?,
            () = stop.cancelled() => {
                if self.holds() {
                    self.give_back_waiting().await;
                }
                received.await?
            }
        };
        if stop.is_cancelled() {
            for message in messages {
                self.service.give_back(&message.receipt).await;
            }
            return Ok(());
        }
        self.deal_with(messages).await
    }

    /// Deals with messages in their order. What cannot be dealt with now goes back, with all that came after it.
    async fn deal_with(&self, messages: Vec<Message>) -> Result<(), String> {
        let in_time = Instant::now() + self.config.visibility() / 2;
        let mut messages = messages.into_iter();
        let mut blocked = HashSet::new();
        while let Some(message) = messages.next() {
            let is_blocked = message
                .group
                .as_ref()
                .is_some_and(|group| blocked.contains(group));
            let refusal = if Instant::now() > in_time {
                Refusal::ForNow("the messages before it took too long".to_owned())
            } else if is_blocked {
                // In a FIFO queue nothing overtakes, not even what is refused.
                self.service.give_back(&message.receipt).await;
                continue;
            } else {
                match Box::pin(self.become_build(&message)).await {
                    Ok(()) => continue,
                    Err(refusal) => refusal,
                }
            };
            match refusal {
                Refusal::ForGood(reason) => {
                    self.refuse(&message, &reason);
                    blocked.extend(message.group);
                }
                Refusal::ForNow(reason) => {
                    for message in std::iter::once(message).chain(messages) {
                        self.service.give_back(&message.receipt).await;
                    }
                    return Err(reason);
                }
            }
        }
        Ok(())
    }

    /// Says why a message is no build, and leaves it to the queue.
    fn refuse(&self, message: &Message, reason: &str) {
        tracing::warn!(
            message.id = %message.id,
            receive_count = message.receive_count,
            "message {} of queue {}, received {} times, is no build and is left to the queue: {reason}",
            message.id,
            self.name,
            message.receive_count
        );
    }

    /// Queues the build of a message in the store, unless it is there already, and deletes the message if nobody
    /// waits for its outcome.
    async fn become_build(&self, message: &Message) -> Result<(), Refusal> {
        let text = payload::of(&message.body, &self.reception.aws).await?;
        let fingerprint = message::fingerprint(&text);
        let ask = message::read(&text, format!("sqs/{}", self.name))?;
        let store = self.reception.store.as_ref();
        let token = match &ask.overrides.idempotency_token {
            Some(token) => format!("{} token {token}", self.intake),
            None => format!("{} message {}", self.intake, message.id),
        };
        let mut request = ask::request(&ask, store, &self.site).await?;
        ask::check_workers(&request, store).await?;
        if self.holds() {
            request.timeout = request.timeout.min(LONGEST_HELD_BUILD);
        }
        let claim = Claim {
            intake: self.intake.clone(),
            token,
            fingerprint,
            answer_to: self.holds().then(|| Ticket {
                id: message.id.clone(),
                ticket: message.receipt.clone(),
            }),
        };
        let claimed = self.reception.queue(request, &claim).await?;
        let build = &claimed.build.id;
        if claimed.is_new {
            tracing::info!(
                build.id = %build,
                message.id = %message.id,
                "message {} of queue {} is build {build}",
                message.id,
                self.name
            );
        } else {
            tracing::info!(
                build.id = %build,
                message.id = %message.id,
                "message {} of queue {} came again: it is build {build} already",
                message.id,
                self.name
            );
        }
        if !self.holds() {
            self.delete(&message.id, &message.receipt).await;
        }
        Ok(())
    }

    /// Deletes a message that is taken care of. Where that fails it comes again, and is known.
    async fn delete(&self, id: &str, receipt: &str) -> bool {
        match self.service.delete(receipt).await {
            Ok(()) => true,
            Err(Trouble::Gone(reason) | Trouble::Other(reason)) => {
                tracing::warn!(
                    message.id = %id,
                    "message {id} of queue {} cannot be deleted: {reason}",
                    self.name
                );
                false
            }
        }
    }
}
