//! Messages that stay in the queue, hidden from others, until their builds are over.
//!
//! For workers without a common store: the message is the lease. If the worker is lost, with its machine, the message
//! shows itself again and the build runs elsewhere. What has to outlive this process stands in the store: the next one
//! on this machine goes on hiding the messages of builds that go on.

use std::time::Duration;

use jiff::Timestamp;

use super::{Queue, Trouble};
use crate::intake::patience;
use crate::store::{Arrival, Became, Next, StoreError, Ticket};

/// How long a message may be held: less than the twelve hours after which SQS shows it again in any case.
const LONGEST_HOLD: Duration = Duration::from_mins(11 * 60 + 45);

/// How long a message is hidden in all at most. SQS refuses what would be more than twelve hours since it was received,
/// which was a moment before it was claimed.
const LONGEST_HIDDEN: Duration = Duration::from_mins(11 * 60 + 55);

impl Queue {
    /// Keeps a message hidden, or deletes it if its build is over.
    pub(super) async fn hold_on_or_let_go(&self, arrival: &Arrival) {
        let id = &arrival.ticket.id;
        let age = Timestamp::now().duration_since(arrival.arrived_at);
        let age = Duration::try_from(age).unwrap_or_default();
        let is_over = match &arrival.became {
            Became::Build(build) => build.ended_at.is_some(),
            Became::Deleted | Became::Nothing => true,
        };
        if !is_over && age > LONGEST_HOLD {
            tracing::warn!(
                message.id = %id,
                "message {id} cannot be held any longer and is deleted: its build goes on, and does not run elsewhere if this worker is lost"
            );
        }
        let written = if is_over || age > LONGEST_HOLD {
            self.let_go(arrival).await
        } else {
            let hidden = hidden_for(self.config.visibility(), age);
            self.hold_on(&arrival.ticket, hidden, arrival.tries).await
        };
        if let Err(error) = written {
            tracing::warn!("what became of message {id} is not written down: {error:#}");
        }
    }

    /// Deletes a message.
    async fn let_go(&self, arrival: &Arrival) -> Result<(), StoreError> {
        let Ticket { id, ticket } = &arrival.ticket;
        let store = &self.reception.store;
        match self.service.delete(ticket).await {
            // Somebody else's by now: whoever receives it again finds the build, and deletes it.
            Ok(()) | Err(Trouble::Gone(_)) => store.forget_arrival(&self.intake, id).await,
            Err(Trouble::Other(reason)) => {
                tracing::warn!("message {id} is not deleted yet: {reason}");
                let again = Next::Again(patience::after(arrival.tries));
                store.put_off_arrival(&self.intake, id, again).await
            }
        }
    }

    /// Hides a message for another while.
    async fn hold_on(
        &self,
        message: &Ticket,
        hidden: Duration,
        tries: u32,
    ) -> Result<(), StoreError> {
        let Ticket { id, ticket } = message;
        let store = &self.reception.store;
        match self.service.hide(ticket, hidden).await {
            Ok(()) => {
                let next = Next::Look(hidden / 3);
                store.put_off_arrival(&self.intake, id, next).await
            }
            Err(Trouble::Gone(reason)) => {
                tracing::warn!(
                    message.id = %id,
                    "message {id} is not held any more, and its build may run elsewhere as well: {reason}"
                );
                store.forget_arrival(&self.intake, id).await
            }
            Err(Trouble::Other(reason)) => {
                tracing::warn!("message {id} is not hidden for longer yet: {reason}");
                let pause = patience::after(tries).min(hidden / 6);
                let again = Next::Again(pause);
                store.put_off_arrival(&self.intake, id, again).await
            }
        }
    }

    /// Lets others have the messages whose builds wait, at once.
    pub(super) async fn give_back_waiting(&self) {
        let withdrawn = self.reception.store.withdraw_arrivals(&self.intake).await;
        match withdrawn {
            Ok(tickets) => {
                for Ticket { id, ticket } in tickets {
                    tracing::info!(message.id = %id, "message {id} is given back");
                    self.service.give_back(&ticket).await;
                }
            }
            Err(error) => {
                tracing::warn!("messages whose builds wait are not given back: {error:#}");
            }
        }
    }
}

/// For how long a message of this age is hidden once more.
fn hidden_for(visibility: Duration, age: Duration) -> Duration {
    visibility.min(LONGEST_HIDDEN.saturating_sub(age))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_hidden_for_no_more_than_sqs_allows() {
        let hours = Duration::from_hours;
        assert_eq!(hidden_for(hours(1), hours(3)), hours(1));
        // The longest visibility timeout there is, extended after a third of it.
        let hidden = hidden_for(hours(12), hours(4));
        assert!(hidden + hours(4) < hours(12));
        assert!(hidden_for(hours(12), LONGEST_HOLD) > Duration::from_mins(5));
        assert_eq!(hidden_for(hours(12), hours(13)), Duration::ZERO);
    }
}
