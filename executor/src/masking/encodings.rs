//! Other ways to write a secret.

use std::collections::BTreeSet;
use std::fmt::Write as _;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 without the first characters, which depend on what stands before, can become as short
/// as this before it is no longer looked for, in bytes.
const SHORTEST_BASE64: usize = 4;

/// Longest value whose encodings are looked for, in bytes. Every one is a further pattern.
const LONGEST_VALUE: usize = 16 * 1024;

/// Whether the common encodings of a secret are hidden with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encodings {
    /// Only the value as it is.
    Plain,
    /// Also base64 (standard and URL alphabet, at any place of a longer text), URL encoding, JSON
    /// strings, and the quoting of shells.
    Common,
}

impl Encodings {
    /// Adds the encodings of `value`.
    pub(super) fn add(self, value: &str, patterns: &mut BTreeSet<Vec<u8>>) {
        if self == Self::Plain || value.len() > LONGEST_VALUE {
            return;
        }
        for base64 in base64_forms(value.as_bytes()) {
            let url = base64.replace('+', "-").replace('/', "_");
            patterns.extend([base64.into_bytes(), url.into_bytes()]);
        }
        let texts = [url(value, "%20"), url(value, "+")]
            .into_iter()
            .chain(json_forms(value))
            .chain(shell_forms(value));
        for text in texts {
            patterns.insert(text.to_ascii_lowercase_escapes().into_bytes());
            patterns.insert(text.into_bytes());
        }
    }
}

/// Hexadecimal escapes are written in both cases: `%2F` and `%2f`, `\u00E4` and `\u00e4`.
trait LowercaseEscapes {
    fn to_ascii_lowercase_escapes(&self) -> String;
}

impl LowercaseEscapes for String {
    fn to_ascii_lowercase_escapes(&self) -> String {
        let mut lower = Self::with_capacity(self.len());
        let mut escaped = 0_u32;
        for character in self.chars() {
            match character {
                '%' => escaped = 3,
                'u' if lower.ends_with('\\') => escaped = 5,
                _ => {}
            }
            lower.push(if escaped > 0 {
                character.to_ascii_lowercase()
            } else {
                character
            });
            escaped = escaped.saturating_sub(1);
        }
        lower
    }
}

/// Base64 of `value` by itself (also with the newline that `echo` adds), and what is left of it
/// wherever `value` stands in a longer encoded text.
fn base64_forms(value: &[u8]) -> Vec<String> {
    let with_newline = [value, b"\n"].concat();
    let mut forms = vec![base64(value), base64(&with_newline)];
    for before in 0..3 {
        let shifted = [&[0; 2][..before], value].concat();
        let encoded = base64(&shifted);
        let first = (before * 8).div_ceil(6);
        let last = shifted.len() * 8 / 6;
        if last >= first + SHORTEST_BASE64 {
            forms.push(encoded[first..last].to_owned());
        }
    }
    forms
}

pub(super) fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0_usize, |bits, index| {
            bits << 8 | usize::from(group.get(index).copied().unwrap_or(0))
        });
        for index in 0..4 {
            let sextet = bits >> (18 - 6 * index) & 63;
            let is_padding = index > group.len();
            text.push(if is_padding {
                '='
            } else {
                char::from(ALPHABET[sextet])
            });
        }
    }
    text
}

fn url(value: &str, space: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte));
            }
            b' ' => text.push_str(space),
            _ => push_formatted(&mut text, format_args!("%{byte:02X}")),
        }
    }
    text
}

/// The inside of a JSON string: as short as possible, with `/` escaped, and in ASCII only.
fn json_forms(value: &str) -> [String; 3] {
    let quoted = serde_json::Value::from(value).to_string();
    let plain = quoted[1..quoted.len() - 1].to_owned();
    let mut ascii = String::with_capacity(plain.len());
    for character in plain.chars() {
        if character.is_ascii() {
            ascii.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                push_formatted(&mut ascii, format_args!("\\u{unit:04X}"));
            }
        }
    }
    [plain.replace('/', "\\/"), plain, ascii]
}

/// Inside single quotes in both usual ways, inside double quotes, and with backslashes.
fn shell_forms(value: &str) -> [String; 4] {
    [
        value.replace('\'', r"'\''"),
        value.replace('\'', r#"'"'"'"#),
        backslashed(value, |character| {
            matches!(character, '"' | '$' | '`' | '\\')
        }),
        backslashed(value, |character| {
            character.is_ascii()
                && !character.is_ascii_alphanumeric()
                && !"-_./:@%+,=".contains(character)
        }),
    ]
}

fn backslashed(value: &str, needs_backslash: impl Fn(char) -> bool) -> String {
    let mut text = String::with_capacity(value.len());
    for character in value.chars() {
        if needs_backslash(character) {
            text.push('\\');
        }
        text.push(character);
    }
    text
}

fn push_formatted(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = text.write_fmt(arguments);
}
