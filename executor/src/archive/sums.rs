//! A writer that computes the sums of what passes through it, beside the writing.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use executor::protocol::ArchiveSums;
use md5::Md5;
use sha2::{Digest, Sha256};

use crate::digest::hexadecimal;

/// How much is handed on at a time, in bytes.
const PIECE_BYTES: usize = 256 * 1024;

/// Pieces that may wait for a sum; with more, the writer waits.
const WAITING_PIECES: usize = 8;

/// Writes to a file and sums it up, each sum in a thread of its own.
#[derive(Debug)]
pub(super) struct SummingWriter {
    file: File,
    piece: Vec<u8>,
    written: u64,
    sha256: Summer,
    md5: Summer,
}

impl SummingWriter {
    pub(super) fn new(file: File) -> io::Result<Self> {
        Ok(Self {
            file,
            piece: Vec::with_capacity(PIECE_BYTES),
            written: 0,
            sha256: Summer::start::<Sha256>("sha256")?,
            md5: Summer::start::<Md5>("md5")?,
        })
    }

    /// Writes what is left and gives the sums.
    pub(super) fn finish(mut self) -> io::Result<ArchiveSums> {
        self.hand_on()?;
        Ok(ArchiveSums {
            bytes: self.written,
            sha256: self.sha256.finish()?,
            md5: self.md5.finish()?,
        })
    }

    fn hand_on(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES));
        let piece = Arc::new(piece);
        self.sha256.take(&piece)?;
        self.md5.take(&piece)?;
        self.written += piece.len() as u64;
        self.file.write_all(&piece)
    }
}

impl Write for SummingWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE_BYTES - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        if self.piece.len() == PIECE_BYTES {
            self.hand_on()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One sum.
#[derive(Debug)]
struct Summer {
    pieces: SyncSender<Arc<Vec<u8>>>,
    thread: JoinHandle<String>,
}

impl Summer {
    fn start<D: Digest>(name: &str) -> io::Result<Self> {
        let (pieces, received) = sync_channel::<Arc<Vec<u8>>>(WAITING_PIECES);
        let sum = move || {
            let mut digest = D::new();
            for piece in received {
                digest.update(piece.as_slice());
            }
            hexadecimal(&digest.finalize())
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(sum)?;
        Ok(Self { pieces, thread })
    }

    fn take(&self, piece: &Arc<Vec<u8>>) -> io::Result<()> {
        self.pieces
            .send(Arc::clone(piece))
            .map_err(|_| io::Error::other("a sum's thread has ended"))
    }

    fn finish(self) -> io::Result<String> {
        drop(self.pieces);
        self.thread
            .join()
            .map_err(|_| io::Error::other("a sum's thread has ended"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_are_those_of_the_whole() {
        let path = tempfile::NamedTempFile::new().unwrap();
        let mut writer = SummingWriter::new(path.reopen().unwrap()).unwrap();
        writer.write_all(&vec![b'x'; PIECE_BYTES * 2 + 3]).unwrap();
        let sums = writer.finish().unwrap();
        assert_eq!(sums.bytes, PIECE_BYTES as u64 * 2 + 3);
        assert_eq!(path.as_file().metadata().unwrap().len(), sums.bytes);
        let mut whole = Sha256::new();
        whole.update(vec![b'x'; PIECE_BYTES * 2 + 3]);
        assert_eq!(sums.sha256, hexadecimal(&whole.finalize()));
        // As `md5sum` says of nothing.
        let empty = SummingWriter::new(tempfile::tempfile().unwrap()).unwrap();
        assert_eq!(
            empty.finish().unwrap().md5,
            "d41d8cd98f00b204e9800998ecf8427e"
        );
    }
}
