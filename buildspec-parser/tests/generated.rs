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
}

/// What a schema says of the values in a list or of the key of a map; `None` for a key it lacks.
fn inner<'s>(
    whole: &'s serde_json::Value,
    schema: &'s serde_json::Value,
    key: Option<&str>,
) -> Option<&'s serde_json::Value> {
    let referred = |part: &'s serde_json::Value| {
        let name = part["$ref"].as_str()?.strip_prefix("#")?;
        whole.pointer(name)
    };
    let parts = schema["allOf"].as_array().into_iter().flatten();
    let parts = parts.filter_map(referred).chain(referred(schema));
    std::iter::once(schema)
        .chain(parts)
        .find_map(|part| match key {
            None => part.get("items"),
            Some(key) => part["properties"].get(key).or_else(|| {
                part.get("additionalProperties")
                    .filter(|rest| rest.is_object())
            }),
        })
}

/// The path of a key that the schema does not have.
fn unknown_key(
    whole: &serde_json::Value,
    schema: &serde_json::Value,
    value: &serde_yaml::Value,
) -> Option<String> {
    match value {
        serde_yaml::Value::Mapping(entries) => entries.iter().find_map(|(key, value)| {
            let key = serde_yaml::to_string(key).unwrap().trim().to_owned();
            if key.starts_with("x-") || key.starts_with('.') || key == "<<" {
                return None;
            }
            match inner(whole, schema, Some(&key)) {
                Some(schema) => {
                    unknown_key(whole, schema, value).map(|rest| format!("{key}/{rest}"))
                }
                None => Some(key),
            }
        }),
        serde_yaml::Value::Sequence(items) => {
            let schema = inner(whole, schema, None)?;
            items
                .iter()
                .find_map(|item| unknown_key(whole, schema, item))
        }
        _ => None,
    }
}

#[test]
fn the_json_schema_has_every_key_of_a_good_buildspec() {
    let schema: serde_json::Value = serde_json::from_str(&schema()).unwrap();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/specs");
    let mut checked = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_spec = path.extension().is_some_and(|extension| extension == "yml");
        if !is_spec || !name.starts_with("accept-") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let Ok(value) = serde_yaml::from_str(&text) else {
            continue;
        };
        assert_eq!(unknown_key(&schema, &schema, &value), None, "{name}");
        checked += 1;
    }
    assert!(checked > 100, "{checked}");
    let unknown = serde_yaml::from_str("phases: {build: {comands: [x]}}").unwrap();
    assert_eq!(
        unknown_key(&schema, &schema, &unknown).as_deref(),
        Some("phases/build/comands")
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
