//! What a build's journal knows, line by line in a file: whoever takes the build up after the
//! agent's death knows as much.
//!
//! Events are few, so they are kept to the end, while the spool, which holds the log too, is removed
//! as it is read. An entry is written before the reader's mark passes the record it comes from.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use executor::protocol::Event;
use serde::{Deserialize, Serialize};

use crate::model::{Artifact, PhaseType};

/// More is not read of a chronicle, in bytes.
const LIMIT_BYTES: u64 = 256 * 1024 * 1024;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    tag = "entry"
)]
pub(super) enum Entry {
    /// The agent entered a phase.
    Entered {
        /// Which phase.
        phase: PhaseType,
        /// When, in microseconds since 1970 UTC.
        time_micros: i64,
    },
    /// The executor said something.
    Told {
        /// Number of the spool's record.
        sequence: u64,
        /// Time of the record.
        time_micros: u64,
        /// What it said.
        event: Event,
    },
    /// An artifact lies where it is wanted.
    Stored {
        /// Its index in the plan.
        index: usize,
        /// The artifact.
        artifact: Artifact,
    },
}

/// Why a chronicle cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the build's chronicle {}", path.display())]
pub(super) struct ChronicleError {
    path: PathBuf,
    source: io::Error,
}

/// The file.
#[derive(Debug)]
pub(super) struct Chronicle {
    file: File,
    path: PathBuf,
}

impl Chronicle {
    /// Opens the file, which is made if needed, and gives what it holds. A last entry that was cut
    /// by its writer's death is taken off: the spool still has what it was about.
    pub(super) fn open(path: &Path) -> Result<(Self, Vec<Entry>), ChronicleError> {
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path);
        let read = opened.and_then(|mut file| {
            let mut text = Vec::new();
            (&file).take(LIMIT_BYTES).read_to_end(&mut text)?;
            let whole = text.iter().rposition(|byte| *byte == b'\n');
            let whole = whole.map_or(0, |newline| newline + 1);
            file.set_len(whole as u64)?;
            file.seek(SeekFrom::End(0))?;
            let lines = text[..whole].split(|byte| *byte == b'\n');
            let lines = lines.filter(|line| !line.is_empty());
            let entries: Result<Vec<Entry>, _> = lines.map(serde_json::from_slice).collect();
            Ok((file, entries?))
        });
        let (file, entries) = read.map_err(cannot(path))?;
        let path = path.to_owned();
        Ok((Self { file, path }, entries))
    }

    /// Adds an entry.
    pub(super) fn add(&mut self, entry: &Entry) -> Result<(), ChronicleError> {
        let written = serde_json::to_vec(entry)
            .map_err(io::Error::from)
            .and_then(|mut line| {
                line.push(b'\n');
                self.file.write_all(&line)
            });
        written.map_err(cannot(&self.path))
    }
}

fn cannot(path: &Path) -> impl FnOnce(io::Error) -> ChronicleError {
    let path = path.to_owned();
    move |source| ChronicleError { path, source }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn entry(phase: PhaseType) -> Entry {
        Entry::Entered {
            phase,
            time_micros: 7,
        }
    }

    #[test]
    fn the_next_process_goes_on_where_the_last_whole_entry_ends() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("chronicle");
        let (mut chronicle, entries) = Chronicle::open(&path).unwrap();
        assert_eq!(entries, []);
        chronicle.add(&entry(PhaseType::Submitted)).unwrap();
        chronicle.add(&entry(PhaseType::Queued)).unwrap();
        let whole = fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let (mut chronicle, entries) = Chronicle::open(&path).unwrap();
            let newlines = whole[..cut].split(|byte| *byte == b'\n').count() - 1;
            assert_eq!(entries.len(), newlines, "cut at {cut}");
            chronicle.add(&entry(PhaseType::Build)).unwrap();
            let (_, entries) = Chronicle::open(&path).unwrap();
            assert_eq!(entries.last(), Some(&entry(PhaseType::Build)), "{cut}");
            assert_eq!(entries.len(), newlines + 1, "cut at {cut}");
        }
    }

    #[test]
    fn a_damaged_chronicle_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("chronicle");
        fs::write(&path, "{}\n").unwrap();
        assert!(Chronicle::open(&path).is_err());
    }
}
