//! From the messages of a queue to builds of the store.

use std::iter;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::message::{self, Message};
use super::service::Trouble;
use super::{Queue, payload};
use crate::intake::{Refusal, ask, unless_stopped};
use crate::model::BuildId;
use crate::store::{Claim, Ticket};

/// How long a build may run whose message is held: SQS hides a message for twelve hours at most, and some of them go
/// by before it runs.
const LONGEST_HELD_BUILD: Duration = Duration::from_hours(11);

impl Queue {
    /// Waits for messages, and deals with them.
    ///
    /// Once it is time to stop, the question is given up, however long it would wait. What has arrived by then goes back
    /// at once; what SQS hands out in that very moment shows itself again when its visibility timeout is over.
    pub(super) async fn take_some(
        &self,
        room: u32,
        stop: &CancellationToken,
    ) -> Result<(), String> {
        // From a FIFO queue, one at a time. What is behind a message that is no build must not be received along with it:
        // it would have to go back, with one receipt more each time, and end in the dead-letter queue as well.
        let most = if self.is_fifo { 1 } else { room };
        let visibility = self.config.visibility();
        let received = self.service.receive(most, self.config.wait(), visibility);
        match unless_stopped(stop, received).await {
            Some(messages) => self.deal_with(messages?, stop).await,
            None => Ok(()),
        }
    }

    /// Deals with messages in their order. What cannot be dealt with now goes back, with all that came after it.
    async fn deal_with(
        &self,
        messages: Vec<Message>,
        stop: &CancellationToken,
    ) -> Result<(), String> {
        let in_time = Instant::now() + self.config.visibility() / 2;
        let mut messages = messages.into_iter();
        while let Some(message) = messages.next() {
            let dealt_with = if stop.is_cancelled() {
                Err(ending())
            } else if Instant::now() > in_time {
                let reason = "the messages before it took too long";
                Err(Refusal::ForNow(reason.to_owned()))
            } else {
                Box::pin(self.become_build(&message, stop)).await
            };
            match dealt_with {
                Ok(()) => {}
                Err(Refusal::ForGood(reason)) => self.refuse(&message, &reason),
                Err(Refusal::ForNow(reason)) => {
                    for message in iter::once(message).chain(messages) {
                        self.service.give_back(&message.receipt).await;
                    }
                    return if stop.is_cancelled() {
                        Ok(())
                    } else {
                        Err(reason)
                    };
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
    async fn become_build(
        &self,
        message: &Message,
        stop: &CancellationToken,
    ) -> Result<(), Refusal> {
        let store = self.reception.store.as_ref();
        // A message that comes again needs nothing of what it needed at first: its project or its payload may be gone.
        let mut claim = self.claim(message);
        if let Some(known) = store.claimed(&claim).await? {
            return self.came_again(message, &known.id).await;
        }
        let text = Box::pin(payload::of(&message.body, &self.reception.aws));
        let text = stop.run_until_cancelled(text).await;
        let text = text.unwrap_or_else(|| Err(ending()))?;
        let ask = message::read(&text, format!("sqs/{}", self.name))?;
        if let Some(token) = &ask.overrides.idempotency_token {
            claim.token = format!("{} token {token}", self.intake);
            claim.fingerprint = message::fingerprint(&text);
            if let Some(known) = store.claimed(&claim).await? {
                return self.came_again(message, &known.id).await;
            }
        }
        let mut request = ask::request(&ask, store, &self.site).await?;
        ask::check_workers(&request, store).await?;
        if self.holds() {
            request.timeout = request.timeout.min(LONGEST_HELD_BUILD);
        }
        let claimed = self.reception.queue(request, &claim).await?;
        let build = &claimed.build.id;
        if !claimed.is_new {
            return self.came_again(message, build).await;
        }
        tracing::info!(
            build.id = %build,
            message.id = %message.id,
            "message {} of queue {} is build {build}",
            message.id,
            self.name
        );
        self.taken(message).await;
        Ok(())
    }

    /// The claim of a message by its identity, with which it comes whenever it comes.
    fn claim(&self, message: &Message) -> Claim {
        Claim {
            intake: self.intake.clone(),
            token: format!("{} message {}", self.intake, message.id),
            // Messages do not change, and none has the identity of another.
            fingerprint: String::new(),
            answer_to: self.holds().then(|| Ticket {
                id: message.id.clone(),
                ticket: message.receipt.clone(),
            }),
        }
    }

    async fn came_again(&self, message: &Message, build: &BuildId) -> Result<(), Refusal> {
        tracing::info!(
            build.id = %build,
            message.id = %message.id,
            "message {} of queue {} came again: it is build {build} already",
            message.id,
            self.name
        );
        self.taken(message).await;
        Ok(())
    }

    /// Deletes a message that is taken care of, unless it is held. Where that fails it comes again, and is known.
    async fn taken(&self, message: &Message) {
        if self.holds() {
            return;
        }
        let deleted = self.service.delete(&message.receipt).await;
        if let Err(Trouble::Gone(reason) | Trouble::Other(reason)) = deleted {
            tracing::warn!(
                message.id = %message.id,
                "message {} of queue {} cannot be deleted: {reason}",
                message.id,
                self.name
            );
        }
    }
}

fn ending() -> Refusal {
    Refusal::ForNow("the worker is being shut down".to_owned())
}
