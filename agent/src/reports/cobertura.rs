//! `COBERTURAXML`: `<coverage>` with the lines of each class.

use super::xml::{Element, XmlFormat};
use super::{Counts, Coverage, Source};

/// Takes `<class>` elements; several of them may lie in one file.
pub(super) struct Cobertura<'a> {
    source: &'a Source<'a>,
    coverage: &'a mut Coverage,
    class: Option<(String, Counts)>,
    /// The lines of methods stand a second time among those of their class.
    in_method: bool,
}

impl<'a> Cobertura<'a> {
    pub(super) fn new(source: &'a Source<'a>, coverage: &'a mut Coverage) -> Self {
        Self {
            source,
            coverage,
            class: None,
            in_method: false,
        }
    }
}

impl XmlFormat for Cobertura<'_> {
    const ROOTS: &'static [&'static str] = &["coverage"];

    fn start(&mut self, element: &Element<'_>) {
        match element.name {
            "class" => self.class = Some((element.text("filename"), Counts::default())),
            "method" => self.in_method = true,
            "line" if !self.in_method => {
                if let Some((_, counts)) = &mut self.class {
                    counts.add(line(element));
                }
            }
            _ => {}
        }
    }

    fn end(&mut self, name: &str, _text: &str) {
        match name {
            "method" => self.in_method = false,
            "class" => {
                if let Some((path, counts)) = self.class.take() {
                    self.coverage.add(&path, counts, self.source);
                }
            }
            _ => {}
        }
    }
}

fn line(element: &Element<'_>) -> Counts {
    let is_covered = element.count("hits") > 0;
    let (branches, covered) = branches(element.get("condition-coverage")).unwrap_or_default();
    Counts {
        lines_covered: u64::from(is_covered),
        lines_missed: u64::from(!is_covered),
        branches_covered: covered.min(branches),
        branches_missed: branches.saturating_sub(covered),
    }
}

/// All and covered branches of `50% (1/2)`.
fn branches(text: Option<&str>) -> Option<(u64, u64)> {
    let (_, fraction) = text?.split_once('(')?;
    let (covered, all) = fraction.strip_suffix(')')?.split_once('/')?;
    Some((all.trim().parse().ok()?, covered.trim().parse().ok()?))
}
