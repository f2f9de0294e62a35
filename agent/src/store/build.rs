//! Builds as they come in, as they are kept, and as they go.

use jiff::Timestamp;
use serde_json::Value;

use crate::model::{BuildId, BuildRequest};

/// A build to queue.
#[derive(Debug, Clone)]
pub struct NewBuild {
    /// Everything it was asked to be. Its number is given by the store.
    pub request: BuildRequest,
    /// Builds with a higher one come first; 0 is the usual one.
    pub priority: i32,
    /// What happens if the project has as many builds as it may.
    pub at_limit: AtLimit,
}

/// What happens to a build whose project has as many builds as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtLimit {
    /// It waits.
    Queue,
    /// It is refused, as CodeBuild does.
    Reject,
}

/// By what a repeated request is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyToken {
    /// The operation; each has tokens of its own.
    pub operation: Operation,
    /// The token.
    pub token: String,
    /// A digest of the parameters: the same token with another one is a mistake.
    pub fingerprint: String,
}

/// An operation that takes tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `StartBuild`.
    StartBuild,
    /// `RetryBuild`.
    RetryBuild,
    /// A message of a queue.
    Message,
}

impl Operation {
    /// Its name in the database.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::StartBuild => "StartBuild",
            Self::RetryBuild => "RetryBuild",
            Self::Message => "Message",
        }
    }
}

/// The answer to a submitted build.
#[derive(Debug, Clone, PartialEq)]
pub struct Submission {
    /// The build, with its number.
    pub build: StoredBuild,
    /// Whether it is new; otherwise its token was seen before.
    pub is_new: bool,
}

/// A build as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredBuild {
    /// Its identity.
    pub id: BuildId,
    /// Its number within the project, from 1.
    pub number: u64,
    /// How it stands (API, `StatusType`).
    pub status: String,
    /// When it was queued.
    pub submitted_at: Timestamp,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
    /// What it was asked to be.
    pub request: BuildRequest,
    /// What is known of its course: the members of the API's `Build` that the request does not say.
    pub record: Value,
}

/// What became of a build that was to be forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// It is forgotten.
    Deleted,
    /// It is not over, and stays.
    InProgress,
    /// There is none.
    Unknown,
}
