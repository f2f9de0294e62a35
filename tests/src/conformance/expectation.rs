//! What a case says has to come out.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The file `case.toml`. What it leaves out has the value of a build that succeeds: every phase
/// entered and `SUCCEEDED`, no context.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// The fact, in one sentence.
    pub fact: String,
    /// Where it is documented: page and section of the CodeBuild user guide or the name of an API
    /// shape; or where it can be seen, for facts that only logs of the service show.
    pub source: String,
    /// Whether the documentation is silent and the fact is what this project holds most likely.
    #[serde(default)]
    pub assumed: bool,
    /// Members of `StartBuild` with which the build is started.
    pub start: Option<toml::Table>,
    /// Status of the build.
    #[serde(default = "succeeded")]
    pub status: String,
    /// Status of the phases that did not succeed.
    #[serde(default)]
    pub phases: BTreeMap<String, String>,
    /// Phases that are not entered.
    #[serde(default)]
    pub skipped: Vec<String>,
    /// Contexts of the phases that have one, as `CODE: message`; `…` at the end stands for any rest.
    #[serde(default)]
    pub contexts: BTreeMap<String, String>,
    /// Lines that the log has in this order, other lines between them; `[Container] ` lines without
    /// their times, source directories as `/codebuild/output/src<n>/src`.
    #[serde(default)]
    pub log: Vec<String>,
    /// Texts that are nowhere in the log.
    #[serde(default)]
    pub not_in_log: Vec<String>,
    /// All that the commands wrote: the lines of the log without `[Container] ` and without empty
    /// ones. Multi-line commands are echoed, so that their further lines count too.
    pub output: Option<Vec<String>>,
    /// All exported variables.
    pub exported: Option<BTreeMap<String, String>>,
    /// All files of the artifacts, with their contents. An archive stands for its entries:
    /// `a.zip/path`, for an executable file `a.zip/path (executable)`; a link has `-> target` as content.
    pub artifacts: Option<BTreeMap<String, String>>,
}

fn succeeded() -> String {
    "SUCCEEDED".to_owned()
}

/// The phases of a build that goes through all of them (user guide, "View build phases").
const PHASES: [&str; 10] = [
    "SUBMITTED",
    "QUEUED",
    "PROVISIONING",
    "DOWNLOAD_SOURCE",
    "INSTALL",
    "PRE_BUILD",
    "BUILD",
    "POST_BUILD",
    "UPLOAD_ARTIFACTS",
    "FINALIZING",
];

impl Expectation {
    /// Every phase that has to be entered, in order, with its status.
    pub fn entered_phases(&self) -> Vec<String> {
        let entered = PHASES
            .into_iter()
            .filter(|phase| !self.skipped.iter().any(|skipped| skipped == phase));
        let line = |phase: &str| {
            format!(
                "{phase} {}",
                self.phases.get(phase).map_or("SUCCEEDED", String::as_str)
            )
        };
        entered.map(line).chain(["COMPLETED".to_owned()]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_case_leaves_out_is_a_good_build() {
        let expectation: Expectation = toml::from_str(
            "fact = 'f'\nsource = 's'\nskipped = ['POST_BUILD']\nphases = { BUILD = 'FAILED' }",
        )
        .unwrap();
        assert_eq!(expectation.status, "SUCCEEDED");
        let phases = expectation.entered_phases();
        assert!(
            phases.contains(&"BUILD FAILED".to_owned())
                && phases.contains(&"INSTALL SUCCEEDED".to_owned())
        );
        assert!(!phases.iter().any(|phase| phase.starts_with("POST_BUILD")));
        assert_eq!(phases.last().map(String::as_str), Some("COMPLETED"));
    }

    #[test]
    fn a_misspelt_expectation_is_an_error() {
        assert!(
            toml::from_str::<Expectation>("fact = 'f'\nsource = 's'\nstatsu = 'FAILED'").is_err()
        );
    }
}
