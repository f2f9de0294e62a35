//! Passes over text in which no secret can start, several bytes at a step.
//!
//! A build's log holds few secrets and hundreds of megabytes of other text. The automaton that
//! finds them reads every byte; this looks at the last bytes of a window as long as the shortest
//! pattern, and moves it on as far as no pattern can fit (the method of Wu and Manber).

/// Longest window, in bytes: what fits into one number.
const LONGEST_WINDOW: usize = 16;

/// Bytes at the end of the window that are looked at.
const BLOCK: usize = 3;

/// Finds the places where a pattern may start.
#[derive(Debug)]
pub(super) struct Prefilter {
    window: usize,
    /// How far the window may move, for each hash of its last bytes.
    shifts: Vec<u8>,
    /// What patterns start with, in order.
    beginnings: Vec<u128>,
}

impl Prefilter {
    /// Prepares to look for patterns of at least [`BLOCK`] bytes; none if there are none.
    pub(super) fn new(patterns: &[Vec<u8>]) -> Option<Self> {
        let shortest = patterns.iter().map(Vec::len).min()?;
        let window = shortest.min(LONGEST_WINDOW);
        let longest_shift = u8::try_from(window.checked_sub(BLOCK)? + 1).ok()?;
        let mut shifts = vec![longest_shift; 1 << 16];
        for pattern in patterns {
            for (place, block) in pattern[..window].windows(BLOCK).enumerate() {
                let shift = &mut shifts[hash([block[0], block[1], block[2]])];
                let distance = window - BLOCK - place;
                *shift = (*shift).min(u8::try_from(distance).unwrap_or(longest_shift));
            }
        }
        let mut beginnings: Vec<u128> = patterns
            .iter()
            .map(|pattern| number(&pattern[..window]))
            .collect();
        beginnings.sort_unstable();
        beginnings.dedup();
        Some(Self {
            window,
            shifts,
            beginnings,
        })
    }

    /// The first place at `from` or later where the beginning of a pattern stands.
    pub(super) fn find(&self, text: &[u8], from: usize) -> Option<usize> {
        let mut rest = text.get(from..)?;
        while let Some(window) = rest.get(..self.window) {
            let shift = self.shifts[hash(*window.last_chunk()?)];
            if shift > 0 {
                rest = rest.get(usize::from(shift)..)?;
                continue;
            }
            if self.beginnings.binary_search(&number(window)).is_ok() {
                return Some(text.len() - rest.len());
            }
            rest = &rest[1..];
        }
        None
    }
}

fn hash([first, second, third]: [u8; BLOCK]) -> usize {
    let bits = u32::from_le_bytes([first, second, third, 0]);
    // Knuth's multiplier; the upper half is the well mixed one.
    (bits.wrapping_mul(0x9E37_79B1) >> 16) as usize
}

fn number(bytes: &[u8]) -> u128 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u128::from(*byte))
}
