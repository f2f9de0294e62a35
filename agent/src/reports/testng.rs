//! `TESTNGXML`: `<testng-results>`.

use super::tests_of_report::Case;
use super::xml::{Element, XmlFormat};
use super::{Source, Tests};
use crate::model::TestStatus;

/// Takes `<test-method>` elements that are tests, not set-up.
pub(super) struct TestNg<'a> {
    source: &'a Source<'a>,
    tests: &'a mut Tests,
    test: String,
    class: String,
    case: Option<Case>,
}

impl<'a> TestNg<'a> {
    pub(super) fn new(source: &'a Source<'a>, tests: &'a mut Tests) -> Self {
        Self {
            source,
            tests,
            test: String::new(),
            class: String::new(),
            case: None,
        }
    }
}

impl XmlFormat for TestNg<'_> {
    const ROOTS: &'static [&'static str] = &["testng-results"];

    fn start(&mut self, element: &Element<'_>) {
        match element.name {
            "test" => self.test = element.text("name"),
            "class" => self.class = element.text("name"),
            "test-method" if element.get("is-config") != Some("true") => {
                self.case = Some(Case {
                    prefix: self.class.clone(),
                    name: element.text("name"),
                    suite: self.test.clone(),
                    status: Some(match element.get("status") {
                        Some("PASS") => TestStatus::Succeeded,
                        Some("FAIL") => TestStatus::Failed,
                        Some("SKIP") => TestStatus::Skipped,
                        _ => TestStatus::Unknown,
                    }),
                    nanoseconds: element.count("duration-ms").saturating_mul(1_000_000),
                    message: String::new(),
                });
            }
            _ => {}
        }
    }

    fn end(&mut self, name: &str, text: &str) {
        match name {
            "test-method" => {
                if let Some(case) = self.case.take() {
                    self.tests.add(&case, self.source);
                }
            }
            "message" | "full-stacktrace" | "short-stacktrace" => {
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
