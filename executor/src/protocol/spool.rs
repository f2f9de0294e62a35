//! The spool: everything a build says, in order, on the host's disk.
//!
//! A spool is a directory of segments, `00000001.spool` and up, each a sequence of records. It has
//! one writer at a time (the agent before and after the container's life, the executor during it)
//! and any number of readers, each with a [`Position`] of its own. Segments that every reader has
//! passed are removed by the agent, which is also how the writer learns that there is room again.
//!
//! A record is a header of 24 bytes, little-endian, and a body:
//!
//! | bytes | what |
//! |---|---|
//! | 0–3 | length of the body |
//! | 4 | kind: 1 log bytes, 2 event |
//! | 5–7 | zero |
//! | 8–15 | sequence number, one more than the record before it, across segments |
//! | 16–23 | time, microseconds since 1970 UTC |

use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::Event;

/// Size of a record's header, in bytes.
pub const HEADER_BYTES: usize = 24;

/// Largest body of a record, in bytes.
pub const BODY_LIMIT_BYTES: usize = 1024 * 1024;

/// Size from which a segment is full and the writer starts the next one, in bytes.
pub const SEGMENT_BYTES: u64 = 16 * 1024 * 1024;

/// File name of a segment. Numbers start at 1.
pub fn segment_name(number: u32) -> String {
    format!("{number:08}.spool")
}

/// The number in a segment's file name; none for any other name.
pub fn segment_number(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".spool")?;
    let number = digits.parse().ok()?;
    (segment_name(number) == name).then_some(number)
}

/// A place between two records, where a reader goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Position {
    /// Number of the segment.
    pub segment: u32,
    /// Offset in that segment, in bytes.
    pub offset: u64,
    /// Sequence number of the record that starts there.
    pub sequence: u64,
}

impl Position {
    /// Before the first record of a build.
    pub const START: Self = Self {
        segment: 1,
        offset: 0,
        sequence: 0,
    };
}

/// One record.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Sequence number, from 0.
    pub sequence: u64,
    /// Microseconds since 1970 UTC.
    pub time_micros: u64,
    /// What it holds.
    pub body: Body,
}

/// What a record holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// Bytes of the build's log, as they came and already masked. The log is all of them joined;
    /// a record may end anywhere in a line.
    Log(Vec<u8>),
    /// A lifecycle event.
    Event(Event),
}

/// Why bytes are not a record.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The header is impossible or out of sequence.
    #[error("spool record {expected} is damaged")]
    Damaged {
        /// Sequence number the record should have had.
        expected: u64,
    },
    /// The body of an event is not an [`Event`].
    #[error("spool record {sequence} holds an unknown event")]
    UnknownEvent {
        /// Its sequence number.
        sequence: u64,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

const KIND_LOG: u8 = 1;
const KIND_EVENT: u8 = 2;

/// Takes the first record off `bytes`: the record and its whole size. `None` while the record has
/// not arrived whole. `expected` is the sequence number that comes next.
pub fn decode(bytes: &[u8], expected: u64) -> Result<Option<(Record, usize)>, SpoolError> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Ok(None);
    };
    let [l0, l1, l2, l3, kind, 0, 0, 0, ref numbers @ ..] = *header else {
        return Err(SpoolError::Damaged { expected });
    };
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    let (sequence, time) = numbers.split_at(8);
    let sequence = little_endian(sequence);
    if length > BODY_LIMIT_BYTES || sequence != expected || !matches!(kind, KIND_LOG | KIND_EVENT) {
        return Err(SpoolError::Damaged { expected });
    }
    let Some(body) = rest.get(..length) else {
        return Ok(None);
    };
    let body = match kind {
        KIND_LOG => Body::Log(body.to_vec()),
        _ => Body::Event(
            serde_json::from_slice(body)
                .map_err(|source| SpoolError::UnknownEvent { sequence, source })?,
        ),
    };
    Ok(Some((
        Record {
            sequence,
            time_micros: little_endian(time),
            body,
        },
        HEADER_BYTES + length,
    )))
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |value, byte| (value << 8) | u64::from(*byte))
}

/// Opens the segments a [`SpoolWriter`] writes to.
pub trait Segments {
    /// An open segment.
    type File: Write;

    /// Creates the segment with this number, empty, for appending.
    fn create(&mut self, number: u32) -> io::Result<Self::File>;
}

/// Appends records to a spool.
#[derive(Debug)]
pub struct SpoolWriter<S: Segments> {
    segments: S,
    file: S::File,
    number: u32,
    written_bytes: u64,
    sequence: u64,
}

impl<S: Segments> SpoolWriter<S> {
    /// Starts writing with a new segment.
    pub fn start(mut segments: S, number: u32, sequence: u64) -> io::Result<Self> {
        let file = segments.create(number)?;
        Ok(Self {
            segments,
            file,
            number,
            written_bytes: 0,
            sequence,
        })
    }

    /// Appends log bytes, in as many records as they need.
    pub fn log(&mut self, bytes: &[u8]) -> io::Result<()> {
        bytes
            .chunks(BODY_LIMIT_BYTES)
            .try_for_each(|chunk| self.append(KIND_LOG, chunk))
    }

    /// Appends an event.
    pub fn event(&mut self, event: &Event) -> io::Result<()> {
        let json = serde_json::to_vec(event)?;
        if json.len() > BODY_LIMIT_BYTES {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "an event is larger than a spool record may be",
            ));
        }
        self.append(KIND_EVENT, &json)
    }

    /// Whether the next record needs another segment.
    pub fn is_segment_full(&self) -> bool {
        self.written_bytes >= SEGMENT_BYTES
    }

    /// What opens the segments.
    pub fn segments(&self) -> &S {
        &self.segments
    }

    /// Where the next writer goes on: the number of the next segment and of the next record.
    pub fn next(&self) -> (u32, u64) {
        (self.number + 1, self.sequence)
    }

    fn append(&mut self, kind: u8, body: &[u8]) -> io::Result<()> {
        if self.is_segment_full() {
            self.file = self.segments.create(self.number + 1)?;
            self.number += 1;
            self.written_bytes = 0;
        }
        let mut header = [0; HEADER_BYTES];
        let length = u32::try_from(body.len()).map_err(io::Error::other)?;
        header[..4].copy_from_slice(&length.to_le_bytes());
        header[4] = kind;
        header[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        header[16..].copy_from_slice(&now_micros().to_le_bytes());
        let written = self
            .file
            .write_vectored(&[io::IoSlice::new(&header), io::IoSlice::new(body)])?;
        if written < HEADER_BYTES {
            self.file.write_all(&header[written..])?;
        }
        self.file
            .write_all(&body[written.saturating_sub(HEADER_BYTES)..])?;
        self.written_bytes += (HEADER_BYTES + body.len()) as u64;
        self.sequence += 1;
        Ok(())
    }
}

/// The present time as the spool writes it, in microseconds since 1970 UTC.
pub fn now_micros() -> u64 {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since_1970.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;
    use crate::protocol::Phase;

    /// Segments in memory; writes take at most 7 bytes, so that partial writes are met.
    #[derive(Clone, Default)]
    struct Memory(Rc<RefCell<Vec<Vec<u8>>>>);

    struct Short(Memory, usize);

    impl Write for Short {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(7);
            self.0.0.borrow_mut()[self.1].extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Segments for Memory {
        type File = Short;

        fn create(&mut self, _number: u32) -> io::Result<Short> {
            self.0.borrow_mut().push(Vec::new());
            Ok(Short(self.clone(), self.0.borrow().len() - 1))
        }
    }

    fn written(write: impl FnOnce(&mut SpoolWriter<Memory>)) -> Vec<Vec<u8>> {
        let memory = Memory::default();
        let mut writer = SpoolWriter::start(memory.clone(), 1, 5).unwrap();
        write(&mut writer);
        drop(writer);
        memory.0.take()
    }

    #[test]
    fn records_are_read_as_they_were_written_whatever_the_writes_looked_like() {
        let event = Event::PhaseStarted {
            phase: Phase::PreBuild,
        };
        let bytes = written(|writer| {
            writer.log(b"hello\xff\n").unwrap();
            writer.event(&event).unwrap();
            writer.log(b"").unwrap();
        })
        .concat();
        let (first, size) = decode(&bytes, 5).unwrap().unwrap();
        assert_eq!(first.body, Body::Log(b"hello\xff\n".to_vec()));
        let (second, size_2) = decode(&bytes[size..], 6).unwrap().unwrap();
        assert_eq!(second.body, Body::Event(event));
        assert_eq!(
            size + size_2,
            bytes.len(),
            "nothing is written for no bytes"
        );
    }

    #[test]
    fn a_record_that_has_not_arrived_whole_is_waited_for() {
        let bytes = written(|writer| writer.log(b"abc").unwrap()).concat();
        for end in 0..bytes.len() {
            assert!(decode(&bytes[..end], 5).unwrap().is_none(), "cut at {end}");
        }
    }

    #[test]
    fn a_damaged_record_is_told_from_a_cut_one() {
        let bytes = written(|writer| writer.log(b"abc").unwrap()).concat();
        assert!(decode(&bytes, 6).is_err(), "out of sequence");
        for (place, value) in [(3, 0xff), (4, 9), (5, 1)] {
            let mut damaged = bytes.clone();
            damaged[place] = value;
            assert!(decode(&damaged, 5).is_err(), "byte {place}");
        }
    }

    #[test]
    fn a_full_segment_is_followed_by_the_next() {
        let chunk = vec![b'x'; BODY_LIMIT_BYTES];
        let segments = written(|writer| {
            for _ in 0..17 {
                writer.log(&chunk).unwrap();
            }
            assert_eq!(writer.next(), (3, 22));
        });
        assert_eq!(segments.len(), 2);
        assert!(segments[0].len() as u64 >= SEGMENT_BYTES);
    }

    #[test]
    fn only_segment_names_are_taken_for_segments() {
        assert_eq!(segment_number(&segment_name(12)), Some(12));
        for name in [
            "12.spool",
            "0000001a.spool",
            "00000001.spool.tmp",
            "+0000001.spool",
            "",
        ] {
            assert_eq!(segment_number(name), None, "{name}");
        }
    }
}
