//! One spool and its readers: what each has dealt with is remembered on disk, and what all have
//! dealt with is removed.
//!
//! A reader that falls behind keeps the segments it still needs. Once there are as many as the
//! executor may have, the executor holds the build's output back: nothing is lost.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use executor::protocol::spool::{Position, segment_name, segment_number};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::follower::{Finish, SpoolFollower};
use crate::state_file::{self, StateFileError};

/// A reader's name, which is also that of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReaderName {
    /// The build's own record, and whoever watches it.
    Journal,
    /// CloudWatch Logs.
    CloudWatch,
    /// The log object in S3.
    S3,
}

impl ReaderName {
    /// All there are.
    const ALL: [Self; 3] = [Self::Journal, Self::CloudWatch, Self::S3];

    fn file(self) -> &'static str {
        match self {
            Self::Journal => "journal.json",
            Self::CloudWatch => "cloudwatch.json",
            Self::S3 => "s3.json",
        }
    }
}

/// What a reader remembers: a JSON object with the position from which it needs the spool again.
pub trait Mark: Serialize {
    /// The first record that is still needed.
    fn position(&self) -> Position;
}

impl Mark for Position {
    fn position(&self) -> Position {
        *self
    }
}

/// The part that all marks have in common.
#[derive(Deserialize)]
struct AnyMark {
    #[serde(flatten)]
    position: Position,
}

/// The spool of one build, as seen by the agent that looks after it.
#[derive(Debug)]
pub struct Spool {
    segments: PathBuf,
    marks: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    positions: BTreeMap<ReaderName, Position>,
    /// Segments below are removed.
    first_kept: u32,
    finished: bool,
    followers: Vec<Finish>,
}

impl Spool {
    /// Opens the spool in the directory `segments` for these readers and for all that have left a
    /// mark in the directory `marks`, which is made if needed. What one of them has not dealt with
    /// is kept from now on.
    pub fn open(
        segments: PathBuf,
        marks: PathBuf,
        readers: &[ReaderName],
    ) -> Result<Arc<Self>, StateFileError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&marks);
        made.map_err(|source| StateFileError::Write {
            path: marks.clone(),
            source,
        })?;
        let mut positions = BTreeMap::new();
        for reader in ReaderName::ALL {
            let mark: Option<AnyMark> = state_file::read(&marks.join(reader.file()))?;
            if mark.is_some() || readers.contains(&reader) {
                let position = mark.map_or(Position::START, |mark| mark.position);
                positions.insert(reader, position);
            }
        }
        let state = Mutex::new(State {
            positions,
            first_kept: 0,
            finished: false,
            followers: Vec::new(),
        });
        Ok(Arc::new(Self {
            segments,
            marks,
            state,
        }))
    }

    /// One of its readers.
    pub fn reader(self: &Arc<Self>, name: ReaderName) -> SpoolReader {
        SpoolReader {
            spool: Arc::clone(self),
            name,
        }
    }

    /// The directory of the segments.
    pub fn segments(&self) -> &Path {
        &self.segments
    }

    /// Says that nobody will ever write again: all that follow end with what is there.
    pub fn finish(&self) {
        let mut state = self.state();
        state.finished = true;
        for follower in state.followers.drain(..) {
            follower.finish();
        }
    }

    /// Number of segments that exist.
    pub fn segment_count(&self) -> io::Result<usize> {
        Ok(self.numbers()?.count())
    }

    /// Number of the last segment; 0 if there is none.
    pub fn last_segment(&self) -> io::Result<u32> {
        Ok(self.numbers()?.max().unwrap_or(0))
    }

    fn numbers(&self) -> io::Result<impl Iterator<Item = u32>> {
        let entries = fs::read_dir(&self.segments)?;
        Ok(entries.filter_map(|entry| segment_number(entry.ok()?.file_name().to_str()?)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What it holds is whole between any two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes what all readers have passed. A segment that cannot be removed is tried again with
    /// the next one; until then the executor counts it.
    fn remove_passed(&self, state: &mut State) {
        let Some(first_needed) = state.positions.values().map(|at| at.segment).min() else {
            return;
        };
        if state.first_kept == 0 {
            let first = self.numbers().ok().and_then(Iterator::min);
            state.first_kept = first.unwrap_or(first_needed);
        }
        while state.first_kept < first_needed {
            let path = self.segments.join(segment_name(state.first_kept));
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!("cannot remove spool segment {}: {error}", path.display());
                    return;
                }
                _ => state.first_kept += 1,
            }
        }
    }
}

/// One reader of a spool.
#[derive(Debug, Clone)]
pub struct SpoolReader {
    spool: Arc<Spool>,
    name: ReaderName,
}

impl SpoolReader {
    /// What this reader remembered last, in this process or in one before it.
    pub fn mark<M: DeserializeOwned>(&self) -> Result<Option<M>, StateFileError> {
        state_file::read(&self.path())
    }

    /// Remembers what has been dealt with. Only then may it be removed.
    pub fn keep(&self, mark: &impl Mark) -> Result<(), StateFileError> {
        state_file::write(&self.path(), mark)?;
        let mut state = self.spool.state();
        state.positions.insert(self.name, mark.position());
        self.spool.remove_passed(&mut state);
        Ok(())
    }

    /// Needs nothing of the spool any more, so that what it has not dealt with can go.
    pub fn let_go(&self) {
        let mut state = self.spool.state();
        state.positions.remove(&self.name);
        self.spool.remove_passed(&mut state);
    }

    /// Follows the spool from `position` until nobody writes any more.
    pub fn follow(&self, position: Position) -> io::Result<SpoolFollower> {
        let (follower, finish) = SpoolFollower::start(self.spool.segments.clone(), position)?;
        let mut state = self.spool.state();
        if state.finished {
            finish.finish();
        } else {
            state.followers.push(finish);
        }
        Ok(follower)
    }

    /// The spool it reads.
    pub fn spool(&self) -> &Spool {
        &self.spool
    }

    fn path(&self) -> PathBuf {
        self.spool.marks.join(self.name.file())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(segment: u32) -> Position {
        Position {
            segment,
            ..Position::START
        }
    }

    fn spool_of(root: &Path, segments: u32, readers: &[ReaderName]) -> Arc<Spool> {
        let directory = root.join("spool");
        fs::create_dir_all(&directory).unwrap();
        for number in 1..=segments {
            fs::write(directory.join(segment_name(number)), "").unwrap();
        }
        Spool::open(directory, root.join("readers"), readers).unwrap()
    }

    fn left(root: &Path) -> Vec<u32> {
        let entries = fs::read_dir(root.join("spool")).unwrap();
        let mut left: Vec<u32> = entries
            .filter_map(|entry| segment_number(entry.unwrap().file_name().to_str()?))
            .collect();
        left.sort_unstable();
        left
    }

    #[test]
    fn a_segment_is_kept_until_the_slowest_reader_has_passed_it() {
        let root = tempfile::tempdir().unwrap();
        let spool = spool_of(root.path(), 4, &[ReaderName::Journal, ReaderName::S3]);
        let (fast, slow) = (
            spool.reader(ReaderName::Journal),
            spool.reader(ReaderName::S3),
        );
        fast.keep(&at(4)).unwrap();
        assert_eq!(left(root.path()), [1, 2, 3, 4]);
        slow.keep(&at(2)).unwrap();
        assert_eq!(left(root.path()), [2, 3, 4]);
        slow.let_go();
        assert_eq!(left(root.path()), [4]);
    }

    #[test]
    fn another_process_keeps_what_a_reader_of_this_one_has_not_dealt_with() {
        let root = tempfile::tempdir().unwrap();
        let spool = spool_of(root.path(), 4, &[ReaderName::CloudWatch]);
        spool.reader(ReaderName::CloudWatch).keep(&at(2)).unwrap();
        drop(spool);
        let spool = spool_of(root.path(), 4, &[ReaderName::Journal]);
        spool.reader(ReaderName::Journal).keep(&at(4)).unwrap();
        assert_eq!(left(root.path()), [2, 3, 4]);
        let reader = spool.reader(ReaderName::CloudWatch);
        assert_eq!(reader.mark::<Position>().unwrap(), Some(at(2)));
    }
}
