//! What stands in the record of a build, in the forms of events.

use jiff::Timestamp;
use serde_json::Value;

/// The phases so far.
pub(super) fn phases(record: &Value) -> &[Value] {
    record["phases"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// Whether the build is over.
pub(super) fn is_complete(record: &Value) -> bool {
    record["buildComplete"] == true
}

/// A time of a record, seconds with a fraction, as milliseconds.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a float that is too large becomes the largest number, which is no time"
)]
pub(super) fn millis(time: &Value) -> i64 {
    (time.as_f64().unwrap_or_default() * 1000.0).round() as i64
}

/// A time of a record as events write it: English, twelve hours, UTC, nothing padded.
pub(super) fn date(time: &Value) -> String {
    let time = Timestamp::from_millisecond(millis(time)).unwrap_or_default();
    time.strftime("%b %-d, %Y %-I:%M:%S %p").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_codebuild_does() {
        for (seconds, expected) in [
            (1_793_741_332.0, "Nov 3, 2026 9:28:52 PM"),
            (1_767_225_600.999, "Jan 1, 2026 12:00:00 AM"),
            (1_767_312_000.0 - 43_200.0, "Jan 1, 2026 12:00:00 PM"),
        ] {
            assert_eq!(date(&seconds.into()), expected);
        }
    }
}
