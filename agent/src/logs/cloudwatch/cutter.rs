//! Cuts the records of a spool into log events: one a line, with the place at which a reader goes
//! on after it.
//!
//! What comes out depends on the bytes and on where they start only, not on how they arrive: a
//! reader that starts again at the end of an event makes the very same events from there.

use std::collections::VecDeque;

use executor::protocol::spool::{HEADER_BYTES, Position};

/// Largest message, in bytes of UTF-8: 256 KiB less what every event costs. The service takes 1 MiB
/// today, and took this much before; so do the consumers behind it.
pub(super) const MESSAGE_LIMIT_BYTES: usize = 256 * 1024 - 26;

/// Longest encoding of a character, in bytes.
const LONGEST_CHARACTER_BYTES: usize = 4;

/// One log event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogEvent {
    /// When its last byte was written, in milliseconds since 1970 UTC.
    pub(super) time_millis: i64,
    /// The line with its `\n`, or a piece of one that is longer than an event may be.
    pub(super) message: String,
    /// Where a reader goes on after it.
    pub(super) end: Place,
}

/// A place in the log: a record, and how much of its body is passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Place {
    /// The record.
    #[serde(flatten)]
    pub(super) position: Position,
    /// Bytes of its body that are passed.
    pub(super) skip: usize,
}

impl Place {
    /// Before the first byte of a log.
    pub(super) const START: Self = Self {
        position: Position::START,
        skip: 0,
    };
}

/// Makes events out of one record after the other. However many lines a record holds, each is made
/// when it is asked for.
#[derive(Debug)]
pub(super) struct Cutter {
    start: Place,
    record: Option<Current>,
    /// The beginning of a line that came in records before, or of a long one.
    unfinished: Vec<u8>,
    /// Where the bytes of `unfinished` come from.
    spans: VecDeque<Span>,
    /// Whether nothing follows.
    finished: bool,
    time_millis: i64,
}

/// The record that is being cut.
#[derive(Debug)]
struct Current {
    at: Position,
    body: Vec<u8>,
    /// Bytes of the body that are passed.
    passed: usize,
}

/// Bytes of one record that belong to an unfinished line.
#[derive(Debug)]
struct Span {
    at: Position,
    /// Size of the record's body.
    body: usize,
    /// The first of the bytes.
    start: usize,
    /// One past the last of them.
    end: usize,
}

impl Span {
    fn place(&self, offset: usize) -> Place {
        if offset < self.body {
            return Place {
                position: self.at,
                skip: offset,
            };
        }
        Place {
            position: Position {
                offset: self.at.offset + (HEADER_BYTES + self.body) as u64,
                sequence: self.at.sequence + 1,
                ..self.at
            },
            skip: 0,
        }
    }
}

impl Cutter {
    /// Starts at a place whose record comes first.
    pub(super) fn start(start: Place) -> Self {
        Self {
            start,
            record: None,
            unfinished: Vec::new(),
            spans: VecDeque::new(),
            finished: false,
            time_millis: 0,
        }
    }

    /// Gives the next log record. The one before is cut to its end: [`next`](Self::next) has given
    /// `None`.
    pub(super) fn feed(&mut self, at: Position, time_micros: u64, body: Vec<u8>) {
        self.time_millis = i64::try_from(time_micros / 1000).unwrap_or(i64::MAX);
        let passed = match self.start {
            Place { position, skip } if position == at => skip.min(body.len()),
            _ => 0,
        };
        self.record = Some(Current { at, body, passed });
    }

    /// Says that no record follows: what is left after the last `\n` is the last event.
    pub(super) fn finish(&mut self) {
        self.finished = true;
    }

    /// The next event; `None` if it takes another record.
    pub(super) fn next(&mut self) -> Option<LogEvent> {
        loop {
            if self.holds_an_event() {
                return self.cut();
            }
            let record = self.record.as_mut()?;
            let rest = &record.body[record.passed..];
            if rest.is_empty() {
                self.record = None;
                continue;
            }
            // Not more than what is needed to see where an event ends.
            let most = &rest[..rest
                .len()
                .min(MESSAGE_LIMIT_BYTES + LONGEST_CHARACTER_BYTES)];
            let newline = most.iter().position(|byte| *byte == b'\n');
            let piece = &most[..newline.map_or(most.len(), |at| at + 1)];
            let span = Span {
                at: record.at,
                body: record.body.len(),
                start: record.passed,
                end: record.passed + piece.len(),
            };
            record.passed = span.end;
            if newline.is_some()
                && self.unfinished.is_empty()
                && piece.len() <= MESSAGE_LIMIT_BYTES
                && let Ok(message) = std::str::from_utf8(piece)
            {
                return Some(LogEvent {
                    time_millis: self.time_millis,
                    message: message.to_owned(),
                    end: span.place(span.end),
                });
            }
            self.unfinished.extend_from_slice(piece);
            self.spans.push_back(span);
        }
    }

    /// Whether the unfinished bytes begin with a whole event. As long as a character more might
    /// belong to it, where it ends is not known.
    fn holds_an_event(&self) -> bool {
        self.unfinished.len() >= MESSAGE_LIMIT_BYTES + LONGEST_CHARACTER_BYTES
            || self.unfinished.ends_with(b"\n")
            || (self.finished && self.record.is_none() && !self.unfinished.is_empty())
    }

    /// Takes one event off the unfinished bytes.
    fn cut(&mut self) -> Option<LogEvent> {
        let (message, size) = message(&self.unfinished);
        self.unfinished.drain(..size);
        let mut left = size;
        loop {
            let span = self.spans.front_mut()?;
            let passed = left.min(span.end - span.start);
            span.start += passed;
            left -= passed;
            let end = span.place(span.start);
            if span.start == span.end {
                self.spans.pop_front();
            }
            if left == 0 {
                return Some(LogEvent {
                    time_millis: self.time_millis,
                    message,
                    end,
                });
            }
        }
    }
}

/// The longest message at the beginning of `bytes`, with U+FFFD for what is not UTF-8, and how many
/// bytes it stands for: at least one.
fn message(bytes: &[u8]) -> (String, usize) {
    let mut message = String::new();
    let mut size = 0;
    for chunk in bytes.utf8_chunks() {
        let room = MESSAGE_LIMIT_BYTES - message.len();
        let valid = chunk.valid();
        if valid.len() > room {
            let end = valid.floor_char_boundary(room);
            message.push_str(&valid[..end]);
            return (message, size + end);
        }
        message.push_str(valid);
        size += valid.len();
        if !chunk.invalid().is_empty() {
            if message.len() + char::REPLACEMENT_CHARACTER.len_utf8() > MESSAGE_LIMIT_BYTES {
                break;
            }
            message.push(char::REPLACEMENT_CHARACTER);
            size += chunk.invalid().len();
        }
    }
    (message, size)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Records of these bodies, from the beginning of a spool.
    fn records(bodies: &[Vec<u8>]) -> Vec<(Position, &[u8])> {
        let mut at = Position::START;
        let mut records = Vec::new();
        for body in bodies {
            records.push((at, body.as_slice()));
            at.sequence += 1;
            at.offset += (HEADER_BYTES + body.len()) as u64;
        }
        records
    }

    /// All events from `start` on.
    fn events(bodies: &[Vec<u8>], start: Place) -> Vec<LogEvent> {
        let mut cutter = Cutter::start(start);
        let mut events = Vec::new();
        for (at, body) in records(bodies) {
            if at >= start.position {
                cutter.feed(at, at.sequence * 5_000, body.to_vec());
                events.extend(std::iter::from_fn(|| cutter.next()));
            }
        }
        cutter.finish();
        events.extend(std::iter::from_fn(|| cutter.next()));
        events
    }

    fn messages(bodies: &[Vec<u8>]) -> Vec<String> {
        let events = events(bodies, Place::START);
        events.into_iter().map(|event| event.message).collect()
    }

    #[test]
    fn every_line_is_an_event_that_keeps_its_end() {
        let bodies = [b"one\n\nthr".to_vec(), b"ee\r\nlast".to_vec()];
        assert_eq!(messages(&bodies), ["one\n", "\n", "three\r\n", "last"]);
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        for unit in ["\u{e4}", "\u{20ac}x", "\u{1f980}"] {
            let text = unit.repeat(MESSAGE_LIMIT_BYTES);
            let pieces = messages(&[text.clone().into_bytes(), b"\n".to_vec()]);
            assert!(
                pieces
                    .iter()
                    .all(|piece| piece.len() <= MESSAGE_LIMIT_BYTES && !piece.contains('\u{fffd}'))
            );
            assert_eq!(pieces.concat(), text + "\n");
        }
    }

    #[test]
    fn bytes_that_are_not_utf_8_do_not_make_an_event_too_large() {
        let pieces = messages(&[vec![0xff; MESSAGE_LIMIT_BYTES], b"\n".to_vec()]);
        assert!(
            pieces
                .iter()
                .all(|piece| piece.len() <= MESSAGE_LIMIT_BYTES)
        );
        let characters = pieces.concat().chars().count();
        assert_eq!(characters, MESSAGE_LIMIT_BYTES + 1);
    }

    fn body() -> impl Strategy<Value = Vec<u8>> {
        let long = (0_usize..3, b' '..).prop_map(|(thirds, byte)| {
            vec![byte; MESSAGE_LIMIT_BYTES * thirds / 3 + usize::from(byte)]
        });
        prop_oneof![
            4 => "[a-z\n\u{e4}\u{20ac}\u{1f980}]{0,40}".prop_map(String::into_bytes),
            3 => proptest::collection::vec(any::<u8>(), 1..40),
            1 => long,
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn events_are_the_same_wherever_a_reader_starts_again(
            bodies in proptest::collection::vec(body(), 1..8),
            chosen in any::<prop::sample::Index>(),
        ) {
            let whole = events(&bodies, Place::START);
            let text: String = whole.iter().map(|event| event.message.as_str()).collect();
            let bytes = bodies.concat();
            prop_assert_eq!(text, String::from_utf8_lossy(&bytes));
            prop_assert!(whole.iter().all(|event| event.message.len() <= MESSAGE_LIMIT_BYTES));
            if !whole.is_empty() {
                let index = chosen.index(whole.len());
                prop_assert_eq!(&events(&bodies, whole[index].end), &whole[index + 1..]);
            }
        }

        #[test]
        fn events_are_the_same_however_the_bytes_arrive(
            bytes in proptest::collection::vec(body(), 1..6).prop_map(|bodies| bodies.concat()),
            cut in any::<prop::sample::Index>(),
        ) {
            prop_assume!(!bytes.is_empty());
            let (one, other) = bytes.split_at(cut.index(bytes.len()));
            prop_assert_eq!(messages(&[one.to_vec(), other.to_vec()]), messages(std::slice::from_ref(&bytes)));
        }
    }
}
