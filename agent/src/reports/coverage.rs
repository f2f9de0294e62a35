//! Gathers coverage by file.

use std::collections::BTreeMap;

use super::Source;
use crate::model::{CodeCoverage, CoverageNumbers};

/// Most files kept of a report.
const MOST_FILES: usize = 10_000;

/// Longest path of a file, in characters.
const LONGEST_PATH: usize = 1000;

/// Numbers of covered and missed lines and branches.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Lines covered.
    pub lines_covered: u64,
    /// Lines not covered.
    pub lines_missed: u64,
    /// Branches covered.
    pub branches_covered: u64,
    /// Branches not covered.
    pub branches_missed: u64,
}

impl Counts {
    /// Adds others to these.
    pub(super) fn add(&mut self, other: Self) {
        let add = |sum: &mut u64, number| *sum = sum.saturating_add(number);
        add(&mut self.lines_covered, other.lines_covered);
        add(&mut self.lines_missed, other.lines_missed);
        add(&mut self.branches_covered, other.branches_covered);
        add(&mut self.branches_missed, other.branches_missed);
    }

    /// The same with percentages. Nothing to cover is 0 % of the lines and 100 % of the branches.
    pub fn numbers(self) -> CoverageNumbers {
        CoverageNumbers {
            line_coverage_percentage: percentage(self.lines_covered, self.lines_missed, 0.0),
            lines_covered: self.lines_covered,
            lines_missed: self.lines_missed,
            branch_coverage_percentage: percentage(
                self.branches_covered,
                self.branches_missed,
                100.0,
            ),
            branches_covered: self.branches_covered,
            branches_missed: self.branches_missed,
        }
    }
}

/// A percentage with two decimals.
#[expect(clippy::cast_precision_loss, reason = "two decimals are kept")]
fn percentage(covered: u64, missed: u64, of_nothing: f64) -> f64 {
    let all = covered as f64 + missed as f64;
    if all == 0.0 {
        return of_nothing;
    }
    (covered as f64 / all * 10_000.0).round() / 100.0
}

/// The coverage of a report.
#[derive(Debug, Default)]
pub struct Coverage {
    files: BTreeMap<String, Counts>,
    all: Counts,
    truncated: bool,
}

impl Coverage {
    /// Adds the numbers of a file, or of a part of it.
    pub(super) fn add(&mut self, path: &str, counts: Counts, source: &Source<'_>) {
        self.all.add(counts);
        let path: String = source
            .masker
            .mask(path)
            .chars()
            .take(LONGEST_PATH)
            .collect();
        if let Some(known) = self.files.get_mut(&path) {
            known.add(counts);
        } else if self.files.len() < MOST_FILES {
            self.files.insert(path, counts);
        } else {
            self.truncated = true;
        }
    }

    /// The numbers over all files.
    pub fn summary(&self) -> CoverageNumbers {
        self.all.numbers()
    }

    /// Whether there are more files than are kept.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// The files, by their paths.
    pub fn into_files(self) -> Vec<CodeCoverage> {
        let files = self.files.into_iter();
        files
            .map(|(file_path, counts)| CodeCoverage {
                file_path,
                numbers: counts.numbers(),
            })
            .collect()
    }
}
