//! The logs of builds as they are kept for whoever reads them later: one directory a log group, one
//! file a log stream, one line an event.
//!
//! A line is `MILLIS TEXT`, or `MILLIS+TEXT` for a piece of a line that goes on in the next. A place in
//! the file is a place in the log, so that a reader goes on where it stopped without any index.

mod expiry;

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use executor::protocol::Event;

use super::LogSink;
use super::lines::Lines;
use crate::model::Build;

pub use expiry::{ExpiredLogs, LogBound};

/// Bytes that are read for a page at most: what `CloudWatch` Logs gives, and a line more.
const PAGE_BYTES: u64 = 1024 * 1024 + 300 * 1024;

/// Bytes of a file's name at most.
const NAME_BYTES: usize = 255;

/// How often a log is opened that is removed at the same moment.
const OPENINGS: u32 = 10;

/// The directory of all kept logs.
#[derive(Debug, Clone)]
pub struct KeptLogs {
    root: PathBuf,
}

/// One log stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptStream {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// When it was written last.
    pub modified: SystemTime,
}

/// One event of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptEvent {
    /// Its time, in milliseconds since 1970 UTC.
    pub millis: i64,
    /// The line, with its `\n`; a piece of a longer line has none.
    pub message: String,
    /// Where it begins in the file.
    pub place: u64,
}

/// Events that follow each other.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct KeptPage {
    /// The events, in order.
    pub events: Vec<KeptEvent>,
    /// Where the first one begins.
    pub start: u64,
    /// Where the last one ends.
    pub end: u64,
}

impl KeptLogs {
    /// The logs in this directory, which need not be there.
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Writes a log stream, on from its end if it is there. It does not expire while it is written.
    pub fn write(&self, group: &str, stream: &str) -> io::Result<KeptLog> {
        let path = self.path(group, stream)?;
        let mut file = self.append_to(&path);
        for _ in 1..OPENINGS {
            // Old logs were removed from under it.
            if !matches!(&file, Err(error) if error.kind() == io::ErrorKind::NotFound) {
                break;
            }
            file = self.append_to(&path);
        }
        let file = file?;
        Ok(KeptLog {
            file: BufWriter::new(file),
            lines: Lines::default(),
            millis: 0,
        })
    }

    /// Opens a file and holds it.
    fn append_to(&self, path: &Path) -> io::Result<File> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path.parent().unwrap_or(&self.root))?;
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)?;
        file.lock_shared()?;
        if file.metadata()?.nlink() == 0 {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(file)
    }

    /// The names of the log groups, sorted.
    pub fn groups(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in entries(&self.root)? {
            names.extend(name_of(&entry));
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The streams of a group, sorted by name; `None` if there is no such group.
    pub fn streams(&self, group: &str) -> io::Result<Option<Vec<KeptStream>>> {
        let directory = self.root.join(file_name(group)?);
        if !directory.is_dir() {
            return Ok(None);
        }
        let mut streams = Vec::new();
        for entry in entries(&directory)? {
            let (Some(name), Ok(metadata)) = (name_of(&entry), entry.metadata()) else {
                continue;
            };
            streams.push(KeptStream {
                name,
                bytes: metadata.len(),
                modified: metadata.modified()?,
            });
        }
        streams.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok(Some(streams))
    }

    /// Events from a place on, at most `limit`; `None` if there is no such stream.
    pub fn forward(
        &self,
        group: &str,
        stream: &str,
        from: u64,
        limit: usize,
    ) -> io::Result<Option<KeptPage>> {
        let Some(mut file) = self.open(group, stream)? else {
            return Ok(None);
        };
        let size = file.metadata()?.len();
        let from = from.min(size);
        let mut events = read(&mut file, from, size.min(from + PAGE_BYTES))?;
        events.truncate(limit);
        Ok(Some(page(events, from)))
    }

    /// The last events before a place, at most `limit`, from the end if no place is given; `None` if
    /// there is no such stream.
    pub fn backward(
        &self,
        group: &str,
        stream: &str,
        before: Option<u64>,
        limit: usize,
    ) -> io::Result<Option<KeptPage>> {
        let Some(mut file) = self.open(group, stream)? else {
            return Ok(None);
        };
        let size = file.metadata()?.len();
        let before = before.unwrap_or(size).min(size);
        let from = before.saturating_sub(PAGE_BYTES);
        let mut events = read(&mut file, from, before)?;
        if from > 0 && !events.is_empty() {
            // Where it was cut is most likely inside of a line.
            events.remove(0);
        }
        let surplus = events.len().saturating_sub(limit);
        events.drain(..surplus);
        Ok(Some(page(events, before)))
    }

    fn open(&self, group: &str, stream: &str) -> io::Result<Option<File>> {
        match File::open(self.path(group, stream)?) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn path(&self, group: &str, stream: &str) -> io::Result<PathBuf> {
        Ok(self.root.join(file_name(group)?).join(file_name(stream)?))
    }
}

/// A directory's entries; none if it is not there.
fn entries(directory: &Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(directory) {
        Ok(entries) => entries.collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// A name as one file's: what has a meaning in paths is written as `%` and two digits.
fn file_name(name: &str) -> io::Result<String> {
    let mut file = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            file.push(char::from(byte));
        } else {
            let _ = write!(file, "%{byte:02X}");
        }
    }
    if file.is_empty() || file.len() > NAME_BYTES {
        let message = format!("the name of a log group or stream is empty or too long: {name:?}");
        return Err(io::Error::new(io::ErrorKind::InvalidFilename, message));
    }
    Ok(file)
}

/// The name that a file stands for; `None` for a file of somebody else.
fn name_of(entry: &fs::DirEntry) -> Option<String> {
    let file = entry.file_name().into_string().ok()?;
    let mut name = Vec::with_capacity(file.len());
    let mut bytes = file.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            name.push(u8::try_from(digit()? << 4 | digit()?).ok()?);
        } else {
            name.push(byte);
        }
    }
    String::from_utf8(name).ok()
}

/// The events of the whole lines between two places.
fn read(file: &mut File, from: u64, to: u64) -> io::Result<Vec<KeptEvent>> {
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(to.saturating_sub(from)).read_to_end(&mut bytes)?;
    let mut events = Vec::new();
    let mut place = from;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        // A line that is being written is for the next time.
        if line.ends_with(b"\n") {
            events.extend(event(line, place));
        }
        place += line.len() as u64;
    }
    Ok(events)
}

/// The event of one line; `None` for a line that nobody wrote like that.
fn event(line: &[u8], place: u64) -> Option<KeptEvent> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let millis = std::str::from_utf8(&line[..digits]).ok()?.parse().ok()?;
    let (mark, text) = line[digits..].split_first()?;
    let text = String::from_utf8_lossy(text);
    let message = match mark {
        b' ' => text.into_owned(),
        b'+' => text.trim_end_matches('\n').to_owned(),
        _ => return None,
    };
    Some(KeptEvent {
        millis,
        message,
        place,
    })
}

/// A page of events out of what was read.
fn page(events: Vec<KeptEvent>, otherwise: u64) -> KeptPage {
    let start = events.first().map_or(otherwise, |event| event.place);
    let end = events.last().map_or(otherwise, KeptEvent::end);
    KeptPage { events, start, end }
}

impl KeptEvent {
    /// Where the next event begins.
    pub fn end(&self) -> u64 {
        let is_piece = !self.message.ends_with('\n');
        let digits = self.millis.to_string().len();
        self.place + (digits + 1 + self.message.len() + usize::from(is_piece)) as u64
    }
}

/// A log stream that is being written.
#[derive(Debug)]
pub struct KeptLog {
    file: BufWriter<File>,
    lines: Lines,
    millis: u64,
}

fn write(file: &mut impl Write, millis: u64, line: &str) -> io::Result<()> {
    if line.ends_with('\n') {
        write!(file, "{millis} {line}")
    } else {
        writeln!(file, "{millis}+{line}")
    }
}

impl LogSink for KeptLog {
    fn log(&mut self, time_micros: u64, bytes: &[u8]) -> io::Result<()> {
        let millis = time_micros / 1000;
        self.millis = millis;
        let file = &mut self.file;
        self.lines.push(bytes, |line| write(file, millis, line))?;
        self.file.flush()
    }

    fn event(&mut self, _time_micros: u64, _event: &Event) -> io::Result<()> {
        Ok(())
    }

    fn finished(&mut self, _build: &Build) -> io::Result<()> {
        let (file, millis) = (&mut self.file, self.millis);
        self.lines.finish(|line| write(file, millis, line))?;
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: &str = "/aws/codebuild/demo";

    fn messages(page: &KeptPage) -> Vec<&str> {
        page.events
            .iter()
            .map(|event| event.message.as_str())
            .collect()
    }

    #[test]
    fn a_log_is_read_page_by_page_in_both_directions() {
        let directory = tempfile::tempdir().unwrap();
        let logs = KeptLogs::new(directory.path().join("logs"));
        assert_eq!(logs.forward(GROUP, "a/1", 0, 10).unwrap(), None);
        let mut log = logs.write(GROUP, "a/1").unwrap();
        log.log(1_000, b"one\ntwo\n\nthr").unwrap();
        log.log(2_000, "\u{e4}e\nfour\nfi".as_bytes()).unwrap();
        let first = logs.forward(GROUP, "a/1", 0, 2).unwrap().unwrap();
        assert_eq!(messages(&first), ["one\n", "two\n"]);
        assert_eq!(first.events[1].millis, 1);
        let second = logs.forward(GROUP, "a/1", first.end, 10).unwrap().unwrap();
        assert_eq!(messages(&second), ["\n", "thr\u{e4}e\n", "four\n"]);
        let third = logs.forward(GROUP, "a/1", second.end, 10).unwrap().unwrap();
        assert_eq!(
            (third.events.len(), third.end),
            (0, second.end),
            "the end stays where it is"
        );
        log.log(3_000, b"ve\nsix\n").unwrap();
        let third = logs.forward(GROUP, "a/1", second.end, 10).unwrap().unwrap();
        assert_eq!(messages(&third), ["five\n", "six\n"]);
        let last = logs.backward(GROUP, "a/1", None, 2).unwrap().unwrap();
        assert_eq!(messages(&last), ["five\n", "six\n"]);
        let before = logs
            .backward(GROUP, "a/1", Some(last.start), 4)
            .unwrap()
            .unwrap();
        assert_eq!(messages(&before), ["two\n", "\n", "thr\u{e4}e\n", "four\n"]);
        let before = logs
            .backward(GROUP, "a/1", Some(before.start), 4)
            .unwrap()
            .unwrap();
        assert_eq!(messages(&before), ["one\n"]);
        let before = logs
            .backward(GROUP, "a/1", Some(before.start), 4)
            .unwrap()
            .unwrap();
        assert_eq!((before.events.len(), before.start), (0, 0));
    }

    #[test]
    fn a_line_that_goes_on_and_a_place_that_is_none_do_no_harm() {
        let directory = tempfile::tempdir().unwrap();
        let logs = KeptLogs::new(directory.path().to_owned());
        let mut log = logs.write("g", "s").unwrap();
        log.log(1_000, &b"x".repeat(300_000)).unwrap();
        log.log(1_000, b"\n").unwrap();
        log.log(2_000, b"end\n").unwrap();
        let page = logs.forward("g", "s", 0, 10).unwrap().unwrap();
        let lengths: Vec<_> = page
            .events
            .iter()
            .map(|event| event.message.len())
            .collect();
        assert_eq!(lengths.iter().sum::<usize>(), 300_001 + 4);
        let (first, last) = (&page.events[0], &page.events[page.events.len() - 1]);
        assert!(!first.message.ends_with('\n'));
        assert_eq!(first.end(), page.events[1].place);
        assert_eq!(last.message, "end\n");
        assert_eq!(last.end(), page.end);
        for from in [1, 5, 299_999, u64::MAX] {
            assert!(
                logs.forward("g", "s", from, 10)
                    .unwrap()
                    .unwrap()
                    .events
                    .len()
                    <= 2
            );
        }
    }

    #[test]
    fn groups_and_streams_are_found_by_any_name() {
        let directory = tempfile::tempdir().unwrap();
        let logs = KeptLogs::new(directory.path().join("logs"));
        assert_eq!(logs.groups().unwrap(), [""; 0]);
        for (group, stream) in [(GROUP, "b"), ("../x", ".."), (GROUP, "a/ä%")] {
            logs.write(group, stream)
                .unwrap()
                .log(1_000, b"x\n")
                .unwrap();
        }
        assert_eq!(logs.groups().unwrap(), ["../x", GROUP]);
        let streams = logs.streams(GROUP).unwrap().unwrap();
        let names: Vec<_> = streams.iter().map(|stream| stream.name.as_str()).collect();
        assert_eq!(names, ["a/ä%", "b"]);
        assert_eq!(logs.streams("other").unwrap(), None);
        assert!(logs.write(GROUP, "").is_err());
        assert!(logs.write(GROUP, &"x".repeat(256)).is_err());
        assert_eq!(
            fs::read_dir(directory.path()).unwrap().count(),
            1,
            "nothing lies outside"
        );
    }
}
