//! Rules that hold for all input.

mod generate;

use buildspec_parser::{Parsed, SourceId, merge, parse, parse_bytes, print};
use proptest::prelude::*;

/// How many inputs each property gets: `PROPTEST_CASES` sets another number for long runs.
fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Every range lies inside its text, on character boundaries.
fn spans_are_inside(parsed: &Parsed, texts: [&str; 2]) {
    let text = |source| {
        if source == SourceId::Patch {
            texts[1]
        } else {
            texts[0]
        }
    };
    for diagnostic in &parsed.diagnostics {
        let edits = diagnostic
            .fix
            .iter()
            .flat_map(|fix| &fix.edits)
            .map(|edit| edit.span);
        for span in std::iter::once(diagnostic.span).chain(edits) {
            assert!(
                text(span.source).get(span.range()).is_some(),
                "{span:?} of {diagnostic:?}"
            );
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        parse_bytes(&bytes);
        spans_are_inside(&parse(&text), [&text, ""]);
    }

    #[test]
    fn spans_of_nearly_yaml_are_inside(text in generate::nearly_yaml(), patch in generate::nearly_yaml()) {
        spans_are_inside(&parse(&text), [&text, ""]);
        spans_are_inside(&merge(&text, &patch), [&text, &patch]);
    }

    #[test]
    fn a_printed_model_reads_back_as_itself(spec in generate::buildspec()) {
        let text = print(&spec);
        let parsed = parse(&text);
        prop_assert_eq!(parsed.buildspec.as_ref(), Some(&spec), "{}", text);
    }

    #[test]
    fn an_empty_patch_changes_nothing(spec in generate::buildspec()) {
        let text = print(&spec);
        prop_assert_eq!(merge(&text, "").buildspec, Some(spec));
    }

    #[test]
    fn serde_yaml_reads_the_same_values(spec in generate::buildspec()) {
        let value: serde_yaml::Value = serde_yaml::from_str(&print(&spec)).unwrap();
        let text = |value: &serde_yaml::Value| value.as_str().unwrap().to_owned();
        for (name, expected) in &spec.env.variables {
            prop_assert_eq!(&text(&value["env"]["variables"][name.value.as_str()]), &expected.value);
        }
        for (name, phase) in spec.phases.iter() {
            let commands = &value["phases"][name.as_str()]["commands"];
            let commands: Vec<String> = commands.as_sequence().into_iter().flatten().map(text).collect();
            let expected: Vec<String> = phase.commands.iter().map(|command| command.value.clone()).collect();
            prop_assert_eq!(commands, expected);
        }
    }
}
