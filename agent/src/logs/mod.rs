//! The log of a build: written to its spool, followed from there, shown and delivered.

mod cloudwatch;
mod delivery;
mod follower;
mod kept;
mod lines;
mod permit;
mod prelude;
mod s3;
mod spool;
mod terminal;

use async_trait::async_trait;
use executor::protocol::Event;

use crate::model::{Build, BuildPhase};

pub use cloudwatch::{CloudWatchShipper, LogStream};
pub use delivery::{Delivered, Delivery, DeliveryError};
pub use follower::{Batch, FollowError, SpoolFollower};
pub use kept::{ExpiredLogs, KeptEvent, KeptLog, KeptLogs, KeptPage, KeptStream, LogBound};
pub use permit::{Moment, Permit};
pub use prelude::AgentLog;
pub use s3::{LogEncryption, LogObject, S3Shipper};
pub use spool::{Mark, ReaderName, Spool, SpoolReader};
pub use terminal::{JsonSink, NoSink, TextSink};

/// A place to which a build's log goes, record by record, in order.
#[async_trait]
pub trait LogSink: Send + Sync {
    /// Takes log bytes; a call may end anywhere in a line. `time_micros` counts from 1970 UTC.
    fn log(&mut self, time_micros: u64, bytes: &[u8]) -> std::io::Result<()>;

    /// Takes a lifecycle event.
    fn event(&mut self, time_micros: u64, event: &Event) -> std::io::Result<()>;

    /// Hears of the phases so far whenever one of them has changed.
    fn phases(&mut self, _phases: &[BuildPhase]) {}

    /// Hears which commit the primary source is, as soon as that is known.
    fn resolved(&mut self, _version: &str) {}

    /// Hears that commands of the build follow. None runs before it returns; whoever has to write down
    /// first that they may have run does it here. May be dropped when the build is stopped meanwhile.
    async fn commands_follow(&mut self) {}

    /// Permission to write what the build says and yields outside this machine.
    fn permit(&self) -> Permit {
        Permit::always()
    }

    /// Hears that something the build yields is about to be written outside this machine, and tells
    /// whether it may be. Nothing is before it returns; may be dropped when the build is stopped meanwhile.
    async fn writes_follow(&mut self) -> bool {
        true
    }

    /// Takes the finished build, after which nothing comes.
    fn finished(&mut self, build: &Build) -> std::io::Result<()>;
}
