//! What of a call without an answer has arrived.

use super::cutter::LogEvent;

/// How many of `events` the stream holds already, given what it holds from the first one's time on.
/// `before` is the number of events of that time that were through before. Lines repeat, so only
/// their number tells; their texts tell whether somebody else writes to the stream.
pub(super) fn through(events: &[LogEvent], seen: &[(i64, String)], before: usize) -> usize {
    let arrived = seen.get(before..).unwrap_or_default();
    let ours = events
        .iter()
        .zip(arrived)
        .take_while(|(event, (time, message))| {
            event.time_millis == *time && event.message == *message
        })
        .count();
    if ours < arrived.len().min(events.len()) {
        tracing::warn!("somebody else writes to the log stream: lines may be missing or doubled");
    }
    ours
}

#[cfg(test)]
mod tests {
    use super::super::cutter::Place;
    use super::*;

    #[test]
    fn what_has_arrived_is_known_although_lines_repeat() {
        let event = |time_millis: i64| LogEvent {
            time_millis,
            message: "y\n".to_owned(),
            end: Place::START,
        };
        let seen = |times: &[i64]| -> Vec<(i64, String)> {
            times.iter().map(|time| (*time, "y\n".to_owned())).collect()
        };
        let events = [event(5), event(5), event(6)];
        for (label, times, before, expected) in [
            ("nothing", &[][..], 0, 0),
            ("only earlier ones of the time", &[5, 5, 5], 3, 0),
            ("all", &[5, 5, 6], 0, 3),
            ("all after earlier ones", &[5, 5, 5, 6], 1, 3),
            ("a part", &[5, 5], 1, 1),
            ("less than was through", &[5], 3, 0),
        ] {
            assert_eq!(through(&events, &seen(times), before), expected, "{label}");
        }
    }

    #[test]
    fn another_writers_lines_are_not_taken_for_ours() {
        let event = LogEvent {
            time_millis: 5,
            message: "ours\n".to_owned(),
            end: Place::START,
        };
        assert_eq!(through(&[event], &[(5, "other\n".to_owned())], 0), 0);
    }
}
