//! Versions of runtimes: `3.11`, `corretto17`, and the ranges `3.x` and `latest`.

use std::cmp::Ordering;

/// Whether a wish stands for several versions.
pub(super) fn is_range(wish: &str) -> bool {
    wish == "latest" || wish.strip_suffix(".x").is_some()
}

/// The highest of `known` that a wish allows.
pub(super) fn choose<'v>(wish: &str, known: impl Iterator<Item = &'v str>) -> Option<&'v str> {
    let allowed = |version: &&str| match wish.strip_suffix(".x") {
        _ if wish == "latest" => true,
        Some(major) => {
            *version == major
                || version
                    .strip_prefix(major)
                    .is_some_and(|rest| rest.starts_with('.'))
        }
        None => *version == wish,
    };
    known
        .filter(allowed)
        .max_by(|one, other| compare(one, other))
}

/// Compares two versions by their numbers, in order; equal numbers by their text.
pub(super) fn compare(one: &str, other: &str) -> Ordering {
    numbers(one)
        .cmp(numbers(other))
        .then_with(|| one.cmp(other))
}

fn numbers(version: &str) -> impl Iterator<Item = u64> {
    let digits = version.split(|character: char| !character.is_ascii_digit());
    // A number too large to read is larger than any other.
    digits
        .filter(|digits| !digits.is_empty())
        .map(|digits| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        let mut versions = [
            "1.9",
            "1.20",
            "corretto8",
            "corretto11",
            "3",
            "99999999999999999999",
        ];
        versions.sort_by(|one, other| compare(one, other));
        assert_eq!(
            versions,
            [
                "1.9",
                "1.20",
                "3",
                "corretto8",
                "corretto11",
                "99999999999999999999"
            ]
        );
    }

    #[test]
    fn a_range_takes_whole_components_only() {
        let known = ["1", "1.2", "10.1"];
        assert_eq!(choose("1.x", known.into_iter()), Some("1.2"));
        assert_eq!(choose("10.x", known.into_iter()), Some("10.1"));
        assert_eq!(choose("2.x", known.into_iter()), None);
    }
}
