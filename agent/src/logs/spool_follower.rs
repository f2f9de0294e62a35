//! Follows a spool as it grows: spool directory in, batches of records out.

use std::fs::{self, File};
use std::io::{self, Read};
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
    /// The records, in order.
    pub records: Vec<Record>,
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
    /// Counts up when nobody writes any more.
    finish: Arc<EventFd>,
}

impl SpoolFollower {
    /// Starts following from `position`. Segments are removed once they are read to their end.
    pub fn start(spool: PathBuf, position: Position) -> io::Result<Self> {
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
        Ok(Self { batches, finish })
    }

    /// The next records; `None` at the end of a spool whose writer is known to be gone. Cancelling
    /// loses nothing.
    pub async fn next(&mut self) -> Option<Result<Batch, FollowError>> {
        self.batches.recv().await
    }

    /// Says that nobody writes any more: [`next`](Self::next) then ends with what is there.
    pub fn finish(&self) {
        // Fails only for a counter that is full, which is as good.
        let _ = self.finish.write(1);
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
                self.enter_next_segment()?;
            }
        }
    }

    fn read_chunk(&mut self) -> Result<usize, FollowError> {
        let path = self.spool.join(segment_name(self.position.segment));
        let file = match &mut self.file {
            Some(file) => file,
            none => match File::open(&path) {
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
            self.position.sequence += 1;
            records.push(record);
        }
        self.position.offset += start as u64;
        self.buffer.drain(..start);
        Ok(Batch {
            records,
            end: self.position,
        })
    }

    fn enter_next_segment(&mut self) -> Result<(), FollowError> {
        if !self.buffer.is_empty() {
            return Err(SpoolError::Damaged {
                expected: self.position.sequence,
            }
            .into());
        }
        let path = self.spool.join(segment_name(self.position.segment));
        self.file = None;
        fs::remove_file(&path).map_err(FollowError::read(&path))?;
        self.position = Position {
            segment: self.position.segment + 1,
            offset: 0,
            ..self.position
        };
        Ok(())
    }
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
    use executor::protocol::spool::Body;

    use super::*;
    use crate::logs::AgentLog;

    async fn text(follower: &mut SpoolFollower) -> String {
        let mut text = Vec::new();
        while let Some(batch) = follower.next().await {
            for record in batch.unwrap().records {
                let Body::Log(bytes) = record.body else {
                    panic!("no event was written")
                };
                text.extend(bytes);
            }
        }
        String::from_utf8(text).unwrap()
    }

    #[tokio::test]
    async fn what_two_writers_wrote_one_after_the_other_is_read_in_order_and_removed() {
        let spool = tempfile::tempdir().unwrap();
        let path = spool.path().to_owned();
        let mut follower = SpoolFollower::start(path.clone(), Position::START).unwrap();
        let mut first = AgentLog::start(path.clone(), 1, 0).unwrap();
        first.line("one").unwrap();
        let (segment, sequence) = first.next();
        let mut second = AgentLog::start(path.clone(), segment, sequence).unwrap();
        second.line("two").unwrap();
        follower.finish();
        let text = text(&mut follower).await;
        assert!(
            text.find("one").unwrap() < text.find("two").unwrap(),
            "{text}"
        );
        assert!(
            !path.join(segment_name(1)).exists(),
            "a segment that was read is removed"
        );
    }

    #[tokio::test]
    async fn a_record_that_was_cut_by_the_writers_death_is_left_out() {
        let spool = tempfile::tempdir().unwrap();
        let mut log = AgentLog::start(spool.path().to_owned(), 1, 0).unwrap();
        log.line("whole").unwrap();
        let segment = spool.path().join(segment_name(1));
        let mut bytes = fs::read(&segment).unwrap();
        bytes.extend_from_slice(&bytes.clone()[..10]);
        fs::write(&segment, bytes).unwrap();
        let mut follower = SpoolFollower::start(spool.path().to_owned(), Position::START).unwrap();
        follower.finish();
        assert_eq!(text(&mut follower).await.lines().count(), 1);
    }
}
