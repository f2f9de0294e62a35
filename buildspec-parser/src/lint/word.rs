//! How long a word of shell text is: quotes, substitutions, brackets. `None` where that is not sure.

/// Deepest nesting of substitutions that is followed.
const DEEPEST: usize = 16;

/// Length of the word at the beginning of a text.
pub(super) fn word_length(text: &str, depth: usize) -> Option<usize> {
    let mut at = 0;
    while let Some(one) = text[at..].chars().next() {
        let rest = &text[at..];
        at += match one {
            '\\' => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            '\'' => rest[1..].find('\'')? + 2,
            '"' => quoted_length(rest, depth)?,
            '`' => rest[1..].find('`')? + 2,
            '$' if rest.starts_with("$(") || rest.starts_with("${") => {
                bracket_length(&rest[1..], depth)? + 1
            }
            // An array: `NAME=(…)`.
            '(' if text[..at].ends_with('=') => bracket_length(rest, depth)?,
            _ if one.is_whitespace() || matches!(one, ';' | '&' | '|' | '(' | ')' | '<' | '>') => {
                break;
            }
            _ => one.len_utf8(),
        };
    }
    (at > 0).then_some(at)
}

/// Length of the text in double quotes at the beginning, quotes included.
fn quoted_length(text: &str, depth: usize) -> Option<usize> {
    let mut at = 1;
    loop {
        let rest = &text[at..];
        at += match rest.chars().next()? {
            '"' => return Some(at + 1),
            '\\' => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            '$' if rest.starts_with("$(") => bracket_length(&rest[1..], depth)? + 1,
            '`' => rest[1..].find('`')? + 2,
            other => other.len_utf8(),
        };
    }
}

/// Length of the text in round or curly brackets at the beginning, brackets included.
fn bracket_length(text: &str, depth: usize) -> Option<usize> {
    let (open, close) = if text.starts_with('(') {
        ('(', ')')
    } else {
        ('{', '}')
    };
    if depth > DEEPEST {
        return None;
    }
    let (mut at, mut level) = (0, 0usize);
    loop {
        let rest = &text[at..];
        at += match rest.chars().next()? {
            one if one == open => {
                level += 1;
                1
            }
            one if one == close => {
                level -= 1;
                if level == 0 {
                    return Some(at + 1);
                }
                1
            }
            '\\' => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            '\'' if open == '(' => rest[1..].find('\'')? + 2,
            '"' => quoted_length(rest, depth + 1)?,
            other => other.len_utf8(),
        };
    }
}
