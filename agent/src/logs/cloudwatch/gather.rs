//! Gathers batches from the spool.

use std::collections::VecDeque;
use std::time::Duration;

use executor::protocol::spool::{Body, Position, Record};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::batch::Batch;
use super::cutter::{Cutter, LogEvent, Place};
use crate::logs::follower::{FollowError, SpoolFollower};

/// How long a line waits for others to go with it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where the gathering begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct First {
    /// The place in the log.
    pub(super) place: Place,
    /// No event is older.
    pub(super) latest_millis: i64,
    /// The first batch has so many events, if any: it was made before.
    pub(super) in_flight: usize,
}

/// Makes batches of the log until it ends or nobody takes them. A batch goes off when it is full or
/// its first line has waited long enough, and grows for as long as nobody is there to take it.
pub(super) async fn batches(
    mut follower: SpoolFollower,
    first: First,
    sender: mpsc::Sender<Batch>,
) -> Result<(), FollowError> {
    let mut gathering = Gathering::new(first);
    let mut has_ended = false;
    loop {
        gathering.fill();
        if has_ended && gathering.batch.is_empty() {
            return Ok(());
        }
        let goes_off = gathering.is_full() || has_ended || gathering.due <= Instant::now();
        tokio::select! {
            permit = sender.reserve(), if goes_off && !gathering.batch.is_empty() => {
                let Ok(permit) = permit else {
                    return Ok(());
                };
                permit.send(gathering.take());
            }
            next = follower.next(), if !gathering.is_full() && !has_ended => {
                if let Some(batch) = next {
                    gathering.records.extend(batch?.records);
                } else {
                    has_ended = true;
                    gathering.cutter.finish();
                }
            }
            () = sleep_until(gathering.due), if !goes_off && !gathering.batch.is_empty() => {}
        }
    }
}

/// Records on their way to a batch.
struct Gathering {
    records: VecDeque<(Position, Record)>,
    cutter: Cutter,
    batch: Batch,
    /// The event that did not fit into the batch.
    next: Option<LogEvent>,
    latest_millis: i64,
    due: Instant,
    /// Number of events of the batch, where that is prescribed.
    prescribed: Option<usize>,
}

impl Gathering {
    fn new(first: First) -> Self {
        Self {
            records: VecDeque::new(),
            cutter: Cutter::start(first.place),
            batch: Batch::default(),
            next: None,
            latest_millis: first.latest_millis,
            due: Instant::now(),
            prescribed: (first.in_flight > 0).then_some(first.in_flight),
        }
    }

    /// Puts events into the batch until it is full or there are no more.
    fn fill(&mut self) {
        while !self.is_full() {
            let Some(event) = self.event() else {
                return;
            };
            self.put(event);
        }
    }

    fn put(&mut self, event: LogEvent) {
        if self.batch.is_empty() {
            self.due = Instant::now() + PATIENCE;
        }
        if let Err(event) = self.batch.push(event, self.latest_millis) {
            self.next = Some(event);
        }
    }

    fn event(&mut self) -> Option<LogEvent> {
        loop {
            if let Some(event) = self.cutter.next() {
                return Some(event);
            }
            let (at, record) = self.records.pop_front()?;
            if let Body::Log(body) = record.body {
                self.cutter.feed(at, record.time_micros, body);
            }
        }
    }

    fn is_full(&self) -> bool {
        self.next.is_some() || self.prescribed == Some(self.batch.events().len())
    }

    fn take(&mut self) -> Batch {
        self.prescribed = None;
        let batch = std::mem::take(&mut self.batch);
        if let Some(last) = batch.events().last() {
            self.latest_millis = last.time_millis;
        }
        if let Some(event) = self.next.take() {
            self.put(event);
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::{ReaderName, Spool};

    /// What a spool of these lines makes of itself from `first` on: the events of each batch.
    async fn gathered(lines: usize, first: First) -> Vec<Vec<LogEvent>> {
        let root = tempfile::tempdir().unwrap();
        let (segments, marks) = (root.path().join("spool"), root.path().join("marks"));
        std::fs::create_dir(&segments).unwrap();
        let mut log = crate::logs::AgentLog::start(segments.clone(), 1, 0).unwrap();
        for number in 0..lines {
            log.line(&number.to_string()).unwrap();
        }
        let spool = Spool::open(segments, marks, &[ReaderName::CloudWatch]).unwrap();
        let reader = spool.reader(ReaderName::CloudWatch);
        let follower = reader.follow(first.place.position).unwrap();
        spool.finish();
        let (sender, mut batches) = mpsc::channel::<Batch>(1);
        let take = async {
            let mut taken = Vec::new();
            while let Some(batch) = batches.recv().await {
                taken.push(batch.into_events());
            }
            taken
        };
        let (ended, taken) = tokio::join!(super::batches(follower, first, sender), take);
        ended.unwrap();
        taken
    }

    const START: First = First {
        place: Place::START,
        latest_millis: 0,
        in_flight: 0,
    };

    #[tokio::test]
    async fn every_line_is_in_one_batch_and_a_batch_that_was_made_before_is_made_again() {
        let whole = gathered(25_000, START).await;
        let sizes: Vec<usize> = whole.iter().map(Vec::len).collect();
        assert_eq!(sizes.iter().sum::<usize>(), 25_000);
        assert!(sizes.iter().all(|size| *size <= 10_000), "{sizes:?}");
        let events: Vec<LogEvent> = whole.into_iter().flatten().collect();
        let first = First {
            place: events[4_999].end,
            latest_millis: events[4_999].time_millis,
            in_flight: 123,
        };
        // The lines of the two spools differ in their times only.
        let again = gathered(25_000, first).await;
        assert_eq!(again[0].len(), 123);
        let again: Vec<LogEvent> = again.into_iter().flatten().collect();
        assert_eq!(again.len(), 20_000);
        assert!(again[0].message.ends_with(" 5000\n"));
    }
}
