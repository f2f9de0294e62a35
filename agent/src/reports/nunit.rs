//! `NUNITXML`: `<test-results>` of `NUnit` 2.

use super::tests_of_report::Case;
use super::xml::{Element, XmlFormat};
use super::{Source, Tests};
use crate::model::TestStatus;

/// Takes `<test-case>` elements.
pub(super) struct NUnit<'a> {
    source: &'a Source<'a>,
    tests: &'a mut Tests,
    suites: Vec<String>,
    case: Option<Case>,
}

impl<'a> NUnit<'a> {
    pub(super) fn new(source: &'a Source<'a>, tests: &'a mut Tests) -> Self {
        Self {
            source,
            tests,
            suites: Vec::new(),
            case: None,
        }
    }
}

impl XmlFormat for NUnit<'_> {
    const ROOTS: &'static [&'static str] = &["test-results"];

    fn start(&mut self, element: &Element<'_>) {
        match element.name {
            "test-suite" => self.suites.push(element.text("name")),
            "test-case" => {
                let suite = self.suites.last().cloned().unwrap_or_default();
                self.case = Some(Case {
                    prefix: suite.clone(),
                    name: element.text("name"),
                    suite,
                    status: Some(status(element)),
                    nanoseconds: element.seconds("time"),
                    message: String::new(),
                });
            }
            _ => {}
        }
    }

    fn end(&mut self, name: &str, text: &str) {
        match name {
            "test-suite" => drop(self.suites.pop()),
            "test-case" => {
                if let Some(case) = self.case.take() {
                    self.tests.add(&case, self.source);
                }
            }
            "message" => {
                if let Some(case) = &mut self.case {
                    text.clone_into(&mut case.message);
                }
            }
            _ => {}
        }
    }
}

/// `result`; the first versions have `executed` and `success` only.
fn status(element: &Element<'_>) -> TestStatus {
    let is = |name, value: &str| {
        element
            .get(name)
            .is_some_and(|found| found.eq_ignore_ascii_case(value))
    };
    match element.get("result") {
        Some("Success") => TestStatus::Succeeded,
        Some("Failure") => TestStatus::Failed,
        Some("Error" | "Cancelled" | "NotRunnable") => TestStatus::Error,
        Some("Ignored" | "Skipped") => TestStatus::Skipped,
        None if is("executed", "false") => TestStatus::Skipped,
        None if is("success", "true") => TestStatus::Succeeded,
        None if is("success", "false") => TestStatus::Failed,
        _ => TestStatus::Unknown,
    }
}
