//! Sums of bytes.

use std::io::{self, Write};

use sha2::Digest;

/// A writer that sums up what is written.
#[derive(Debug)]
pub(crate) struct Hashing<D>(pub(crate) D);

impl<D: Digest> Write for Hashing<D> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes as hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    let digits = |byte: &u8| [usize::from(byte >> 4), usize::from(byte & 15)];
    let places = bytes.iter().flat_map(digits);
    places.map(|place| DIGITS[place]).collect()
}
