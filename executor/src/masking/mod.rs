//! Masking: text in, the same text with `***` in place of every secret out.
//!
//! What is hidden: the values given, each line of a value of several lines, common encodings of
//! both ([`Encodings`]), and every AWS access key id (user guide, build specification reference,
//! the notes on `env`). Where secrets overlap, the one that starts first is taken, and of those
//! the longest.

mod encodings;
mod prefilter;
mod stream;

use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, Input, MatchKind};

pub use encodings::Encodings;
use prefilter::Prefilter;
pub use stream::MaskedStream;

/// What stands in the log in place of a secret.
pub const MASK: &str = "***";

/// Values shorter than this are not hidden: they would be found everywhere.
const SHORTEST_VALUE: usize = 4;

/// Lines of a value shorter than this are hidden with the whole value only.
const SHORTEST_LINE: usize = 8;

/// How an AWS access key id starts.
const KEY_ID_PREFIXES: [&str; 2] = ["AKIA", "ASIA"];

/// Length of an AWS access key id, in bytes.
const KEY_ID_BYTES: usize = 20;

/// How much is searched at once where a pattern may start, besides the patterns' own length, in
/// bytes.
const SEARCH_BYTES: usize = 4096;

/// The patterns of too many or too long secrets cannot be compiled.
#[derive(Debug, thiserror::Error)]
#[error("cannot prepare the masking of secrets")]
pub struct MaskingError(#[from] aho_corasick::BuildError);

/// Knows every text that must not appear.
pub struct Masker {
    literals: AhoCorasick,
    prefilter: Option<Prefilter>,
    key_ids: AhoCorasick,
    prefixes: Prefixes,
    longest: usize,
    patterns: BTreeSet<Vec<u8>>,
    encodings: Encodings,
    too_short: usize,
}

/// `Debug` shows no pattern.
impl std::fmt::Debug for Masker {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Masker")
            .field("patterns", &self.literals.patterns_len())
            .finish_non_exhaustive()
    }
}

impl Masker {
    /// Prepares to hide `secrets`. Empty ones are passed over.
    pub fn new<'a>(
        secrets: impl IntoIterator<Item = &'a str>,
        encodings: Encodings,
    ) -> Result<Self, MaskingError> {
        Self::of(BTreeSet::new(), 0, secrets, encodings)
    }

    /// Hides more secrets from now on.
    pub fn hide<'a>(
        &mut self,
        secrets: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), MaskingError> {
        let patterns = self.patterns.clone();
        *self = Self::of(patterns, self.too_short, secrets, self.encodings)?;
        Ok(())
    }

    fn of<'a>(
        mut patterns: BTreeSet<Vec<u8>>,
        mut too_short: usize,
        secrets: impl IntoIterator<Item = &'a str>,
        encodings: Encodings,
    ) -> Result<Self, MaskingError> {
        for value in secrets.into_iter().filter(|value| !value.is_empty()) {
            if value.len() < SHORTEST_VALUE {
                too_short += 1;
            }
            for part in parts(value) {
                encodings.add(part, &mut patterns);
                patterns.insert(part.as_bytes().to_vec());
            }
        }
        patterns.retain(|pattern| pattern.len() >= SHORTEST_VALUE);
        let all: Vec<Vec<u8>> = patterns.iter().cloned().collect();
        let literals = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(&all)?;
        Ok(Self {
            literals,
            key_ids: AhoCorasick::new(KEY_ID_PREFIXES)?,
            prefilter: Prefilter::new(&all),
            longest: all.iter().map(Vec::len).fold(KEY_ID_BYTES, Ord::max),
            prefixes: Prefixes::new(all),
            patterns,
            encodings,
            too_short,
        })
    }

    /// Number of values that are too short to be hidden.
    pub fn too_short(&self) -> usize {
        self.too_short
    }

    /// Masks a whole text.
    pub fn mask(&self, text: &str) -> String {
        let mut masked = Vec::with_capacity(text.len());
        let mut stream = MaskedStream::default();
        stream.push(self, text.as_bytes(), &mut masked);
        stream.finish(self, &mut masked);
        String::from_utf8_lossy(&masked).into_owned()
    }

    fn find_literal(&self, text: &[u8], from: usize) -> Option<Found> {
        let prefilter = self.prefilter.as_ref()?;
        let mut place = prefilter.find(text, from)?;
        loop {
            // Every byte is read by the automaton a bounded number of times, whatever the text.
            let end = text.len().min(place + 2 * self.longest + SEARCH_BYTES);
            let searched_whole = end == text.len();
            let next = match self.literals.find(Input::new(text).span(place..end)) {
                Some(found) if searched_whole || found.start() + self.longest <= end => {
                    return Some(Found {
                        start: found.start(),
                        end: found.end(),
                    });
                }
                // A longer one may start at the same place.
                Some(found) => found.start(),
                None if searched_whole => return None,
                None => end + 1 - self.longest,
            };
            place = prefilter.find(text, next)?;
        }
    }

    fn find_key_id(&self, text: &[u8], from: usize) -> Option<Found> {
        // The search passes over a prefix that overlaps the one before it, as in AKIAKIA: what
        // follows both is the same, so the second starts a key id only if the first does.
        self.key_ids.find_iter(text.get(from..)?).find_map(|found| {
            let start = from + found.start();
            let end = start + KEY_ID_BYTES;
            let id = text.get(start..end)?;
            id.iter()
                .all(|byte| is_key_id_byte(*byte))
                .then_some(Found { start, end })
        })
    }

    /// The first place at `from` or later where a secret may start whose end is not in `text` yet.
    fn first_undecided(&self, text: &[u8], from: usize) -> usize {
        let start = from.max((text.len() + 1).saturating_sub(self.longest));
        (start..text.len())
            .find(|place| self.prefixes.may_go_on(&text[*place..]))
            .unwrap_or(text.len())
    }
}

/// Where a secret stands.
#[derive(Debug, Clone, Copy)]
struct Found {
    start: usize,
    end: usize,
}

/// Finds the secrets of a text one after the other, in time linear in the text's length.
struct Finds<'a> {
    masker: &'a Masker,
    text: &'a [u8],
    literal: Option<Found>,
    key_id: Option<Found>,
}

impl<'a> Finds<'a> {
    fn new(masker: &'a Masker, text: &'a [u8]) -> Self {
        Self {
            masker,
            text,
            literal: masker.find_literal(text, 0),
            key_id: masker.find_key_id(text, 0),
        }
    }

    /// The first secret that starts at `from` or later, of several the longest. `from` must not
    /// be less than at the call before.
    fn next(&mut self, from: usize) -> Option<Found> {
        if self.literal.is_some_and(|found| found.start < from) {
            self.literal = self.masker.find_literal(self.text, from);
        }
        if self.key_id.is_some_and(|found| found.start < from) {
            self.key_id = self.masker.find_key_id(self.text, from);
        }
        [self.literal, self.key_id]
            .into_iter()
            .flatten()
            .min_by_key(|found| (found.start, std::cmp::Reverse(found.end)))
    }
}

/// A value and, where it has several, its lines, as far as they are long enough.
fn parts(value: &str) -> Vec<&str> {
    let trimmed = value.trim_end_matches(['\r', '\n']);
    let mut parts = vec![value, trimmed];
    parts.retain(|part| part.len() >= SHORTEST_VALUE);
    if trimmed.contains('\n') {
        parts.extend(
            trimmed
                .lines()
                .filter(|line| line.chars().count() >= SHORTEST_LINE),
        );
    }
    parts
}

fn is_key_id_byte(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

/// Tells whether a text is the beginning of a pattern.
struct Prefixes {
    /// In order, so that those with a common beginning stand together.
    patterns: Vec<Vec<u8>>,
    /// One bit for each possible pair of first bytes: most places of a text are ruled out by it.
    pairs: Vec<u64>,
}

impl Prefixes {
    fn new(patterns: Vec<Vec<u8>>) -> Self {
        let mut pairs = vec![0; 1 << 10];
        for pattern in &patterns {
            if let [first, second, ..] = pattern[..] {
                let pair = usize::from(first) << 8 | usize::from(second);
                pairs[pair / 64] |= 1_u64 << (pair % 64);
            }
        }
        Self { patterns, pairs }
    }

    /// Whether a longer text that starts with `text` can be a secret.
    fn may_go_on(&self, text: &[u8]) -> bool {
        begins_a_key_id(text) || self.begins_a_pattern(text)
    }

    fn begins_a_pattern(&self, text: &[u8]) -> bool {
        if let [first, second, ..] = *text {
            let pair = usize::from(first) << 8 | usize::from(second);
            if self.pairs[pair / 64] & 1 << (pair % 64) == 0 {
                return false;
            }
        }
        let place = self
            .patterns
            .partition_point(|pattern| pattern.as_slice() <= text);
        self.patterns
            .get(place)
            .is_some_and(|pattern| pattern.starts_with(text))
    }
}

fn begins_a_key_id(text: &[u8]) -> bool {
    text.len() < KEY_ID_BYTES
        && KEY_ID_PREFIXES.iter().any(|prefix| {
            let common = text.len().min(prefix.len());
            prefix.as_bytes()[..common] == text[..common]
                && text[common..].iter().all(|byte| is_key_id_byte(*byte))
        })
}

#[cfg(test)]
mod tests;
