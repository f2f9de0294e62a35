//! What masking promises.

use proptest::prelude::*;

use super::*;

fn masker(secrets: &[&str]) -> Masker {
    Masker::new(secrets.iter().copied(), Encodings::Common).unwrap()
}

/// Masks `text` cut before each of `cuts`.
fn masked_in_pieces(masker: &Masker, text: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut stream = MaskedStream::default();
    let mut start = 0;
    for cut in cuts.iter().copied().chain([text.len()]) {
        stream.push(masker, &text[start..cut], &mut out);
        start = cut;
    }
    stream.finish(masker, &mut out);
    out
}

#[test]
fn values_lines_and_key_ids_are_hidden() {
    let masker = masker(&[
        "hunter2",
        "first line\nsecond line\nx\n",
        "abcd",
        "abcdefgh",
    ]);
    for (text, expected) in [
        ("pass hunter2!", "pass ***!"),
        ("hunter2hunter2", "******"),
        ("first line\nsecond line\nx", "***"),
        ("only second line here", "only *** here"),
        ("x\n", "x\n"),
        ("abcdefg abcdefgh", "***efg ***"),
        ("id AKIAIOSFODNN7EXAMPLE.", "id ***."),
        ("ASIAIOSFODNN7EXAMPL", "ASIAIOSFODNN7EXAMPL"),
        ("AKIAASIAIOSFODNN7EXAMPLE", "***MPLE"),
        ("AKIAxASIAIOSFODNN7EXAMPLE", "AKIAx***"),
        ("hunter1", "hunter1"),
    ] {
        assert_eq!(masker.mask(text), expected, "{text}");
    }
}

#[test]
fn short_values_are_counted_and_left() {
    let masker = masker(&["abc", "", "x", "abcd"]);
    assert_eq!(masker.too_short(), 2);
    assert_eq!(masker.mask("abc abcd"), "abc ***");
}

#[test]
fn common_encodings_are_hidden() {
    let secret = "p4ss wörd/'\"$+";
    let masker = masker(&[secret]);
    for text in [
        "p4ss%20w%C3%B6rd%2F%27%22%24%2B",
        "p4ss%20w%c3%b6rd%2f%27%22%24%2b",
        "p4ss+w%C3%B6rd%2F%27%22%24%2B",
        r#"p4ss wörd/'\"$+"#,
        r#"p4ss wörd\/'\"$+"#,
        r#"p4ss w\u00f6rd/'\"$+"#,
        r#"p4ss wörd/'\''"$+"#,
        r#"p4ss wörd/'"'"'"$+"#,
        r#"p4ss wörd/'\"\$+"#,
        r#"p4ss\ wörd/\'\"\$+"#,
        "cDRzcyB3w7ZyZC8nIiQr",
        "cDRzcyB3w7ZyZC8nIiQrCg==",
    ] {
        assert_eq!(masker.mask(text), "***", "{text}");
    }
    assert_eq!(
        Masker::new([secret], Encodings::Plain)
            .unwrap()
            .mask("cDRzcyB3w7ZyZC8nIiQr"),
        "cDRzcyB3w7ZyZC8nIiQr"
    );
}

#[test]
fn base64_is_hidden_wherever_the_secret_stands_in_the_encoded_text() {
    let secret = "correct horse battery";
    let masker = masker(&[secret]);
    for before in ["", "a", "ab", "abc", "abcd"] {
        for after in ["", "y", "yz"] {
            let text = format!("{before}{secret}{after}");
            let encoded = super::encodings::base64(text.as_bytes());
            let out = masker.mask(&encoded);
            assert!(out.contains(MASK), "{before}|{after}: {out}");
            assert!(out.len() <= MASK.len() + 12, "{before}|{after}: {out}");
        }
    }
}

#[test]
fn a_byte_is_held_back_only_while_it_may_begin_a_secret() {
    let masker = masker(&["secret-value"]);
    let mut stream = MaskedStream::default();
    let mut out = Vec::new();
    stream.push(&masker, b"progress: 10% sec", &mut out);
    assert_eq!(out, b"progress: 10% ");
    assert!(stream.is_holding());
    stream.push(&masker, b"onda", &mut out);
    assert_eq!(out, b"progress: 10% seconda");
    assert!(!stream.is_holding());
}

#[test]
fn every_cut_in_two_gives_the_same_as_no_cut() {
    let masker = masker(&["aaab", "aab\naabbaabb\nab", "abab", "bbbbbb"]);
    let text = b"aaaabaab\naabbaabb\nabababbbbbbbAKIAIOSFODNN7EXAMPLEaabAKIAIOSFODNN7EXAM";
    let whole = masked_in_pieces(&masker, text, &[]);
    for first in 0..=text.len() {
        for second in first..=text.len() {
            let pieces = masked_in_pieces(&masker, text, &[first, second]);
            assert_eq!(pieces, whole, "cut at {first} and {second}");
        }
    }
}

proptest! {
    #[test]
    fn any_cut_gives_the_same_as_no_cut(
        secrets in prop::collection::vec("[ab\n]{1,12}", 0..6),
        text in "([ab\n]{0,30}|AKIA[A-C0-9]{14,18}){0,4}",
        cuts in prop::collection::vec(0_usize..200, 0..20),
    ) {
        let masker = Masker::new(secrets.iter().map(String::as_str), Encodings::Plain).unwrap();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
        cuts.sort_unstable();
        let whole = masked_in_pieces(&masker, text.as_bytes(), &[]);
        prop_assert_eq!(masked_in_pieces(&masker, text.as_bytes(), &cuts), whole);
    }

    #[test]
    fn no_secret_is_left_in_what_was_masked(
        secrets in prop::collection::vec("[abc]{4,8}", 1..5),
        text in "[abc]{0,60}",
    ) {
        let masker = Masker::new(secrets.iter().map(String::as_str), Encodings::Plain).unwrap();
        let out = masker.mask(&text);
        for secret in &secrets {
            prop_assert!(!out.contains(secret), "{secret} in {out}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn secrets_are_found_wherever_they_stand_in_a_long_text(
        secrets in prop::collection::vec("[ab]{4,40}", 1..40),
        text in "([abc]{0,80}|a{0,80}|[ab]{20,40}){0,200}",
    ) {
        let masker = Masker::new(secrets.iter().map(String::as_str), Encodings::Plain).unwrap();
        let mut expected = String::new();
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let found = secrets.iter().filter(|secret| rest.starts_with(secret.as_str()));
            let (out, length) = match found.map(String::len).max() {
                Some(length) => (MASK, length),
                None => (&rest[..1], 1),
            };
            expected.push_str(out);
            rest = &rest[length..];
        }
        prop_assert_eq!(masker.mask(&text), expected);
    }
}
