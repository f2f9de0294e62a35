//! `JACOCOXML`: `<report>` with counters for each source file.

use super::xml::{Element, XmlFormat};
use super::{Counts, Coverage, Source};

/// Takes `<sourcefile>` elements.
pub(super) struct Jacoco<'a> {
    source: &'a Source<'a>,
    coverage: &'a mut Coverage,
    package: String,
    file: Option<(String, Counts)>,
}

impl<'a> Jacoco<'a> {
    pub(super) fn new(source: &'a Source<'a>, coverage: &'a mut Coverage) -> Self {
        Self {
            source,
            coverage,
            package: String::new(),
            file: None,
        }
    }
}

impl XmlFormat for Jacoco<'_> {
    const ROOTS: &'static [&'static str] = &["report"];

    fn start(&mut self, element: &Element<'_>) {
        match (element.name, element.parent) {
            ("package", _) => self.package = element.text("name"),
            ("sourcefile", _) => {
                let path = format!("{}/{}", self.package, element.text("name"));
                self.file = Some((path, Counts::default()));
            }
            ("counter", "sourcefile") => {
                let Some((_, counts)) = &mut self.file else {
                    return;
                };
                let (covered, missed) = (element.count("covered"), element.count("missed"));
                match element.get("type") {
                    Some("LINE") => (counts.lines_covered, counts.lines_missed) = (covered, missed),
                    Some("BRANCH") => {
                        (counts.branches_covered, counts.branches_missed) = (covered, missed);
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn end(&mut self, name: &str, _text: &str) {
        if name == "sourcefile"
            && let Some((path, counts)) = self.file.take()
        {
            self.coverage.add(&path, counts, self.source);
        }
    }
}
