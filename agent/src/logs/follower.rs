//! Follows a spool as it grows: spool directory in, batches of records out.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use executor::protocol::spool::{Position, Record, SpoolError, decode, segment_name};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::sync::mpsc;

/// How much is read at once, in bytes; a record is smaller than twice that.
const READ_BYTES: usize = 1024 * 1024;

/// How long the follower waits for a notice before it looks all the same, in milliseconds: notices
/// can be missed on some file systems.
const LOOK_MILLIS: u16 = 250;

/// Batches on their way to the reader; when they pile up, the spool grows instead.
const BATCHES: usize = 2;

/// Records that arrived together.
#[derive(Debug)]
pub struct Batch {
    /// The records in order, each with its place.
    pub records: Vec<(Position, Record)>,
    /// Where a reader goes on that has dealt with them.
    pub end: Position,
}

/// Why a spool cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The spool cannot be read.
    #[error("cannot read spool {}", path.display())]
    Read {
        /// The directory or segment.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The spool was tampered with, or the disk is damaged.
    #[error(transparent)]
    Damaged(#[from] SpoolError),
}

impl FollowError {
    fn read<E: Into<io::Error>>(path: &Path) -> impl FnOnce(E) -> Self {
        let path = path.to_owned();
        move |error| Self::Read {
            path,
            source: error.into(),
        }
    }
}

/// A spool being followed by a thread of its own.
#[derive(Debug)]
pub struct SpoolFollower {
    batches: mpsc::Receiver<Result<Batch, FollowError>>,
    position: Position,
    finish: Finish,
}

/// Tells a follower that nobody writes any more.
#[derive(Debug, Clone)]
pub(super) struct Finish(Arc<EventFd>);

impl Finish {
    /// Lets the follower end with what is there.
    pub(super) fn finish(&self) {
        // Fails only for a counter that is full, which is as good.
        let _ = self.0.write(1);
    }
}

impl SpoolFollower {
    /// Starts following from `position`.
    pub(super) fn start(spool: PathBuf, position: Position) -> io::Result<(Self, Finish)> {
        let (sender, batches) = mpsc::channel(BATCHES);
        let finish = Arc::new(EventFd::from_flags(
            EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK,
        )?);
        let thread = Follow {
            spool,
            position,
            file: None,
            buffer: Vec::new(),
            finish: Arc::clone(&finish),
        };
        // Waited for through the channel, which closes when the thread ends.
        tokio::task::spawn_blocking(move || {
            if let Err(error) = thread.run(&sender) {
                let _ = sender.blocking_send(Err(error));
            }
        });
        let finish = Finish(finish);
        let follower = Self {
            batches,
            position,
            finish: finish.clone(),
        };
        Ok((follower, finish))
    }

    /// The next records; `None` at the end of a spool whose writer is known to be gone. Cancelling
    /// loses nothing.
    pub async fn next(&mut self) -> Option<Result<Batch, FollowError>> {
        let batch = self.batches.recv().await;
        if let Some(Ok(batch)) = &batch {
            self.position = batch.end;
        }
        batch
    }

    /// The end of what was given so far.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Says that nobody writes any more, as far as this follower goes: [`next`](Self::next) then
    /// ends with what is there.
    pub fn finish(&self) {
        self.finish.finish();
    }
}

/// The state of the following thread.
struct Follow {
    spool: PathBuf,
    position: Position,
    file: Option<File>,
    /// Bytes read and not yet decoded.
    buffer: Vec<u8>,
    finish: Arc<EventFd>,
}

impl Follow {
    fn run(mut self, sender: &mpsc::Sender<Result<Batch, FollowError>>) -> Result<(), FollowError> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)
            .map_err(FollowError::read(&self.spool))?;
        inotify
            .add_watch(
                &self.spool,
                AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE,
            )
            .map_err(FollowError::read(&self.spool))?;
        let mut finished = false;
        loop {
            // Known before reading: what was written until then is read after it.
            finished = finished || self.finish.read().is_ok();
            let batch = self.read_batch()?;
            if !batch.records.is_empty() {
                if sender.blocking_send(Ok(batch)).is_err() {
                    return Ok(());
                }
            } else if finished || sender.is_closed() {
                return Ok(());
            } else {
                wait(&inotify, &self.finish).map_err(FollowError::read(&self.spool))?;
            }
        }
    }

    /// Reads what fits a batch. An empty one means that all that is written was read.
    fn read_batch(&mut self) -> Result<Batch, FollowError> {
        loop {
            let next_segment = self.spool.join(segment_name(self.position.segment + 1));
            // Looked for before reading: when it is there, this segment is complete.
            let is_complete = next_segment.exists();
            let read_bytes = self.read_chunk()?;
            let batch = self.decode()?;
            if !batch.records.is_empty() || (read_bytes == 0 && !is_complete) {
                return Ok(batch);
            }
            if read_bytes == 0 {
                self.enter_next_segment();
            }
        }
    }

    fn read_chunk(&mut self) -> Result<usize, FollowError> {
        let path = self.spool.join(segment_name(self.position.segment));
        let file = match &mut self.file {
            Some(file) => file,
            none => match open_at(&path, self.position.offset) {
                Ok(file) => none.insert(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
                Err(error) => return Err(FollowError::read(&path)(error)),
            },
        };
        let read = file
            .by_ref()
            .take(READ_BYTES as u64)
            .read_to_end(&mut self.buffer);
        read.map_err(FollowError::read(&path))
    }

    fn decode(&mut self) -> Result<Batch, FollowError> {
        let mut records = Vec::new();
        let mut start = 0;
        while let Some((record, size)) = decode(&self.buffer[start..], self.position.sequence)? {
            start += size;
            records.push((self.position, record));
            self.position.sequence += 1;
            self.position.offset += size as u64;
        }
        self.buffer.drain(..start);
        Ok(Batch {
            records,
            end: self.position,
        })
    }

    /// Bytes that are left over are a record that was cut by its writer's death. Were they anything
    /// else, the next record would not have the number that is expected.
    fn enter_next_segment(&mut self) {
        self.buffer.clear();
        self.file = None;
        self.position = Position {
            segment: self.position.segment + 1,
            offset: 0,
            ..self.position
        };
    }
}

fn open_at(path: &Path, offset: u64) -> io::Result<File> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    Ok(file)
}

/// Waits until something happens in the spool, or for a while.
fn wait(inotify: &Inotify, finish: &EventFd) -> io::Result<()> {
    let mut descriptors =
        [inotify.as_fd(), finish.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
    match poll(&mut descriptors, PollTimeout::from(LOOK_MILLIS)) {
        Ok(_) | Err(nix::Error::EINTR) => {}
        Err(error) => return Err(error.into()),
    }
    match inotify.read_events() {
        Ok(_) | Err(nix::Error::EAGAIN) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use executor::protocol::spool::Body;

    use super::*;
    use crate::logs::AgentLog;

    async fn text(follower: &mut SpoolFollower) -> String {
        let mut text = Vec::new();
        while let Some(batch) = follower.next().await {
            for (_, record) in batch.unwrap().records {
                let Body::Log(bytes) = record.body else {
                    panic!("no event was written")
                };
                text.extend(bytes);
            }
        }
        String::from_utf8(text).unwrap()
    }

    #[tokio::test]
    async fn what_two_writers_wrote_one_after_the_other_is_read_in_order() {
        let spool = tempfile::tempdir().unwrap();
        let path = spool.path().to_owned();
        let (mut follower, _) = SpoolFollower::start(path.clone(), Position::START).unwrap();
        let mut first = AgentLog::start(path.clone(), 1, 0).unwrap();
        first.line("one").unwrap();
        let (segment, sequence) = first.next();
        let mut second = AgentLog::start(path, segment, sequence).unwrap();
        second.line("two").unwrap();
        follower.finish();
        let text = text(&mut follower).await;
        assert!(
            text.find("one").unwrap() < text.find("two").unwrap(),
            "{text}"
        );
    }

    #[tokio::test]
    async fn a_record_that_was_cut_by_its_writers_death_is_left_out() {
        let spool = tempfile::tempdir().unwrap();
        let mut log = AgentLog::start(spool.path().to_owned(), 1, 0).unwrap();
        log.line("whole").unwrap();
        let (segment, sequence) = log.next();
        let path = spool.path().join(segment_name(1));
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend_from_slice(&bytes.clone()[..10]);
        fs::write(&path, bytes).unwrap();
        let mut next = AgentLog::start(spool.path().to_owned(), segment, sequence).unwrap();
        next.line("next").unwrap();
        let (mut follower, _) =
            SpoolFollower::start(spool.path().to_owned(), Position::START).unwrap();
        follower.finish();
        assert_eq!(text(&mut follower).await.lines().count(), 2);
    }

    #[tokio::test]
    async fn a_reader_goes_on_at_any_record_it_remembers() {
        let spool = tempfile::tempdir().unwrap();
        let path = spool.path().to_owned();
        let mut log = AgentLog::start(path.clone(), 1, 0).unwrap();
        for line in ["one", "two", "three"] {
            log.line(line).unwrap();
        }
        let (mut follower, _) = SpoolFollower::start(path.clone(), Position::START).unwrap();
        follower.finish();
        let batch = follower.next().await.unwrap().unwrap();
        let places = batch.records.iter().map(|(at, _)| *at).chain([batch.end]);
        for (passed, place) in places.enumerate() {
            let (mut follower, _) = SpoolFollower::start(path.clone(), place).unwrap();
            follower.finish();
            assert_eq!(text(&mut follower).await.lines().count(), 3 - passed);
        }
    }

    #[tokio::test]
    async fn a_spool_that_lacks_a_segment_is_damaged() {
        let spool = tempfile::tempdir().unwrap();
        let path = spool.path().to_owned();
        AgentLog::start(path.clone(), 1, 0)
            .unwrap()
            .line("one")
            .unwrap();
        AgentLog::start(path.clone(), 2, 1)
            .unwrap()
            .line("two")
            .unwrap();
        fs::remove_file(path.join(segment_name(1))).unwrap();
        let (mut follower, _) = SpoolFollower::start(path, Position::START).unwrap();
        assert!(matches!(
            follower.next().await,
            Some(Err(FollowError::Damaged(_)))
        ));
    }
}
