//! What goes from a person's terminal to a shell in a build container: keys, and the size of the
//! window. What the shell writes comes back as it is.

/// Most keys of one message, in bytes.
const KEYS_LIMIT: u16 = u16::MAX;

const KEYS: u8 = b'k';
const SIZE: u8 = b's';

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TerminalInput {
    /// What was typed. More than one message can hold becomes several.
    Keys(Vec<u8>),
    /// The window has another size.
    Size(WindowSize),
}

/// Size of a terminal's window, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowSize {
    /// Number of lines.
    pub rows: u16,
    /// Number of columns.
    pub columns: u16,
}

/// A message that is none.
#[derive(Debug, thiserror::Error)]
#[error("not a message of a terminal")]
pub struct TerminalInputError;

impl TerminalInput {
    /// The message as bytes: its kind; for keys their number as 2 little-endian bytes, then they
    /// themselves; for a size two such numbers.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Keys(keys) => keys
                .chunks(usize::from(KEYS_LIMIT))
                .flat_map(|piece| {
                    let length = u16::try_from(piece.len())
                        .unwrap_or(KEYS_LIMIT)
                        .to_le_bytes();
                    [KEYS]
                        .into_iter()
                        .chain(length)
                        .chain(piece.iter().copied())
                })
                .collect(),
            Self::Size(WindowSize { rows, columns }) => [SIZE]
                .into_iter()
                .chain(rows.to_le_bytes())
                .chain(columns.to_le_bytes())
                .collect(),
        }
    }

    /// Takes the first message off `bytes`: the message and its whole size. `None` while it has not
    /// arrived whole.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, TerminalInputError> {
        let Some((kind, rest)) = bytes.split_first() else {
            return Ok(None);
        };
        let Some((first, rest)) = rest.split_first_chunk::<2>() else {
            return Ok(None);
        };
        let first = u16::from_le_bytes(*first);
        let message = match *kind {
            KEYS => rest
                .get(..usize::from(first))
                .map(|keys| (Self::Keys(keys.to_vec()), 3 + keys.len())),
            SIZE => rest.first_chunk::<2>().map(|columns| {
                let size = WindowSize {
                    rows: first,
                    columns: u16::from_le_bytes(*columns),
                };
                (Self::Size(size), 5)
            }),
            _ => return Err(TerminalInputError),
        };
        Ok(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_as_they_were_written_however_they_are_cut() {
        let size = TerminalInput::Size(WindowSize {
            rows: 24,
            columns: 300,
        });
        let keys = TerminalInput::Keys(b"ls\r\x04\xff".to_vec());
        let bytes = [keys.encode(), size.encode()].concat();
        let (first, used) = TerminalInput::decode(&bytes).unwrap().unwrap();
        assert_eq!(first, keys);
        for end in 0..used {
            assert_eq!(TerminalInput::decode(&bytes[..end]).unwrap(), None);
        }
        let (second, _) = TerminalInput::decode(&bytes[used..]).unwrap().unwrap();
        assert_eq!(second, size);
        assert!(TerminalInput::decode(b"x12").is_err());
    }

    #[test]
    fn more_keys_than_fit_one_message_are_several() {
        let typed: Vec<u8> = (0..=255).cycle().take(150_000).collect();
        let bytes = TerminalInput::Keys(typed.clone()).encode();
        let (mut read, mut at) = (Vec::new(), 0);
        while let Some((TerminalInput::Keys(keys), used)) =
            TerminalInput::decode(&bytes[at..]).unwrap()
        {
            read.extend(keys);
            at += used;
        }
        assert_eq!(read, typed);
    }
}
