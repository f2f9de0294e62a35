//! A stream compressed by all processors: blocks that are compressed by themselves, one after the other, which
//! together are a file that `gzip` reads.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Scope};

use flate2::Compression;
use flate2::write::GzEncoder;

/// Size of a block before compression.
const BLOCK_BYTES: usize = 1024 * 1024;

/// Blocks that may be compressed, or wait to be written, for each thread.
const AHEAD_PER_THREAD: usize = 2;

type Compressed = io::Result<Vec<u8>>;

struct Job {
    block: Vec<u8>,
    done: SyncSender<Compressed>,
}

/// Compresses what is written to it. [`finish`](Self::finish) has to be called at the end.
#[derive(Debug)]
pub(super) struct ParallelGzip<W> {
    target: W,
    block: Vec<u8>,
    jobs: SyncSender<Job>,
    ahead: VecDeque<Receiver<Compressed>>,
    most_ahead: usize,
}

/// Where the threads take their work from.
pub(super) struct Jobs(Mutex<Receiver<Job>>);

impl Jobs {
    fn compress_all(&self) {
        loop {
            // A poisoned lock means that another thread panicked in `recv`, which leaves nothing half done.
            let job = self.0.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(Job { block, done }) = job else { return };
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            let compressed = encoder.write_all(&block).and_then(|()| encoder.finish());
            // Nobody waits for the answer if the stream was given up.
            drop(done.send(compressed));
        }
    }
}

/// The way to the threads.
pub(super) struct JobSender(SyncSender<Job>);

/// Makes what a [`ParallelGzip`] and its threads share. The sender goes with the stream: threads end when
/// it is gone.
pub(super) fn jobs() -> (JobSender, Jobs) {
    let (sender, receiver) = sync_channel(thread_count() * AHEAD_PER_THREAD);
    (JobSender(sender), Jobs(Mutex::new(receiver)))
}

impl<W: Write> ParallelGzip<W> {
    /// Starts the threads.
    pub(super) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        sender: JobSender,
        jobs: &'scope Jobs,
        target: W,
    ) -> Self {
        for _ in 0..thread_count() {
            scope.spawn(|| jobs.compress_all());
        }
        Self {
            target,
            block: Vec::with_capacity(BLOCK_BYTES),
            jobs: sender.0,
            ahead: VecDeque::new(),
            most_ahead: thread_count() * AHEAD_PER_THREAD,
        }
    }

    /// Writes all that is left.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.submit()?;
        while !self.ahead.is_empty() {
            self.write_next()?;
        }
        Ok(self.target)
    }

    fn submit(&mut self) -> io::Result<()> {
        if self.ahead.len() == self.most_ahead {
            self.write_next()?;
        }
        let block = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK_BYTES));
        let (done, compressed) = sync_channel(1);
        let sent = self.jobs.send(Job { block, done });
        sent.map_err(|_| io::Error::other("the compressing threads have ended"))?;
        self.ahead.push_back(compressed);
        Ok(())
    }

    fn write_next(&mut self) -> io::Result<()> {
        let Some(next) = self.ahead.pop_front() else {
            return Ok(());
        };
        let ended = |_| io::Error::other("a compressing thread has ended");
        self.target.write_all(&next.recv().map_err(ended)??)
    }
}

impl<W: Write> Write for ParallelGzip<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(BLOCK_BYTES - self.block.len());
        self.block.extend_from_slice(&bytes[..taken]);
        if self.block.len() == BLOCK_BYTES {
            self.submit()?;
        }
        Ok(taken)
    }

    /// The block that is being filled is written when it is full, or at the end.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn thread_count() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}
