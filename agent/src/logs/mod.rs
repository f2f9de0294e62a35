//! The log of a build: written to its spool, followed from there, shown.

mod kept;
mod lines;
mod prelude;
mod spool_follower;
mod terminal;

use executor::protocol::Event;

use crate::model::Build;

pub use kept::{KeptEvent, KeptLog, KeptLogs, KeptPage, KeptStream};
pub use prelude::AgentLog;
pub use spool_follower::{Batch, FollowError, SpoolFollower};
pub use terminal::{JsonSink, TextSink};

/// A place to which a build's log goes, record by record, in order.
pub trait LogSink: Send + Sync {
    /// Takes log bytes; a call may end anywhere in a line. `time_micros` counts from 1970 UTC.
    fn log(&mut self, time_micros: u64, bytes: &[u8]) -> std::io::Result<()>;

    /// Takes a lifecycle event.
    fn event(&mut self, time_micros: u64, event: &Event) -> std::io::Result<()>;

    /// Takes the finished build, after which nothing comes.
    fn finished(&mut self, build: &Build) -> std::io::Result<()>;
}
