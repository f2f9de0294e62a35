//! `VISUALSTUDIOTRX`: `<TestRun>`.

use super::tests_of_report::{Case, nanoseconds};
use super::xml::{Element, XmlFormat};
use super::{Source, Tests};
use crate::model::TestStatus;

/// Takes `<UnitTestResult>` elements. Their names hold the class already: there is no prefix.
pub(super) struct Trx<'a> {
    source: &'a Source<'a>,
    tests: &'a mut Tests,
    case: Option<Case>,
}

impl<'a> Trx<'a> {
    pub(super) fn new(source: &'a Source<'a>, tests: &'a mut Tests) -> Self {
        Self {
            source,
            tests,
            case: None,
        }
    }
}

impl XmlFormat for Trx<'_> {
    const ROOTS: &'static [&'static str] = &["TestRun"];

    fn start(&mut self, element: &Element<'_>) {
        if element.name == "UnitTestResult" {
            self.case = Some(Case {
                name: element.text("testName"),
                status: Some(match element.get("outcome") {
                    Some("Passed") => TestStatus::Succeeded,
                    Some("Failed") => TestStatus::Failed,
                    Some("NotExecuted") => TestStatus::Skipped,
                    Some("Error" | "Timeout" | "Aborted") => TestStatus::Error,
                    _ => TestStatus::Unknown,
                }),
                nanoseconds: clock(element.get("duration").unwrap_or_default()),
                ..Case::default()
            });
        }
    }

    fn end(&mut self, name: &str, text: &str) {
        match name {
            "UnitTestResult" => {
                if let Some(case) = self.case.take() {
                    self.tests.add(&case, self.source);
                }
            }
            "Message" => {
                if let Some(case) = &mut self.case {
                    text.clone_into(&mut case.message);
                }
            }
            _ => {}
        }
    }
}

/// `hours:minutes:seconds` as nanoseconds.
fn clock(text: &str) -> u64 {
    let parts: Vec<u64> = text.split(':').map(nanoseconds).collect();
    let [hours, minutes, seconds] = parts[..] else {
        return 0;
    };
    let minutes = minutes.saturating_add(hours.saturating_mul(60));
    seconds.saturating_add(minutes.saturating_mul(60))
}
