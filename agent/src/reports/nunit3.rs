//! `NUNIT3XML`: `<test-run>` of `NUnit` 3.

use super::tests_of_report::Case;
use super::xml::{Element, XmlFormat};
use super::{Source, Tests};
use crate::model::TestStatus;

/// Takes `<test-case>` elements.
pub(super) struct NUnit3<'a> {
    source: &'a Source<'a>,
    tests: &'a mut Tests,
    suites: Vec<String>,
    case: Option<Case>,
}

impl<'a> NUnit3<'a> {
    pub(super) fn new(source: &'a Source<'a>, tests: &'a mut Tests) -> Self {
        Self {
            source,
            tests,
            suites: Vec::new(),
            case: None,
        }
    }
}

impl XmlFormat for NUnit3<'_> {
    const ROOTS: &'static [&'static str] = &["test-run"];

    fn start(&mut self, element: &Element<'_>) {
        match element.name {
            "test-suite" => self.suites.push(element.text("name")),
            "test-case" => {
                let status = match (element.get("result"), element.get("label")) {
                    (Some("Passed"), _) => TestStatus::Succeeded,
                    (Some("Failed"), Some("Error" | "Cancelled" | "Invalid")) => TestStatus::Error,
                    (Some("Failed"), _) => TestStatus::Failed,
                    (Some("Skipped"), _) => TestStatus::Skipped,
                    _ => TestStatus::Unknown,
                };
                self.case = Some(Case {
                    prefix: element.text("classname"),
                    name: element.text("name"),
                    suite: self.suites.last().cloned().unwrap_or_default(),
                    status: Some(status),
                    nanoseconds: element.seconds("duration"),
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
            // Of a failure, a reason or an assertion: the first one says most.
            "message" => {
                if let Some(case) = &mut self.case
                    && case.message.is_empty()
                {
                    text.clone_into(&mut case.message);
                }
            }
            _ => {}
        }
    }
}
