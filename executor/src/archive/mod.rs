//! ZIP archives: files of the container in, one stream of bytes with its sums out.
//!
//! Small files are compressed by several threads, each into an archive of its own in memory; the
//! writer copies them together in order, and compresses the large files itself. The archive depends
//! on names, contents, modes and times of the files only.

mod entry;
mod sums;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use executor::protocol::ArchiveSums;
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{ZipArchive, ZipWriter};

pub(crate) use self::entry::Content;
use self::entry::Opened;
use self::sums::SummingWriter;

/// Files up to this size are compressed in memory.
const SMALL_BYTES: u64 = 4 * 1024 * 1024;

/// Small files that may be compressed, or wait to be written, at a time: with [`SMALL_BYTES`] it
/// bounds the memory.
const AHEAD: usize = 8;

/// How much of a large file is compressed between two looks around, in bytes.
const STEP_BYTES: usize = 1024 * 1024;

/// Time between two looks around while a small file is waited for.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Why there is no archive. `C` is why packing was cut short.
#[derive(Debug)]
pub(crate) enum PackError<C> {
    /// This file cannot be read.
    File(PathBuf, io::Error),
    /// The archive cannot be written.
    Archive(io::Error),
    /// Somebody wants it to end.
    Cut(C),
}

/// Packs files, each with its path in the archive, in the given order, into `target`. `look` is asked every now
/// and then whether to go on.
pub(crate) fn pack<C>(
    files: &[(PathBuf, Content)],
    target: File,
    look: impl FnMut() -> Result<(), C>,
) -> Result<ArchiveSums, PackError<C>> {
    let writer = SummingWriter::new(target).map_err(PackError::Archive)?;
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let (jobs, waiting) = sync_channel::<Job<'_>>(AHEAD);
    let waiting = Mutex::new(waiting);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| compress_all(&waiting));
        }
        let packer = Packer {
            archive: ZipWriter::new_stream(writer),
            jobs,
            ahead: VecDeque::new(),
            look,
        };
        packer.pack(files)
    })
}

/// A small file that a thread has to compress.
struct Job<'f> {
    name: &'f Path,
    source: &'f Path,
    done: SyncSender<io::Result<Compressed>>,
}

/// What a thread makes of a file.
enum Compressed {
    /// An archive that holds only this file.
    Archive(Vec<u8>),
    /// The file is too large for that.
    Large,
}

/// Compresses until no job is left.
fn compress_all(waiting: &Mutex<Receiver<Job<'_>>>) {
    loop {
        // A poisoned lock means that another thread panicked in `recv`, which leaves nothing half done.
        let job = waiting
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .recv();
        let Ok(job) = job else { return };
        // Nobody waits for the answer if packing was given up.
        drop(job.done.send(compress(job.name, job.source)));
    }
}

fn compress(name: &Path, source: &Path) -> io::Result<Compressed> {
    let mut file = Opened::open(source)?;
    if file.size > SMALL_BYTES {
        return Ok(Compressed::Large);
    }
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    archive.start_file(entry::name(name), file.options)?;
    // A file that grows meanwhile stays small.
    io::copy(&mut (&mut file.file).take(SMALL_BYTES), &mut archive)?;
    Ok(Compressed::Archive(archive.finish()?.into_inner()))
}

struct Packer<'f, L> {
    archive: ZipWriter<StreamWriter<SummingWriter>>,
    jobs: SyncSender<Job<'f>>,
    ahead: VecDeque<Ahead<'f>>,
    look: L,
}

/// An entry whose turn to be written will come.
struct Ahead<'f> {
    name: &'f Path,
    what: What<'f>,
}

enum What<'f> {
    Link(&'f Path),
    File(&'f Path, Receiver<io::Result<Compressed>>),
}

impl<'f, C, L: FnMut() -> Result<(), C>> Packer<'f, L> {
    fn pack(mut self, files: &'f [(PathBuf, Content)]) -> Result<ArchiveSums, PackError<C>> {
        for (name, content) in files {
            if self.ahead.len() == AHEAD {
                self.write_next()?;
            }
            let what = match content {
                Content::Link(target) => What::Link(target),
                Content::File(source) => {
                    let (done, compressed) = sync_channel(1);
                    let job = Job { name, source, done };
                    if self.jobs.send(job).is_err() {
                        let error = io::Error::other("the compressing threads have ended");
                        return Err(PackError::Archive(error));
                    }
                    What::File(source, compressed)
                }
            };
            self.ahead.push_back(Ahead { name, what });
        }
        while !self.ahead.is_empty() {
            self.write_next()?;
        }
        let finished = self.archive.finish().map_err(io::Error::from);
        let writer = finished.map_err(PackError::Archive)?.into_inner();
        writer.finish().map_err(PackError::Archive)
    }

    fn write_next(&mut self) -> Result<(), PackError<C>> {
        let Some(Ahead { name, what }) = self.ahead.pop_front() else {
            return Ok(());
        };
        let (source, compressed) = match what {
            What::Link(target) => {
                let target = target.to_string_lossy();
                let options = SimpleFileOptions::default();
                let added = self.archive.add_symlink(entry::name(name), target, options);
                return added.map_err(|error| PackError::Archive(error.into()));
            }
            What::File(source, compressed) => (source, self.wait(&compressed)?),
        };
        match compressed.map_err(|error| PackError::File(source.to_owned(), error))? {
            Compressed::Archive(bytes) => self.copy(bytes).map_err(PackError::Archive),
            Compressed::Large => self.write_large(name, source),
        }
    }

    fn wait(
        &mut self,
        compressed: &Receiver<io::Result<Compressed>>,
    ) -> Result<io::Result<Compressed>, PackError<C>> {
        loop {
            (self.look)().map_err(PackError::Cut)?;
            match compressed.recv_timeout(LOOK_INTERVAL) {
                Ok(compressed) => return Ok(compressed),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    let error = io::Error::other("a compressing thread has ended");
                    return Err(PackError::Archive(error));
                }
            }
        }
    }

    /// Takes the one entry of an archive over, compressed as it is.
    fn copy(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        let mut archive = ZipArchive::new(Cursor::new(bytes))?;
        let file = archive.by_index_raw(0)?;
        Ok(self.archive.raw_copy_file(file)?)
    }

    fn write_large(&mut self, name: &Path, source: &Path) -> Result<(), PackError<C>> {
        let unreadable = |error| PackError::File(source.to_owned(), error);
        let mut opened = Opened::open(source).map_err(unreadable)?;
        self.archive
            .start_file(entry::name(name), opened.options.large_file(true))
            .map_err(|error| PackError::Archive(error.into()))?;
        let mut step = vec![0; STEP_BYTES];
        loop {
            (self.look)().map_err(PackError::Cut)?;
            let unreadable = |error| PackError::File(source.to_owned(), error);
            match opened.file.read(&mut step).map_err(unreadable)? {
                0 => return Ok(()),
                read => self
                    .archive
                    .write_all(&step[..read])
                    .map_err(PackError::Archive)?,
            }
        }
    }
}

#[cfg(test)]
mod tests;
