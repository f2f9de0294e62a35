//! Notices a build that calls Docker without having it.

use aho_corasick::AhoCorasick;

/// What Docker's command line says when it finds no daemon: all versions up to 28, and those after.
const WORDS: [&str; 2] = [
    "Cannot connect to the Docker daemon",
    "failed to connect to the docker API",
];

/// Looks for Docker's words in the output, however it is cut into pieces, until they were seen once.
#[derive(Debug)]
pub(crate) struct DockerWatch {
    words: AhoCorasick,
    /// The end of the output so far, which may be the beginning of the words.
    tail: Vec<u8>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Looking,
    Seen,
    Told,
}

impl DockerWatch {
    /// A watch that has seen nothing.
    pub(crate) fn new() -> Option<Self> {
        Some(Self {
            words: AhoCorasick::new(WORDS).ok()?,
            tail: Vec::new(),
            state: State::Looking,
        })
    }

    /// Looks at the next piece of output.
    pub(crate) fn look(&mut self, bytes: &[u8]) {
        if self.state != State::Looking {
            return;
        }
        let keep = WORDS.map(str::len).into_iter().max().unwrap_or(1) - 1;
        let joint = self.tail.len();
        self.tail.extend_from_slice(&bytes[..bytes.len().min(keep)]);
        let is_there = self.words.is_match(&self.tail) || self.words.is_match(bytes);
        if is_there {
            self.state = State::Seen;
            self.tail = Vec::new();
        } else if bytes.len() >= keep {
            self.tail.clear();
            self.tail.extend_from_slice(&bytes[bytes.len() - keep..]);
        } else {
            debug_assert!(joint + bytes.len() == self.tail.len());
            let excess = self.tail.len().saturating_sub(keep);
            self.tail.drain(..excess);
        }
    }

    /// Whether the words were seen and nobody was told yet.
    pub(crate) fn take(&mut self) -> bool {
        let is_news = self.state == State::Seen;
        if is_news {
            self.state = State::Told;
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_found_wherever_the_output_is_cut_and_told_once() {
        let output = b"ERROR: Cannot connect to the Docker daemon at unix:///var/run/docker.sock.";
        for size in 1..output.len() {
            let mut watch = DockerWatch::new().unwrap();
            for piece in output.chunks(size) {
                watch.look(piece);
            }
            assert!(watch.take(), "in pieces of {size}");
            watch.look(output);
            assert!(!watch.take(), "told twice in pieces of {size}");
        }
    }

    #[test]
    fn other_output_is_nothing() {
        let mut watch = DockerWatch::new().unwrap();
        for piece in [
            &b"Cannot connect to the"[..],
            b" network\n",
            b" Docker daemon",
        ] {
            watch.look(piece);
        }
        assert!(!watch.take());
    }
}
