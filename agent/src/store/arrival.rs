//! What comes in through a queue or a pipeline: claimed once, and kept until it is answered.

use std::time::Duration;

use jiff::Timestamp;

use super::StoredBuild;

/// How long a claim is remembered: longer than any queue keeps a message (SQS, `MessageRetentionPeriod`: 14 days at
/// most).
pub const CLAIM_LIFE: Duration = Duration::from_hours(15 * 24);

/// A claim of something that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Through which intake it came, such as the address of a queue.
    pub intake: String,
    /// By what it is known when it comes again.
    pub token: String,
    /// A digest of what it asks for: the same token with another one is a mistake. Empty where a token stands for the
    /// same thing for ever, such as the identity of a message.
    pub fingerprint: String,
    /// What is to be answered when the build is over, if its service waits for that.
    pub answer_to: Option<Ticket>,
}

/// Something that waits for an answer, and what its service wants to see with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Its identity within its intake: of a message, or of a job.
    pub id: String,
    /// A receipt handle or a nonce. It opens nothing without credentials of the service.
    pub ticket: String,
}

/// Something that waits for an answer, and whose turn it is to be looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrival {
    /// Its identity, and what its service wants to see.
    pub ticket: Ticket,
    /// When it came.
    pub arrived_at: Timestamp,
    /// How often nothing came of looking at it.
    pub tries: u32,
    /// What has become of it.
    pub became: Became,
}

/// What has become of something that came in.
#[derive(Debug, Clone, PartialEq)]
pub enum Became {
    /// No build yet.
    Nothing,
    /// This build.
    Build(Box<StoredBuild>),
    /// A build that somebody has deleted since.
    Deleted,
}

/// When something that came in is looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// When its build is over, and after this time in any case.
    Look(Duration),
    /// After this time and not before: nothing came of it.
    Again(Duration),
}

/// How many builds of an intake wait for a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// All of them.
    pub waiting: u32,
    /// Those that came a moment ago and are about to be leased.
    pub fresh: u32,
}
