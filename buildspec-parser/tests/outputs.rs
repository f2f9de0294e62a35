//! What programs read: each format's text for a buildspec with an error, a warning, a fix and
//! characters that every format escapes in its own way.
//!
//! `UPDATE_SNAPSHOTS=1` writes the snapshots anew.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of tests that cannot go on says so by failing"
)]

mod snapshot;

use buildspec_parser::lint::{LintConfig, lint};
use buildspec_parser::output::{self, Findings};
use serde_json::Value;

const NAME: &str = "of, 100 %/build spec.yml";
const TEXT: &str = "version: 0.2
phases:
  biuld: # 🦀
    commands:
      - echo é: b
  post_build:
    commnads: []
    commands:
      - |
        npm test
        npm publish
";

fn with_findings<T>(print: impl Fn(Findings<'_>) -> T) -> T {
    let parsed = lint(TEXT, &LintConfig::default());
    print(Findings {
        name: NAME,
        text: TEXT,
        diagnostics: &parsed.diagnostics,
    })
}

fn pretty(json: &str) -> String {
    let value: Value = serde_json::from_str(json).unwrap();
    serde_json::to_string_pretty(&value).unwrap() + "\n"
}

#[test]
fn json_is_as_its_readers_know_it() {
    let json = with_findings(|findings| output::json(&findings));
    assert!(!json.contains('\n'), "one line for each file");
    snapshot::assert_matches("tests/outputs/findings.json", &pretty(&json));
}

#[test]
fn annotations_are_one_line_each() {
    let commands = with_findings(|findings| output::github(&findings));
    for line in commands.lines() {
        let known = ["::error ", "::warning ", "::notice "];
        assert!(known.iter().any(|known| line.starts_with(known)), "{line}");
    }
    snapshot::assert_matches("tests/outputs/findings.github", &commands);
}

/// The results only: the rules are long, and `docs/lint-rules.md` has them already.
#[test]
fn sarif_holds_the_members_that_2_1_0_requires() {
    let sarif = with_findings(|findings| output::sarif(&[findings], "1.2.3"));
    let sarif: Value = serde_json::from_str(&sarif).unwrap();
    assert_eq!(sarif["version"], "2.1.0");
    let [run] = sarif["runs"].as_array().unwrap().as_slice() else {
        panic!("one run");
    };
    let driver = &run["tool"]["driver"];
    assert_eq!(driver["name"], "buildspec-agent");
    let rules = driver["rules"].as_array().unwrap();
    assert!(rules.iter().all(|rule| rule["id"].is_string()));
    for result in run["results"].as_array().unwrap() {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        let place = &result["locations"][0]["physicalLocation"];
        let uri = place["artifactLocation"]["uri"].as_str().unwrap();
        assert!(!uri.contains([' ', ',']), "{uri}");
        let position = |end: &str| {
            let member = |what: &str| place["region"][format!("{end}{what}")].as_u64().unwrap();
            (member("Line"), member("Column"))
        };
        let (start, end) = (position("start"), position("end"));
        assert!(start.0 >= 1 && start.1 >= 1 && start <= end, "{result}");
    }
    let results = pretty(&run["results"].to_string());
    snapshot::assert_matches("tests/outputs/findings.sarif", &results);
}
