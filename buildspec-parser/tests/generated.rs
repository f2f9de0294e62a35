//! Files of the repository that are generated from the code are current.
//!
//! `UPDATE_SNAPSHOTS=1` writes them anew.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of tests that cannot go on says so by failing"
)]

mod snapshot;

use buildspec_parser::lint::{LintConfig, RULES, lint, page};
use buildspec_parser::{Level, schema};

#[test]
fn the_json_schema_is_current() {
    snapshot::assert_matches("buildspec.schema.json", &schema());
    let schema: serde_json::Value = serde_json::from_str(&schema()).unwrap();
    assert_eq!(
        schema["properties"].as_object().unwrap().len(),
        9,
        "every key of the top level"
    );
}

#[test]
fn the_page_of_the_lint_rules_is_current() {
    snapshot::assert_matches("../docs/lint-rules.md", &page());
}

#[test]
fn every_rule_finds_its_bad_example_and_leaves_the_good_one_alone() {
    for rule in RULES {
        let codes = |text: &str| -> Vec<_> {
            let parsed = lint(text, &LintConfig::default());
            assert!(
                parsed.buildspec.is_some(),
                "{}: {:?}",
                rule.code,
                parsed.diagnostics
            );
            parsed
                .diagnostics
                .iter()
                .map(|diagnostic| diagnostic.code)
                .collect()
        };
        assert_eq!(
            codes(rule.bad)
                .iter()
                .filter(|code| **code == rule.code)
                .count(),
            1,
            "{} bad",
            rule.code
        );
        assert!(!codes(rule.good).contains(&rule.code), "{} good", rule.code);
        assert_ne!(rule.code.level(), Level::Error, "a habit refuses no build");
    }
}
