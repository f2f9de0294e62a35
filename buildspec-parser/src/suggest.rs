//! "Did you mean …?": the known word nearest to an unknown one.

/// Longest word for which a neighbour is looked for, in bytes.
const LONGEST_BYTES: usize = 40;

/// The candidate that differs from `word` by a slip of the keyboard, if there is one.
///
/// Case, `_`, `-` and blanks count for nothing; otherwise one change for each three letters is allowed.
pub(crate) fn nearest<'c>(word: &str, candidates: &[&'c str]) -> Option<&'c str> {
    if word.is_empty() || word.len() > LONGEST_BYTES {
        return None;
    }
    let folded = fold(word);
    candidates
        .iter()
        .map(|candidate| (distance(&folded, &fold(candidate)), *candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len().max(3) / 3).min(2))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn fold(word: &str) -> Vec<char> {
    word.chars()
        .filter(|c| !matches!(c, '_' | '-' | ' '))
        .flat_map(char::to_lowercase)
        .collect()
}

/// Number of insertions, removals, replacements and swaps of neighbours that turn `a` into `b`.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = change.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before_last[j - 2] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_found_and_another_word_is_not() {
        let phases = ["install", "pre_build", "build", "post_build"];
        for (word, expected) in [
            ("biuld", Some("build")),
            ("prebuild", Some("pre_build")),
            ("pre-build", Some("pre_build")),
            ("Build", Some("build")),
            ("instal", Some("install")),
            ("artifacts", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, &phases), expected, "{word}");
        }
    }
}
