//! Cuts a stream of bytes into lines.

/// A longer line is cut here, in bytes: the size of a log event that every consumer takes.
const LINE_LIMIT_BYTES: usize = 256 * 1024 - 26;

/// Collects bytes until a line is whole. Lines keep their `\n`.
#[derive(Debug, Default)]
pub(super) struct Lines {
    unfinished: Vec<u8>,
}

impl Lines {
    /// Adds bytes and gives every line that is now whole to `take`, as UTF-8 with U+FFFD for what
    /// is not.
    pub(super) fn push<E>(
        &mut self,
        bytes: &[u8],
        mut take: impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.unfinished.extend_from_slice(piece);
            if piece.ends_with(b"\n") && self.unfinished.len() <= LINE_LIMIT_BYTES {
                take(&String::from_utf8_lossy(&self.unfinished))?;
                self.unfinished.clear();
            } else {
                self.cut_long_line(piece.ends_with(b"\n"), &mut take)?;
            }
        }
        Ok(())
    }

    /// Gives what is left after the last `\n`, if anything.
    pub(super) fn finish<E>(&mut self, take: impl FnOnce(&str) -> Result<(), E>) -> Result<(), E> {
        let rest = std::mem::take(&mut self.unfinished);
        if rest.is_empty() {
            Ok(())
        } else {
            take(&String::from_utf8_lossy(&rest))
        }
    }

    fn cut_long_line<E>(
        &mut self,
        whole: bool,
        take: &mut impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut start = 0;
        while self.unfinished.len() - start > LINE_LIMIT_BYTES {
            let end = character_boundary(&self.unfinished, start + LINE_LIMIT_BYTES);
            take(&String::from_utf8_lossy(&self.unfinished[start..end]))?;
            start = end;
        }
        self.unfinished.drain(..start);
        if whole && !self.unfinished.is_empty() {
            take(&String::from_utf8_lossy(&self.unfinished))?;
            self.unfinished.clear();
        }
        Ok(())
    }
}

/// The last place at or before `end` that is not inside a UTF-8 character; `end` itself in bytes
/// that are not UTF-8.
fn character_boundary(bytes: &[u8], end: usize) -> usize {
    let is_continuation = |place: &usize| bytes.get(*place).is_some_and(|byte| byte & 0xC0 == 0x80);
    (end.saturating_sub(3)..=end)
        .rev()
        .find(|place| !is_continuation(place))
        .unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(chunks: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::default();
        let mut taken = Vec::new();
        for chunk in chunks {
            lines
                .push(chunk, |line| {
                    taken.push(line.to_owned());
                    Ok::<_, ()>(())
                })
                .unwrap();
        }
        lines
            .finish(|line| {
                taken.push(line.to_owned());
                Ok::<_, ()>(())
            })
            .unwrap();
        taken
    }

    #[test]
    fn lines_are_the_same_however_the_bytes_arrive() {
        let text = b"one\n\nthree\r\nfo\xc3\xa4ur";
        let whole = lines_of(&[text]);
        assert_eq!(whole, ["one\n", "\n", "three\r\n", "fo\u{e4}ur"]);
        for cut in 0..text.len() {
            assert_eq!(
                lines_of(&[&text[..cut], &text[cut..]]),
                whole,
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn a_long_line_is_cut_between_characters_and_memory_stays_bounded() {
        let text = "\u{e4}".repeat(LINE_LIMIT_BYTES);
        let pieces = lines_of(&[text.as_bytes(), b"\n"]);
        assert!(
            pieces
                .iter()
                .all(|piece| piece.len() <= LINE_LIMIT_BYTES && !piece.contains('\u{fffd}'))
        );
        assert_eq!(pieces.concat(), text + "\n");
    }
}
