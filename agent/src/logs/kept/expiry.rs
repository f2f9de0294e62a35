//! Which kept logs go, and how they go while builds write others.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{KeptLogs, entries};

/// How long logs are kept, and how large they may be.
#[derive(Debug, Clone, Copy)]
pub struct LogBound {
    /// Those that nobody has written to for longer than this go.
    pub age: Duration,
    /// Size of all together, in bytes: beyond it the oldest go.
    pub bytes: u64,
}

/// Logs that are gone.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct ExpiredLogs {
    /// How many log streams.
    pub streams: usize,
    /// Their size.
    pub bytes: u64,
}

/// A log as it is found.
struct Found {
    modified: SystemTime,
    bytes: u64,
    path: PathBuf,
}

impl KeptLogs {
    /// Removes logs that are too old, then the oldest until the others have room, and groups without logs. The
    /// log of a build that runs stays, however old its last line is. With `dry_run`, it only tells what would go.
    pub fn expire(&self, bound: LogBound, dry_run: bool) -> io::Result<ExpiredLogs> {
        let mut expired = ExpiredLogs::default();
        let found = self.found()?;
        let mut total: u64 = found.iter().map(|log| log.bytes).sum();
        for log in found {
            let is_old = log.modified.elapsed().is_ok_and(|age| age > bound.age);
            if !is_old && total <= bound.bytes {
                break;
            }
            if !remove(&log.path, dry_run)? {
                continue;
            }
            total -= log.bytes;
            expired.streams += 1;
            expired.bytes += log.bytes;
        }
        if !dry_run {
            for group in entries(&self.root)? {
                // Fails where there is a stream left.
                let _ = fs::remove_dir(group.path());
            }
        }
        Ok(expired)
    }

    /// All logs, the one that was written to the longest time ago first.
    fn found(&self) -> io::Result<Vec<Found>> {
        let mut found = Vec::new();
        for group in entries(&self.root)? {
            for stream in entries(&group.path())? {
                // One that is gone by now is nobody's business.
                let Ok(metadata) = stream.metadata() else {
                    continue;
                };
                found.push(Found {
                    modified: metadata.modified()?,
                    bytes: metadata.len(),
                    path: stream.path(),
                });
            }
        }
        found.sort_unstable_by(|one, other| {
            (one.modified, &one.path).cmp(&(other.modified, &other.path))
        });
        Ok(found)
    }
}

/// Removes a log that nobody writes. Tells whether it did, or would.
fn remove(path: &Path, dry_run: bool) -> io::Result<bool> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        file => file?,
    };
    match file.try_lock() {
        Ok(()) if dry_run => Ok(true),
        Ok(()) => fs::remove_file(path).map(|()| true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::super::KeptLog;
    use super::*;
    use crate::logs::LogSink;

    const FOR_EVER: Duration = Duration::MAX;

    /// A log of 1,000 bytes and a group of its own, written so long ago.
    fn log(logs: &KeptLogs, stream: &str, age: Duration) -> KeptLog {
        let mut log = logs.write(stream, stream).unwrap();
        log.log(1_000, format!("{}\n", "x".repeat(997)).as_bytes())
            .unwrap();
        let file = File::open(logs.path(stream, stream).unwrap()).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
        log
    }

    #[test]
    fn old_logs_go_and_then_the_oldest_until_there_is_room() {
        let directory = tempfile::tempdir().unwrap();
        let logs = KeptLogs::new(directory.path().join("logs"));
        let hour = Duration::from_hours(1);
        for (stream, hours) in [("c", 1), ("a", 3), ("b", 2)] {
            drop(log(&logs, stream, hour * hours));
        }
        let expire = |age: Duration, bytes: u64, dry_run: bool| {
            let expired = logs.expire(LogBound { age, bytes }, dry_run).unwrap();
            (expired.streams, expired.bytes, logs.groups().unwrap())
        };
        let all = ["a", "b", "c"].map(str::to_owned).to_vec();
        assert_eq!(expire(FOR_EVER, 3_000, false), (0, 0, all.clone()));
        assert_eq!(expire(hour * 2, u64::MAX, true), (2, 2_000, all.clone()));
        assert_eq!(expire(FOR_EVER, 2_999, true), (1, 1_000, all.clone()));
        assert_eq!(
            expire(FOR_EVER, 2_999, false),
            (1, 1_000, all[1..].to_vec())
        );
        assert_eq!(
            expire(hour, u64::MAX, false),
            (2, 2_000, Vec::new()),
            "groups without logs go too"
        );
    }

    #[test]
    fn a_log_that_is_being_written_stays() {
        let directory = tempfile::tempdir().unwrap();
        let logs = KeptLogs::new(directory.path().join("logs"));
        let nothing = LogBound {
            age: Duration::ZERO,
            bytes: 0,
        };
        let mut writing = log(&logs, "a", Duration::from_hours(50));
        assert_eq!(
            logs.expire(nothing, false).unwrap(),
            ExpiredLogs::default(),
            "its build runs"
        );
        writing.log(1_000, b"the end\n").unwrap();
        let page = logs.forward("a", "a", 0, 10).unwrap().unwrap();
        assert_eq!(page.events.last().unwrap().message, "the end\n");
        drop(writing);
        assert_eq!(logs.expire(nothing, false).unwrap().streams, 1);
    }
}
