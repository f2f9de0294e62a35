//! A build's log in CloudWatch Logs: the spool in, one event a line out, each exactly once.
//!
//! One call is under way at a time, so that the order of the lines is that of the spool even where
//! their times are equal; the next batch is made meanwhile. Before a call the reader's mark says how
//! many events it has, after it that they are through. Whoever finds the first mark without the
//! second, after a kill or a connection that broke, reads the end of the stream back and sends what
//! is not there. CodeBuild's rules: a line keeps its `\n`, an empty one is `"\n"` (events seen in
//! exports of the service).

mod batch;
mod client;
mod cutter;
mod doubt;
mod gather;

use std::time::Duration;

use executor::protocol::spool::Position;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::sleep;
use uuid::Uuid;

use self::batch::Batch;
use self::client::{CallError, Client, Meaning};
use self::cutter::{LogEvent, Place};
use super::delivery::{Delivered, DeliveryError};
use super::spool::{Mark, SpoolReader};

/// First pause after a failure; the next ones are longer.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How long events that were taken may stay out of sight: reading is eventually consistent.
const SETTLING: Duration = Duration::from_secs(1);

/// Segments of a spool from which on a log that is refused is given up: the build must not wait for
/// somebody to mend permissions.
const REFUSED_SEGMENTS: usize = 32;

/// Where a log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogStream {
    /// The log group.
    pub group: String,
    /// The stream in it.
    pub name: String,
}

/// What this reader remembers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CloudWatchMark {
    /// The end of the last event that is through.
    #[serde(flatten)]
    place: Place,
    /// Its time, before which no later event may be.
    latest_millis: i64,
    /// Number of events of this very time that are through.
    of_latest: usize,
    /// Number of events from the place on that were on their way.
    in_flight: usize,
    /// Events that the service did not take.
    lost: usize,
    /// Whether the log ends here.
    complete: bool,
}

impl Mark for CloudWatchMark {
    fn position(&self) -> Position {
        self.place.position
    }
}

impl Default for CloudWatchMark {
    fn default() -> Self {
        Self {
            place: Place::START,
            latest_millis: 0,
            of_latest: 0,
            in_flight: 0,
            lost: 0,
            complete: false,
        }
    }
}

/// Sends one log.
#[derive(Debug)]
pub struct CloudWatchShipper {
    client: Client,
    reader: SpoolReader,
    mark: CloudWatchMark,
    failures: u32,
}

impl CloudWatchShipper {
    /// Goes on where the reader's mark says.
    pub fn new(
        client: &aws_sdk_cloudwatchlogs::Client,
        stream: LogStream,
        reader: SpoolReader,
    ) -> Result<Self, DeliveryError> {
        Ok(Self {
            client: Client::new(client, stream),
            mark: reader.mark()?.unwrap_or_default(),
            reader,
            failures: 0,
        })
    }

    /// The reader whose mark it keeps.
    pub fn reader(&self) -> &SpoolReader {
        &self.reader
    }

    /// Sends the log to its end. Trouble with the service is waited out; dropping this at any time
    /// loses nothing.
    pub async fn ship(mut self) -> Result<Delivered, DeliveryError> {
        if self.mark.complete {
            return Ok(self.delivered(false));
        }
        self.create().await;
        let follower = self.reader.follow(self.mark.place.position);
        let follower = follower.map_err(DeliveryError::Follow)?;
        // One batch waits while one is sent; when both are full, the spool grows instead.
        let (sender, batches) = mpsc::channel(1);
        let first = gather::First {
            place: self.mark.place,
            latest_millis: self.mark.latest_millis,
            in_flight: self.mark.in_flight,
        };
        let (gathered, all) = tokio::join!(
            gather::batches(follower, first, sender),
            self.send_all(batches)
        );
        if !all? {
            return Ok(self.delivered(true));
        }
        gathered?;
        self.mark.complete = true;
        self.reader.keep(&self.mark)?;
        Ok(self.delivered(false))
    }

    fn delivered(&self, given_up: bool) -> Delivered {
        Delivered {
            lost_lines: self.mark.lost,
            given_up,
        }
    }

    /// Sends all batches. Gives `false` if the log is given up.
    async fn send_all(
        &mut self,
        mut batches: mpsc::Receiver<Batch>,
    ) -> Result<bool, DeliveryError> {
        while let Some(batch) = batches.recv().await {
            if !self.send(batch).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Makes group and stream; where that cannot be done yet, sending tries it again.
    async fn create(&mut self) {
        if let Err(error) = self.client.create().await {
            self.tell(&error);
        }
    }

    /// Sends a batch, whatever it takes. Gives `false` if the log is given up.
    async fn send(&mut self, batch: Batch) -> Result<bool, DeliveryError> {
        let mut events = batch.into_events();
        let mut is_doubtful = self.mark.in_flight > 0;
        while !events.is_empty() {
            let tried = if is_doubtful {
                self.settle(&mut events).await?
            } else {
                self.put(&mut events).await?
            };
            is_doubtful = match tried {
                Tried::Done => false,
                Tried::Failed(error) if self.has_to_give_up(&error).await => return Ok(false),
                Tried::Failed(error) => is_doubtful || error.meaning == Meaning::Doubtful,
            };
        }
        Ok(true)
    }

    /// Makes one call with events, of which those that are through are taken off.
    async fn put(&mut self, events: &mut Vec<LogEvent>) -> Result<Tried, DeliveryError> {
        // Fewer after a call that the service could not understand, to find out what it minds.
        let mut size = events.len();
        loop {
            self.mark.in_flight = size;
            self.reader.keep(&self.mark)?;
            match self.client.put(&events[..size]).await {
                Ok(dropped) => {
                    self.recovered();
                    self.through(&events[..size], dropped)?;
                    events.drain(..size);
                    return Ok(Tried::Done);
                }
                Err(error) if error.meaning == Meaning::Malformed && size > 1 => size /= 2,
                Err(error) if error.meaning == Meaning::Malformed => {
                    self.tell(&error);
                    self.through(&events[..1], 1)?;
                    events.drain(..1);
                    return Ok(Tried::Done);
                }
                Err(error) if error.meaning == Meaning::Missing => {
                    // Deleted under our feet, or never made.
                    return match self.client.create().await {
                        Ok(()) => Ok(Tried::Failed(error)),
                        Err(error) => Ok(Tried::Failed(CallError {
                            // About the group, not about the events.
                            meaning: if error.meaning.is_refusal() {
                                error.meaning
                            } else {
                                Meaning::Later
                            },
                            ..error
                        })),
                    };
                }
                Err(error) => return Ok(Tried::Failed(error)),
            }
        }
    }

    /// Reads the end of the stream back, and takes off the events that are there already.
    async fn settle(&mut self, events: &mut Vec<LogEvent>) -> Result<Tried, DeliveryError> {
        let Some(first) = events.first().map(|event| event.time_millis) else {
            return Ok(Tried::Done);
        };
        let before = if first == self.mark.latest_millis {
            self.mark.of_latest
        } else {
            0
        };
        let mut there = 0;
        for pause in [Duration::ZERO, SETTLING] {
            sleep(pause).await;
            match self.client.events_since(first).await {
                Ok(seen) => there = doubt::through(events, &seen, before),
                // Where there is no stream, there is nothing in it.
                Err(error) if error.meaning == Meaning::Missing => {}
                // Lines that are there twice do less harm than lines that are missing.
                Err(error) if error.meaning == Meaning::Denied => {
                    self.tell_of_doubles(events.len());
                    break;
                }
                Err(error) => return Ok(Tried::Failed(error)),
            }
            if there > 0 {
                break;
            }
        }
        self.through(&events[..there], 0)?;
        events.drain(..there);
        Ok(Tried::Done)
    }

    /// Remembers that these events are dealt with; the service has dropped some of them.
    fn through(&mut self, events: &[LogEvent], dropped: usize) -> Result<(), DeliveryError> {
        let Some(last) = events.last() else {
            self.mark.in_flight = 0;
            return Ok(self.reader.keep(&self.mark)?);
        };
        let newest = events.iter().rev();
        let of_latest = newest
            .take_while(|event| event.time_millis == last.time_millis)
            .count();
        let before = if of_latest == events.len() && last.time_millis == self.mark.latest_millis {
            self.mark.of_latest
        } else {
            0
        };
        if dropped > 0 {
            let stream = self.client.stream();
            tracing::warn!(
                "CloudWatch Logs has not taken {dropped} line(s) of {}/{}: they are too old or too new",
                stream.group,
                stream.name
            );
        }
        self.mark = CloudWatchMark {
            place: last.end,
            latest_millis: last.time_millis,
            // What was dropped is not there when the stream is read back.
            of_latest: (before + of_latest).saturating_sub(dropped),
            in_flight: 0,
            lost: self.mark.lost + dropped,
            complete: false,
        };
        Ok(self.reader.keep(&self.mark)?)
    }

    /// Waits before the next try; gives `true` if there shall be none.
    async fn has_to_give_up(&mut self, error: &CallError) -> bool {
        if error.meaning == Meaning::Missing {
            return false;
        }
        self.tell(error);
        let segments = self.reader.spool().segment_count().unwrap_or(0);
        if error.meaning.is_refusal() && segments >= REFUSED_SEGMENTS {
            self.reader.let_go();
            return true;
        }
        sleep(pause(self.failures)).await;
        self.failures = self.failures.saturating_add(1);
        false
    }

    fn tell_of_doubles(&self, lines: usize) {
        let stream = self.client.stream();
        tracing::warn!(
            "whether the last {lines} line(s) have reached the log {}/{} cannot be seen without the permission \
             logs:GetLogEvents: they are sent again, and may be there twice",
            stream.group,
            stream.name
        );
    }

    fn tell(&self, error: &CallError) {
        let stream = self.client.stream();
        let level_is_told = self.failures == 0 && error.meaning != Meaning::Later;
        if level_is_told {
            tracing::warn!(
                "the log {}/{} cannot be delivered, trying again: {}",
                stream.group,
                stream.name,
                error.message
            );
        } else {
            tracing::debug!("the log is not delivered yet: {}", error.message);
        }
    }

    fn recovered(&mut self) {
        self.failures = 0;
    }
}

/// How a try went.
enum Tried {
    /// Something is settled: events are through, or known not to be.
    Done,
    /// Nothing is, as far as this call tells.
    Failed(CallError),
}

/// A pause that doubles with every failure, up to a limit, half of it by chance: many agents must
/// not come back all at once.
fn pause(failures: u32) -> Duration {
    let longest = FIRST_PAUSE
        .saturating_mul(2_u32.saturating_pow(failures.min(16)))
        .min(LONGEST_PAUSE);
    let chance = f64::from(Uuid::new_v4().as_fields().0) / f64::from(u32::MAX);
    longest.mul_f64(0.5 + chance / 2.0)
}
