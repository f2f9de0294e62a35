//! What the commands of a build took, as a table.

use super::exit::tell;
use crate::build::CommandRecord;

/// Shows a table of commands on standard error, in the order in which they ran.
pub(super) fn tell_timings(commands: &[CommandRecord]) {
    tell(format_args!(
        "{:<15} {:>9} {:>9} {:>9} {:>9}  command",
        "phase", "time", "cpu", "memory", "logged"
    ));
    for record in commands {
        let (time, processor, memory, logged, exit) = match &record.ended {
            Some((exit, usage)) => (
                seconds(usage.wall_millis),
                seconds(usage.processor_millis),
                size(usage.peak_memory_bytes),
                size(usage.logged_bytes),
                if exit.is_success() {
                    String::new()
                } else {
                    format!(" ({exit})")
                },
            ),
            None => Default::default(),
        };
        let phase = record.phase.name();
        let command = &record.command;
        tell(format_args!(
            "{phase:<15} {time:>9} {processor:>9} {memory:>9} {logged:>9}  {command}{exit}"
        ));
    }
}

fn seconds(millis: u64) -> String {
    format!("{}.{:03} s", millis / 1000, millis % 1000)
}

/// A size in the largest unit that leaves a whole number before the point.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // Tenths of the unit, so that no rounding of floats is needed.
    let mut tenths = u128::from(bytes) * 10 / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_unit_that_reads_best() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_500_000, "1.4 MiB"),
            (u64::MAX, "16777215.9 TiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
