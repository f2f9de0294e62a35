//! What others are told of builds: a change of a build goes in, and buses, topics, webhooks and git hosts hear
//! of it.
//!
//! Two halves that meet in the store's outbox. The [`Announcer`] words what is to be told, inside the
//! transaction of the change: nothing is told of what did not happen, and whatever happened is told. The
//! [`Delivery`] brings it to where it goes, at least once and in order for each build and destination, for as
//! long as it takes or until its time is over.

mod announcer;
mod build_event;
mod commit_status;
mod delivery;
mod event_bridge;
mod http;
mod identity;
mod information;
mod lane;
mod permissions;
mod record;
mod size;
mod sns;
#[cfg(test)]
mod tests;
mod webhook;

use std::time::Duration;

use async_trait::async_trait;

pub use announcer::Announcer;
pub use delivery::{Delivery, Route, routes};
pub use permissions::permissions;

use crate::store::Message;

/// Somebody who is told of builds.
#[async_trait]
trait Destination: std::fmt::Debug + Send + Sync {
    /// How many messages it takes at once, at most.
    fn batch(&self) -> u32;

    /// Tells it messages of different builds, and gives one answer for each, in their order. May be dropped
    /// half way: then each of them is told again.
    async fn send(&self, messages: &[Message]) -> Vec<Sent>;
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Sent {
    /// It has arrived.
    Arrived,
    /// It may arrive later.
    NotYet {
        /// What happened.
        problem: String,
        /// How long the other side wants to be left alone.
        pause: Option<Duration>,
    },
    /// It will never be taken.
    Refused(String),
}

impl Sent {
    /// Not arrived, for a reason that passes.
    fn not_yet(problem: impl Into<String>) -> Self {
        Self::NotYet {
            problem: problem.into(),
            pause: None,
        }
    }
}
