//! What others are told of builds: written in the transaction of the change it tells of, kept until it
//! has arrived or was given up.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use uuid::Uuid;

use super::StoreError;
use crate::model::{BuildId, BuildRequest};

/// Words a change of a build for those who want to hear of it. Called inside the transaction of the
/// change: it asks nobody and nothing.
pub trait Herald: std::fmt::Debug + Send + Sync {
    /// Whether every build is of interest. Otherwise only those are looked at whose source shows how they
    /// stand ([`BuildRequest::reports_build_status`]), and of all others nothing is read.
    fn hears_all(&self) -> bool;

    /// What is to be told of a change, in order.
    fn messages(&self, change: &Change<'_>) -> Vec<NewMessage>;
}

/// A change of a build.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// What the build was asked to be.
    pub request: &'a BuildRequest,
    /// Its record before; a new build has none.
    pub before: Option<&'a Value>,
    /// Its record from now on.
    pub after: &'a Value,
}

/// Something to be told.
#[derive(Debug, Clone, PartialEq)]
pub struct NewMessage {
    /// Its identity, the same whenever the same change is told of.
    pub id: Uuid,
    /// Name of where it goes.
    pub destination: String,
    /// What is told; the destination knows its form.
    pub payload: String,
    /// How long it is tried.
    pub life: Duration,
}

/// A message that was claimed to be delivered.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Its identity.
    pub id: Uuid,
    /// The build it tells of.
    pub build: BuildId,
    /// Its place among the messages of this build to this destination.
    pub ordinal: i64,
    /// Which attempt this is, from 1.
    pub attempts: u32,
    /// What is told.
    pub payload: String,
}

/// What became of a claimed message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// It needs no more attempts: it has arrived, or never will.
    Gone,
    /// It is tried again.
    Again {
        /// After so long.
        pause: Duration,
        /// Why it did not arrive.
        problem: String,
    },
}

/// A message that was not delivered in its time, and is forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expired {
    /// Its identity.
    pub id: Uuid,
    /// Where it should have gone.
    pub destination: String,
    /// The build it tells of.
    pub build: BuildId,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it did not arrive the last time, if it was tried.
    pub problem: Option<String>,
}

/// Messages on their way.
#[async_trait]
pub trait Outbox: std::fmt::Debug + Send + Sync {
    /// From now on this one words what happens to builds through this store; nobody at first.
    fn set_herald(&self, herald: Arc<dyn Herald>);

    /// Takes messages to a destination that are due, for as long as `life`: of each build the first one
    /// that has not arrived, however many wait behind it. What is not settled by then is anybody's again.
    async fn claim_messages(
        &self,
        destination: &str,
        holder: &str,
        most: u32,
        life: Duration,
    ) -> Result<Vec<Message>, StoreError>;

    /// Writes down what became of claimed messages. Those whose claim has run out and was taken by another
    /// holder stay as they are.
    async fn settle_messages(
        &self,
        destination: &str,
        holder: &str,
        settled: &[(Uuid, Settled)],
    ) -> Result<(), StoreError>;

    /// Gives back whatever a holder has claimed: it has died, and is back.
    async fn release_messages(&self, holder: &str) -> Result<(), StoreError>;

    /// Forgets messages whose time is over, a bounded number at once, wherever they should have gone.
    async fn expire_messages(&self) -> Result<Vec<Expired>, StoreError>;
}
