//! The audit log: one line of JSON for every call that changes something, whether it was let in or not.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// A log that has this size, in bytes, is put aside; the one put aside before goes.
const LIMIT_BYTES: u64 = 64 * 1024 * 1024;

/// One call.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry<'a> {
    /// When it was answered.
    pub(super) time: &'a str,
    /// Id of the request, as the client knows it.
    pub(super) request_id: &'a str,
    /// Address it came from.
    pub(super) from: &'a str,
    /// Access key that signed it, if it was let in.
    pub(super) access_key_id: Option<&'a str>,
    /// Who that is.
    pub(super) caller: Option<&'a str>,
    /// What was asked for.
    pub(super) action: &'a str,
    /// On what: the names in the input.
    pub(super) resource: Option<&'a str>,
    /// The error it was answered with; none if it was carried out.
    pub(super) error: Option<&'a str>,
}

/// The log in the data directory. Servers may share one.
#[derive(Debug)]
pub(super) struct AuditLog {
    path: PathBuf,
    limit_bytes: u64,
    file: Mutex<File>,
}

impl AuditLog {
    /// Opens the log, which is made if needed, readable by its owner only.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Self::with_limit(path, LIMIT_BYTES)
    }

    fn with_limit(path: &Path, limit_bytes: u64) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            limit_bytes,
            file: Mutex::new(open(path)?),
        })
    }

    /// Adds a line. A call is not refused because it cannot be written down: that is told instead.
    pub(super) fn write(&self, entry: &Entry<'_>) {
        let mut line = serde_json::to_vec(entry).unwrap_or_default();
        line.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = self.append(&mut file, &line) {
            tracing::error!(
                "cannot write to the audit log {}: {error}",
                self.path.display()
            );
        }
    }

    fn append(&self, file: &mut File, line: &[u8]) -> io::Result<()> {
        // A log that grows beyond its bound is better than a call that nobody has written down.
        let prepared = self.prepare(file);
        file.write_all(line)?;
        prepared
    }

    /// Makes sure that the file is the one under the log's name, and not too large.
    fn prepare(&self, file: &mut File) -> io::Result<()> {
        if !self.is_under_its_name(file)? {
            *file = open(&self.path)?;
        }
        if file.metadata()?.len() < self.limit_bytes {
            return Ok(());
        }
        // Of several servers, one puts it aside.
        file.lock()?;
        let put_aside = self.put_aside(file);
        file.unlock()?;
        put_aside?;
        *file = open(&self.path)?;
        Ok(())
    }

    fn put_aside(&self, file: &File) -> io::Result<()> {
        if self.is_under_its_name(file)? {
            fs::rename(&self.path, self.path.with_extension("jsonl.1"))?;
        }
        Ok(())
    }

    /// Whether nobody has put the file aside.
    fn is_under_its_name(&self, file: &File) -> io::Result<bool> {
        let own = file.metadata()?;
        match fs::metadata(&self.path) {
            Ok(named) => Ok((named.dev(), named.ino()) == (own.dev(), own.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(action: &str) -> Entry<'_> {
        Entry {
            time: "2026-11-24T00:00:00Z",
            request_id: "1",
            from: "127.0.0.1",
            access_key_id: None,
            caller: None,
            action,
            resource: None,
            error: None,
        }
    }

    /// How many calls the files hold, the one that was put aside first.
    fn lines(path: &Path) -> [usize; 2] {
        let aside = path.with_extension("jsonl.1");
        [aside.as_path(), path]
            .map(|path| fs::read_to_string(path).map_or(0, |text| text.lines().count()))
    }

    #[test]
    fn a_full_log_is_put_aside_and_the_one_before_it_goes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        // Three lines fill it.
        let length = serde_json::to_vec(&entry("a")).unwrap().len() as u64 + 1;
        let log = AuditLog::with_limit(&path, 3 * length).unwrap();
        for expected in [[0, 1], [0, 2], [0, 3], [3, 1], [3, 2], [3, 3], [3, 1]] {
            log.write(&entry("a"));
            assert_eq!(lines(&path), expected);
        }
        assert_eq!(
            fs::read_dir(directory.path()).unwrap().count(),
            2,
            "there are never more"
        );
    }

    #[test]
    fn servers_that_share_a_log_lose_nothing_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        let length = serde_json::to_vec(&entry("a")).unwrap().len() as u64 + 1;
        let open = || AuditLog::with_limit(&path, 3 * length).unwrap();
        let (one, other) = (open(), open());
        for _ in 0..2 {
            one.write(&entry("a"));
            other.write(&entry("a"));
        }
        assert_eq!(lines(&path), [3, 1]);
        one.write(&entry("a"));
        assert_eq!(lines(&path), [3, 2], "it follows the other one");
        // As a program does that takes logs away.
        fs::rename(&path, directory.path().join("elsewhere")).unwrap();
        other.write(&entry("a"));
        one.write(&entry("a"));
        assert_eq!(lines(&path), [3, 2]);
    }

    #[test]
    fn a_call_is_written_down_where_the_log_cannot_be_put_aside() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        fs::create_dir(path.with_extension("jsonl.1")).unwrap();
        let log = AuditLog::with_limit(&path, 1).unwrap();
        log.write(&entry("a"));
        log.write(&entry("a"));
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
    }
}
