//! Which files the patterns of an artifact take.
//!
//! The rules are those of the buildspec reference, `artifacts/files`, `base-directory` and
//! `exclude-paths`: `*` and `?` stand for characters inside one name, `**` as a whole component
//! for any number of directories; names that start with a dot are like all others. Not
//! documented and decided here: `[…]` works, braces are ordinary characters, and `**` next to
//! other characters is a `*`.

use std::path::Path;

use globset::{GlobBuilder, GlobMatcher};

/// Why a pattern takes no file at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It leads out of the base directory, by `..` or as an absolute path elsewhere.
    #[error("the pattern leads out of the base directory")]
    Outside,
    /// Its brackets do not fit together.
    #[error("the pattern cannot be read: {0}")]
    Malformed(String),
}

/// One entry of `files` or `exclude-paths`, relative to the base directory.
#[derive(Debug, Clone)]
pub enum Pattern {
    /// The path of one file.
    Literal(String),
    /// Any file that matches.
    Glob(FileGlob),
}

impl Pattern {
    /// Reads an entry. `base` is the absolute path of the base directory: an absolute entry is
    /// taken when it lies below it.
    pub fn new(entry: &str, base: &str) -> Result<Self, PatternError> {
        let relative = match entry.strip_prefix('/') {
            None => entry,
            Some(_) => entry
                .strip_prefix(base.trim_end_matches('/'))
                .and_then(|rest| rest.strip_prefix('/'))
                .ok_or(PatternError::Outside)?,
        };
        let components: Vec<&str> = relative
            .split('/')
            .filter(|component| !matches!(*component, "" | "."))
            .collect();
        if components.contains(&"..") {
            return Err(PatternError::Outside);
        }
        if is_glob(relative) {
            FileGlob::new(&components).map(Self::Glob)
        } else {
            Ok(Self::Literal(components.join("/")))
        }
    }

    /// Whether a file at `path`, relative to the base directory, is taken.
    pub fn is_match(&self, path: &Path) -> bool {
        match self {
            Self::Literal(literal) => path == Path::new(literal),
            Self::Glob(glob) => glob.is_match(path),
        }
    }
}

/// Whether a text is a pattern rather than a path.
pub fn is_glob(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// A pattern that can match several files.
#[derive(Debug, Clone)]
pub struct FileGlob {
    matcher: GlobMatcher,
    directory: String,
    depth: Option<usize>,
}

impl FileGlob {
    fn new(components: &[&str]) -> Result<Self, PatternError> {
        let literal = components
            .iter()
            .take_while(|component| !is_glob(component))
            .count();
        let text: Vec<String> = components.iter().map(|text| component(text)).collect();
        let matcher = GlobBuilder::new(&text.join("/"))
            .literal_separator(true)
            .backslash_escape(true)
            .build()
            .map_err(|error| PatternError::Malformed(error.kind().to_string()))?
            .compile_matcher();
        let depth = components.len() - literal;
        Ok(Self {
            matcher,
            directory: components[..literal].join("/"),
            depth: (!components.contains(&"**")).then_some(depth),
        })
    }

    /// The directory below which every match lies, relative to the base; empty for the base.
    pub fn directory(&self) -> &str {
        &self.directory
    }

    /// How many levels below [`directory`](Self::directory) a match can lie; none for any.
    pub fn depth(&self) -> Option<usize> {
        self.depth
    }

    /// Whether a file at `path`, relative to the base directory, is taken.
    pub fn is_match(&self, path: &Path) -> bool {
        self.matcher.is_match(path)
    }
}

/// A component in the matcher's language.
fn component(text: &str) -> String {
    if text == "**" {
        return text.to_owned();
    }
    let mut written = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '*' if written.ends_with('*') => {}
            '{' | '}' => {
                written.push('[');
                written.push(character);
                written.push(']');
            }
            _ => written.push(character),
        }
    }
    written
}

/// The names of the variables that `$NAME` and `${NAME}` in `text` stand for, in order.
pub fn variables(text: &str) -> Vec<&str> {
    pieces(text)
        .filter_map(|piece| match piece {
            Piece::Variable(name) => Some(name),
            Piece::Text(_) => None,
        })
        .collect()
}

/// `text` with every `$NAME` and `${NAME}` replaced by what `value` gives; unset ones by nothing.
pub fn expand<'a>(text: &str, value: impl Fn(&str) -> Option<&'a str>) -> String {
    pieces(text)
        .map(|piece| match piece {
            Piece::Variable(name) => value(name).unwrap_or_default(),
            Piece::Text(text) => text,
        })
        .collect::<Vec<_>>()
        .concat()
}

enum Piece<'a> {
    Text(&'a str),
    Variable(&'a str),
}

/// Cuts a text at its variables.
fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some((name, after)) = variable(rest) {
            rest = after;
            return Some(Piece::Variable(name));
        }
        // A `$` that starts no variable is text.
        let end = rest
            .char_indices()
            .skip(1)
            .find(|(_, character)| *character == '$')
            .map_or(rest.len(), |(place, _)| place);
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(Piece::Text(piece))
    })
}

/// The variable at the start of `text`, and what comes after it.
fn variable(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_prefix('$')?;
    let (braced, text) = match text.strip_prefix('{') {
        Some(inside) => (true, inside),
        None => (false, text),
    };
    let end = text
        .find(|character: char| !(character.is_ascii_alphanumeric() || character == '_'))
        .unwrap_or(text.len());
    let (name, after) = text.split_at(end);
    if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let after = if braced {
        after.strip_prefix('}')?
    } else {
        after
    };
    Some((name, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_match(pattern: &str, path: &str) -> bool {
        Pattern::new(pattern, "/src")
            .unwrap()
            .is_match(Path::new(path))
    }

    #[test]
    fn patterns_take_the_files_the_reference_says() {
        for (pattern, taken, left) in [
            ("a.jar", "a.jar", "b/a.jar"),
            ("./d//a.jar", "d/a.jar", "a.jar"),
            ("/src/d/a.jar", "d/a.jar", "a.jar"),
            ("d/*", "d/a", "d/e/a"),
            ("d/*", "d/.hidden", "d"),
            ("d/**/*", "d/a", "a"),
            ("d/**/*", "d/e/f/a", "e/a"),
            ("**/*.*", "a.b", "ab"),
            ("**/c*", ".git/config", "src/main"),
            ("**/.*/**/*", ".git/config", "src/main"),
            ("**/.*", "a/.env", "a/env"),
            ("*/f3.txt", "sub/f3.txt", "f3.txt"),
            ("**.txt", "a.txt", "b/a.txt"),
            ("b**/x", "big/x", "big/a/x"),
            ("a?.[ch]", "ab.c", "ab.o"),
            ("{a,b}*", "{a,b}c", "ac"),
            ("/src/**/*.log", "x/y.log", "x/y.txt"),
        ] {
            assert!(is_match(pattern, taken), "{pattern} takes {taken}");
            assert!(!is_match(pattern, left), "{pattern} leaves {left}");
        }
    }

    #[test]
    fn patterns_that_lead_outside_are_refused() {
        for pattern in [
            "../a",
            "a/../../b/*",
            "/etc/*",
            "/srcx/a",
            "/src/../etc/passwd",
        ] {
            assert_eq!(
                Pattern::new(pattern, "/src").unwrap_err(),
                PatternError::Outside,
                "{pattern}"
            );
        }
        assert!(matches!(
            Pattern::new("a[", "/src"),
            Err(PatternError::Malformed(_))
        ));
    }

    #[test]
    fn a_glob_says_where_its_matches_can_lie() {
        for (pattern, directory, depth) in [
            ("a/b/*.o", "a/b", Some(1)),
            ("*/x", "", Some(2)),
            ("a/**/*", "a", None),
        ] {
            let Pattern::Glob(glob) = Pattern::new(pattern, "/src").unwrap() else {
                panic!("{pattern} is a glob");
            };
            assert_eq!(
                (glob.directory(), glob.depth()),
                (directory, depth),
                "{pattern}"
            );
        }
    }

    #[test]
    fn variables_are_found_and_replaced() {
        let value = |name: &str| match name {
            "A" => Some("1"),
            "A_b" => Some("2"),
            _ => None,
        };
        for (text, expected) in [
            ("$A/${A_b}/$A_b.x", "1/2/2.x"),
            ("${A}b$UNSET", "1b"),
            ("$ $1 ${A $$A é$A", "$ $1 ${A $1 é1"),
            ("", ""),
        ] {
            assert_eq!(expand(text, value), expected, "{text}");
        }
        assert_eq!(variables("a$X${Y}$"), ["X", "Y"]);
    }
}
