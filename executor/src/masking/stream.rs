//! Masking of a stream that arrives in pieces.

use super::{Finds, MASK, Masker};

/// Masks a stream. Whatever the pieces are, what comes out is the same; a byte is held back only
/// while it may belong to a secret that has not arrived whole.
#[derive(Default)]
pub struct MaskedStream {
    pending: Vec<u8>,
}

/// `Debug` shows no text: it may be half a secret.
impl std::fmt::Debug for MaskedStream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("MaskedStream")
            .field("held_bytes", &self.pending.len())
            .finish()
    }
}

impl MaskedStream {
    /// Takes the next piece and appends to `out` all that is decided by now.
    pub fn push(&mut self, masker: &Masker, bytes: &[u8], out: &mut Vec<u8>) {
        self.pending.extend_from_slice(bytes);
        let mut done = 0;
        let mut undecided = masker.first_undecided(&self.pending, done);
        let mut finds = Finds::new(masker, &self.pending);
        while let Some(found) = finds.next(done).filter(|found| found.start < undecided) {
            out.extend_from_slice(&self.pending[done..found.start]);
            out.extend_from_slice(MASK.as_bytes());
            done = found.end;
            if undecided < done {
                undecided = masker.first_undecided(&self.pending, done);
            }
        }
        out.extend_from_slice(&self.pending[done..undecided]);
        self.pending.drain(..undecided);
    }

    /// Whether bytes are held back.
    pub fn is_holding(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Ends the stream: appends to `out` what was held back.
    pub fn finish(&mut self, masker: &Masker, out: &mut Vec<u8>) {
        let mut done = 0;
        let mut finds = Finds::new(masker, &self.pending);
        while let Some(found) = finds.next(done) {
            out.extend_from_slice(&self.pending[done..found.start]);
            out.extend_from_slice(MASK.as_bytes());
            done = found.end;
        }
        out.extend_from_slice(&self.pending[done..]);
        self.pending.clear();
    }
}
