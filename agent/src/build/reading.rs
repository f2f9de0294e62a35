//! The journal's place in a spool, remembered for a process that takes the build up.

use std::io;
use std::time::{Duration, Instant};

use executor::protocol::spool::Position;

use super::chronicle::ChronicleError;
use crate::logs::{FollowError, SpoolFollower, SpoolReader};
use crate::state_file::StateFileError;

/// How often the reader's place is remembered while it stays in one segment: a process that takes the
/// build up shows so much of the log once more.
const MARK_INTERVAL: Duration = Duration::from_secs(1);

/// Why the journal cannot go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum JournalError {
    /// The spool cannot be read.
    #[error(transparent)]
    Spool(#[from] FollowError),
    /// The spool cannot be followed.
    #[error("cannot follow the build's spool")]
    Follow(#[source] io::Error),
    /// What was read cannot be remembered.
    #[error(transparent)]
    Mark(#[from] StateFileError),
    /// What was learnt cannot be remembered.
    #[error(transparent)]
    Chronicle(#[from] ChronicleError),
}

/// A spool that is being read.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) reader: SpoolReader,
    /// The place in it.
    pub(super) follower: SpoolFollower,
    /// What is remembered, and since when.
    kept: (Position, Instant),
}

impl Reading {
    /// Reads on from `position`, and remembers it.
    pub(super) fn start(reader: SpoolReader, position: Position) -> Result<Self, JournalError> {
        reader.keep(&position)?;
        Ok(Self {
            follower: reader.follow(position).map_err(JournalError::Follow)?,
            reader,
            kept: (position, Instant::now()),
        })
    }

    /// Remembers what was dealt with, unless that is hardly more than before.
    pub(super) fn keep(&mut self) -> Result<(), StateFileError> {
        let position = self.follower.position();
        let (kept, since) = self.kept;
        if position.segment != kept.segment || since.elapsed() >= MARK_INTERVAL {
            self.reader.keep(&position)?;
            self.kept = (position, Instant::now());
        }
        Ok(())
    }
}
