//! `CUCUMBERJSON`: an array of features.

use std::io::BufRead;

use serde::Deserialize;

use super::tests_of_report::Case;
use super::{ReadError, Source, Tests, json};
use crate::model::TestStatus;

#[derive(Deserialize)]
struct Feature {
    #[serde(default)]
    name: String,
    #[serde(default)]
    elements: Vec<Scenario>,
}

#[derive(Deserialize)]
struct Scenario {
    #[serde(default)]
    name: String,
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    before: Vec<Step>,
    #[serde(default)]
    steps: Vec<Step>,
    #[serde(default)]
    after: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    #[serde(default)]
    result: StepResult,
}

#[derive(Deserialize, Default)]
struct StepResult {
    #[serde(default)]
    status: String,
    /// In nanoseconds; some writers give a fraction.
    #[serde(default)]
    duration: Option<f64>,
    #[serde(default)]
    error_message: Option<String>,
}

/// Takes every scenario as a case; its worst step decides.
pub(super) fn read(
    file: impl BufRead,
    source: &Source<'_>,
    tests: &mut Tests,
) -> Result<(), ReadError> {
    let features: Vec<Feature> = json::read(file)?;
    for feature in &features {
        for scenario in &feature.elements {
            // A background's steps are run, and fail, with each scenario.
            if scenario.kind != "background" {
                tests.add(&case(&feature.name, scenario), source);
            }
        }
    }
    Ok(())
}

fn case(feature: &str, scenario: &Scenario) -> Case {
    let steps = scenario.before.iter().chain(&scenario.steps);
    let steps: Vec<&StepResult> = steps
        .chain(&scenario.after)
        .map(|step| &step.result)
        .collect();
    let has = |status: &str| steps.iter().any(|step| step.status == status);
    let status = if has("failed") {
        TestStatus::Failed
    } else if has("ambiguous") {
        TestStatus::Error
    } else if has("undefined") || has("pending") {
        TestStatus::Unknown
    } else if has("skipped") {
        TestStatus::Skipped
    } else if has("passed") {
        TestStatus::Succeeded
    } else {
        TestStatus::Unknown
    };
    let nanoseconds: f64 = steps.iter().filter_map(|step| step.duration).sum();
    Case {
        prefix: feature.to_owned(),
        name: scenario.name.clone(),
        suite: feature.to_owned(),
        status: Some(status),
        nanoseconds: super::tests_of_report::nanoseconds(&(nanoseconds / 1e9).to_string()),
        message: steps
            .iter()
            .find_map(|step| step.error_message.clone())
            .unwrap_or_default(),
    }
}
