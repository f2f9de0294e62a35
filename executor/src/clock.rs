//! Time as it stands in a log line.

use executor::protocol::spool;

/// The present time in UTC as `2026/01/31 12:34:56.123456`.
pub(crate) fn now() -> String {
    format(spool::now_micros())
}

fn format(micros: u64) -> String {
    let seconds = micros / 1_000_000;
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let fraction = micros % 1_000_000;
    format!("{year}/{month:02}/{day:02} {hour:02}:{minute:02}:{second:02}.{fraction:06}")
}

/// Year, month and day of a day counted from 1970-01-01, by the Gregorian calendar. Years are
/// taken to start on 1 March, so that the leap day is the last one.
pub(crate) fn date(days_since_1970: u64) -> (u64, u64, u64) {
    const DAYS_TO_1970: u64 = 719_468;
    const DAYS_IN_400_YEARS: u64 = 146_097;
    let days = days_since_1970 + DAYS_TO_1970;
    let (era, day) = (days / DAYS_IN_400_YEARS, days % DAYS_IN_400_YEARS);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year;
    if month < 10 {
        (year, month + 3, day)
    } else {
        (year + 1, month - 9, day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_reads_as_in_codebuilds_log() {
        for (seconds, expected) in [
            (0, "1970/01/01 00:00:00.000000"),
            (951_782_399, "2000/02/28 23:59:59.000000"),
            (951_782_400, "2000/02/29 00:00:00.000000"),
            (1_769_862_896, "2026/01/31 12:34:56.000000"),
            (4_107_542_400, "2100/03/01 00:00:00.000000"),
        ] {
            assert_eq!(format(seconds * 1_000_000), expected);
        }
        assert_eq!(format(1_000_042), "1970/01/01 00:00:01.000042");
    }
}
