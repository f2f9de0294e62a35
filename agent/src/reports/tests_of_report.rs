//! Gathers test cases: counts all, keeps as many as CodeBuild does.

use std::collections::BTreeMap;

use super::Source;
use crate::model::{TestCase, TestStatus, TestSummary};

/// Most cases kept of a report (user guide, "Quotas": test cases per test report).
const MOST_CASES: usize = 500;

/// Longest name, in characters (API, `TestCase`).
const LONGEST_NAME: usize = 1000;

/// Longest message, in characters (API, `TestCase`).
const LONGEST_MESSAGE: usize = 5000;

/// A case as a format gives it.
#[derive(Debug, Default)]
pub(super) struct Case {
    pub(super) prefix: String,
    pub(super) name: String,
    pub(super) suite: String,
    pub(super) status: Option<TestStatus>,
    pub(super) nanoseconds: u64,
    pub(super) message: String,
}

/// The cases of a report.
#[derive(Debug, Default)]
pub struct Tests {
    /// Each with its place among all.
    bad: Vec<(u64, TestCase)>,
    others: Vec<(u64, TestCase)>,
    counts: BTreeMap<TestStatus, u64>,
    total: u64,
    nanoseconds: u64,
}

impl Tests {
    /// Counts a case, and keeps it if there is room.
    pub(super) fn add(&mut self, case: &Case, source: &Source<'_>) {
        let status = case.status.unwrap_or(TestStatus::Unknown);
        let place = self.total;
        self.total += 1;
        *self.counts.entry(status).or_default() += 1;
        self.nanoseconds = self.nanoseconds.saturating_add(case.nanoseconds);
        let kept = match status {
            TestStatus::Failed | TestStatus::Error => &mut self.bad,
            _ => &mut self.others,
        };
        if kept.len() == MOST_CASES {
            return;
        }
        let text = |text: &str, limit| cut(&source.masker.mask(text), limit);
        let case = TestCase {
            test_raw_data_path: source.path.to_owned(),
            prefix: text(&case.prefix, LONGEST_NAME),
            name: text(&case.name, LONGEST_NAME),
            status,
            duration_in_nano_seconds: case.nanoseconds,
            message: text(&case.message, LONGEST_MESSAGE),
            test_suite_name: text(&case.suite, LONGEST_NAME),
        };
        kept.push((place, case));
    }

    /// Counts of all cases.
    pub fn summary(&self) -> TestSummary {
        let count = |status| (status, self.counts.get(&status).copied().unwrap_or(0));
        TestSummary {
            total: self.total,
            status_counts: TestStatus::ALL.map(count).into(),
            duration_in_nano_seconds: self.nanoseconds,
        }
    }

    /// Whether all cases passed or were skipped.
    pub fn have_passed(&self) -> bool {
        let good =
            |status: &TestStatus| matches!(status, TestStatus::Succeeded | TestStatus::Skipped);
        self.counts.keys().all(good)
    }

    /// Whether there are more cases than are kept.
    pub fn is_truncated(&self) -> bool {
        self.total > MOST_CASES as u64
    }

    /// The cases kept: all in their order, or, of too many, those that did not pass first.
    pub fn into_cases(self) -> Vec<TestCase> {
        let truncated = self.is_truncated();
        let mut cases: Vec<(u64, TestCase)> = self.bad.into_iter().chain(self.others).collect();
        cases.truncate(MOST_CASES);
        if !truncated {
            cases.sort_by_key(|(place, _)| *place);
        }
        cases.into_iter().map(|(_, case)| case).collect()
    }
}

fn cut(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

/// Seconds, as a decimal number that may have thousands separated by commas, as nanoseconds; 0 for
/// what is none.
pub(super) fn nanoseconds(seconds: &str) -> u64 {
    let seconds: f64 = seconds.trim().replace(',', "").parse().unwrap_or(0.0);
    let duration = std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default();
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
