//! `JUNITXML`: `<testsuites>` or `<testsuite>`, as written by Ant, Maven, pytest and many others.

use super::tests_of_report::Case;
use super::xml::{Element, XmlFormat};
use super::{Source, Tests};
use crate::model::TestStatus;

/// Takes `<testcase>` elements.
pub(super) struct JUnit<'a> {
    source: &'a Source<'a>,
    tests: &'a mut Tests,
    suites: Vec<String>,
    case: Option<Case>,
}

impl<'a> JUnit<'a> {
    pub(super) fn new(source: &'a Source<'a>, tests: &'a mut Tests) -> Self {
        Self {
            source,
            tests,
            suites: Vec::new(),
            case: None,
        }
    }
}

impl XmlFormat for JUnit<'_> {
    const ROOTS: &'static [&'static str] = &["testsuites", "testsuite"];

    fn start(&mut self, element: &Element<'_>) {
        let status = match element.name {
            "testsuite" => return self.suites.push(element.text("name")),
            "testcase" => {
                self.case = Some(Case {
                    prefix: element.text("classname"),
                    name: element.text("name"),
                    suite: self.suites.last().cloned().unwrap_or_default(),
                    status: Some(TestStatus::Succeeded),
                    nanoseconds: element.seconds("time"),
                    message: String::new(),
                });
                return;
            }
            "failure" => TestStatus::Failed,
            "error" => TestStatus::Error,
            "skipped" => TestStatus::Skipped,
            _ => return,
        };
        // The first outcome is the case's.
        if let Some(case) = &mut self.case
            && case.status == Some(TestStatus::Succeeded)
        {
            case.status = Some(status);
            case.message = element.text("message");
        }
    }

    fn end(&mut self, name: &str, text: &str) {
        match name {
            "testsuite" => drop(self.suites.pop()),
            "testcase" => {
                if let Some(case) = self.case.take() {
                    self.tests.add(&case, self.source);
                }
            }
            "failure" | "error" | "skipped" => {
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
