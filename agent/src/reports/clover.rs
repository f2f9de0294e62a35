//! `CLOVERXML`: `<coverage>` with a `<metrics>` for each file.

use super::xml::{Element, XmlFormat};
use super::{Counts, Coverage, Source};

/// Takes `<file>` elements.
pub(super) struct Clover<'a> {
    source: &'a Source<'a>,
    coverage: &'a mut Coverage,
    file: Option<(String, Counts)>,
}

impl<'a> Clover<'a> {
    pub(super) fn new(source: &'a Source<'a>, coverage: &'a mut Coverage) -> Self {
        Self {
            source,
            coverage,
            file: None,
        }
    }
}

impl XmlFormat for Clover<'_> {
    const ROOTS: &'static [&'static str] = &["coverage"];

    fn start(&mut self, element: &Element<'_>) {
        match (element.name, element.parent) {
            ("file", _) => {
                let path = element.get("path").or(element.get("name"));
                self.file = Some((path.unwrap_or_default().to_owned(), Counts::default()));
            }
            ("metrics", "file") => {
                if let Some((_, counts)) = &mut self.file {
                    let missed = |all, covered| element.count(all).saturating_sub(covered);
                    let lines = element.count("coveredstatements");
                    let branches = element.count("coveredconditionals");
                    *counts = Counts {
                        lines_covered: lines,
                        lines_missed: missed("statements", lines),
                        branches_covered: branches,
                        branches_missed: missed("conditionals", branches),
                    };
                }
            }
            _ => {}
        }
    }

    fn end(&mut self, name: &str, _text: &str) {
        if name == "file"
            && let Some((path, counts)) = self.file.take()
        {
            self.coverage.add(&path, counts, self.source);
        }
    }
}
