//! Batches of log events, within the limits of `PutLogEvents`.

use super::cutter::LogEvent;

/// Most that the messages of one call and their overhead may be, in bytes (API, `PutLogEvents`).
const BATCH_LIMIT_BYTES: usize = 1_048_576;

/// What every event counts besides its message, in bytes.
const EVENT_OVERHEAD_BYTES: usize = 26;

/// Most events of one call.
pub(super) const BATCH_LIMIT_EVENTS: usize = 10_000;

/// Most time between the first and the last event of one call, in milliseconds.
const BATCH_LIMIT_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// Events that go into one call, in order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Batch {
    events: Vec<LogEvent>,
    size_bytes: usize,
}

impl Batch {
    /// Adds an event, or gives it back if it has to go into the next batch. A clock that was set
    /// back does not bring events out of order: they get the time of the one before.
    pub(super) fn push(&mut self, mut event: LogEvent, latest_millis: i64) -> Result<(), LogEvent> {
        let latest = self
            .events
            .last()
            .map_or(latest_millis, |last| last.time_millis);
        event.time_millis = event.time_millis.max(latest);
        let size = event.message.len() + EVENT_OVERHEAD_BYTES;
        let is_within = self.events.first().is_none_or(|first| {
            self.events.len() < BATCH_LIMIT_EVENTS
                && self.size_bytes + size <= BATCH_LIMIT_BYTES
                && event.time_millis - first.time_millis < BATCH_LIMIT_MILLIS
        });
        if !is_within {
            return Err(event);
        }
        self.size_bytes += size;
        self.events.push(event);
        Ok(())
    }

    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Its events.
    pub(super) fn events(&self) -> &[LogEvent] {
        &self.events
    }

    /// The events themselves.
    pub(super) fn into_events(self) -> Vec<LogEvent> {
        self.events
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::cutter::{MESSAGE_LIMIT_BYTES, Place};
    use super::*;

    fn event(time_millis: i64, message: String) -> LogEvent {
        LogEvent {
            time_millis,
            message,
            end: Place::START,
        }
    }

    fn batches(events: Vec<LogEvent>) -> Vec<Batch> {
        let mut batches = vec![Batch::default()];
        let mut latest = i64::MIN;
        for event in events {
            let last = batches.last_mut().unwrap();
            if let Err(event) = last.push(event, latest) {
                let mut next = Batch::default();
                latest = last.events().last().unwrap().time_millis;
                next.push(event, latest).expect("a batch takes one event");
                batches.push(next);
            }
        }
        batches
    }

    fn lines() -> impl Strategy<Value = Vec<LogEvent>> {
        let size = prop_oneof![
            30 => 1_usize..80,
            1 => 1_usize..=MESSAGE_LIMIT_BYTES,
        ];
        let step = prop_oneof![
            30 => 0_i64..3,
            1 => -5_000_i64..5_000,
            1 => 0_i64..30 * 60 * 60 * 1000,
        ];
        let line = (step, size);
        (1_usize..400, proptest::collection::vec(line, 1..60)).prop_map(|(repeats, lines)| {
            let mut time = 1_700_000_000_000;
            let mut all = Vec::new();
            for (number, (step, size)) in
                lines.iter().cycle().take(lines.len() * repeats).enumerate()
            {
                time += step;
                all.push(event(
                    time,
                    format!("{number:>width$}", width = (*size).min(200)),
                ));
            }
            all.extend(lines.iter().map(|(_, size)| event(time, "x".repeat(*size))));
            all
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_lines_make_batches_within_all_limits_with_nothing_lost_and_in_order(lines in lines()) {
            let batches = batches(lines.clone());
            for batch in &batches {
                let events = batch.events();
                let bytes: usize = events.iter().map(|event| event.message.len() + 26).sum();
                let times: Vec<i64> = events.iter().map(|event| event.time_millis).collect();
                prop_assert!(bytes <= 1_048_576 && events.len() <= 10_000 && !events.is_empty());
                prop_assert!(times.is_sorted());
                prop_assert!(times.last().unwrap() - times[0] < 24 * 60 * 60 * 1000);
            }
            let sent: Vec<LogEvent> = batches.into_iter().flat_map(Batch::into_events).collect();
            prop_assert!(sent.is_sorted_by_key(|event| event.time_millis));
            let messages = |events: &[LogEvent]| -> Vec<String> {
                events.iter().map(|event| event.message.clone()).collect()
            };
            prop_assert_eq!(messages(&sent), messages(&lines));
        }
    }
}
