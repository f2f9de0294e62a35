//! The audit log: one line of JSON for every call that changes something, whether it was let in or not.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// A log that has grown past this is put aside, in bytes; the one put aside before goes.
const ROTATE_BYTES: u64 = 64 * 1024 * 1024;

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

/// The log in the data directory.
#[derive(Debug)]
pub(super) struct AuditLog {
    path: PathBuf,
    open: Mutex<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    size_bytes: u64,
}

impl AuditLog {
    /// Opens the log, which is made if needed, readable by its owner only.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            open: Mutex::new(open(path)?),
        })
    }

    /// Adds a line. A call is not refused because it cannot be written down: that is told instead.
    pub(super) fn write(&self, entry: &Entry<'_>) {
        let mut line = serde_json::to_vec(entry).unwrap_or_default();
        line.push(b'\n');
        let mut log = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = self.append(&mut log, &line) {
            tracing::error!(
                "cannot write to the audit log {}: {error}",
                self.path.display()
            );
        }
    }

    fn append(&self, log: &mut Open, line: &[u8]) -> io::Result<()> {
        if log.size_bytes > ROTATE_BYTES {
            fs::rename(&self.path, self.path.with_extension("jsonl.1"))?;
            *log = open(&self.path)?;
        }
        log.file.write_all(line)?;
        log.size_bytes += line.len() as u64;
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<Open> {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    let size_bytes = file.metadata()?.len();
    Ok(Open { file, size_bytes })
}
