//! Reads a JSON file that is not too large to be held in memory.

use std::io::{BufRead, Read};

use serde::de::DeserializeOwned;

use super::ReadError;

/// Largest file, in bytes.
const LARGEST: u64 = 32 * 1024 * 1024;

/// Reads a whole file.
pub(super) fn read<T: DeserializeOwned>(file: impl BufRead) -> Result<T, ReadError> {
    let mut text = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LARGEST {
        return Err(ReadError::Refused("a JSON report is larger than 32 MiB"));
    }
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    Ok(serde_json::from_slice(text)?)
}
