//! The log of a build: written to its spool, followed from there, shown and delivered.

mod cloudwatch;
mod delivery;
mod follower;
mod kept;
mod lines;
mod prelude;
mod s3;
mod spool;
mod terminal;

use executor::protocol::Event;

use crate::model::Build;

pub use cloudwatch::{CloudWatchShipper, LogStream};
pub use delivery::{Delivered, Delivery, DeliveryError};
pub use follower::{Batch, FollowError, SpoolFollower};
pub use kept::{KeptEvent, KeptLog, KeptLogs, KeptPage, KeptStream};
pub use prelude::AgentLog;
pub use s3::{LogEncryption, LogObject, S3Shipper};
pub use spool::{Mark, ReaderName, Spool, SpoolReader};
pub use terminal::{JsonSink, NoSink, TextSink};

/// A place to which a build's log goes, record by record, in order.
pub trait LogSink: Send + Sync {
    /// Takes log bytes; a call may end anywhere in a line. `time_micros` counts from 1970 UTC.
    fn log(&mut self, time_micros: u64, bytes: &[u8]) -> std::io::Result<()>;

    /// Takes a lifecycle event.
    fn event(&mut self, time_micros: u64, event: &Event) -> std::io::Result<()>;

    /// Takes the finished build, after which nothing comes.
    fn finished(&mut self, build: &Build) -> std::io::Result<()>;
}
