//! Compares what came out of a build with what a case expects.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::{Cursor, Read};

use zip::ZipArchive;

use super::Expectation;
use crate::{Finished, normalise};

/// Everything that differs, a text each; none if the case holds.
pub(super) fn differences(
    expected: &Expectation,
    finished: &Finished,
    artifacts: &BTreeMap<String, Vec<u8>>,
) -> Vec<String> {
    let build = finished.build();
    let mut differences = Differences(Vec::new());
    differences.compare("status", &expected.status, &build.build_status);
    differences.compare("phases", &expected.entered_phases(), &finished.phases());
    let contexts = build.phases.iter().map(|phase| {
        let context = normalise(&finished.context(&phase.phase_type));
        (
            phase.phase_type.clone(),
            cut_where_open(&context, expected.contexts.get(&phase.phase_type)),
        )
    });
    let contexts = contexts
        .filter(|(_, context)| !context.is_empty())
        .collect();
    differences.compare("contexts", &expected.contexts, &contexts);
    if let Some(output) = &expected.output {
        differences.compare("output", output, &finished.output());
    }
    if let Some(exported) = &expected.exported {
        let found = build
            .exported_environment_variables
            .into_iter()
            .map(|variable| (variable.name, variable.value));
        differences.compare("exported variables", exported, &found.collect());
    }
    if let Some(files) = &expected.artifacts {
        let text = |(path, content): (&String, &Vec<u8>)| {
            (path.clone(), String::from_utf8_lossy(content).into_owned())
        };
        let artifacts = unpacked(artifacts);
        differences.compare("artifacts", files, &artifacts.iter().map(text).collect());
    }
    let log = normalise(&finished.log()).replace("[Container] <time> ", "[Container] ");
    differences.0.extend(missing_line(&expected.log, &log));
    let present = expected
        .not_in_log
        .iter()
        .filter(|text| log.contains(text.as_str()));
    differences
        .0
        .extend(present.map(|text| format!("the log has {text:?}")));
    if !differences.0.is_empty() {
        differences.0.push(format!("log:\n{log}"));
    }
    differences.0
}

/// The files, with the entries of the archives in their place.
fn unpacked(files: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    let mut unpacked = BTreeMap::new();
    for (path, content) in files {
        let Ok(mut archive) = ZipArchive::new(Cursor::new(content)) else {
            unpacked.insert(path.clone(), content.clone());
            continue;
        };
        for index in 0..archive.len() {
            let mut entry = archive.by_index(index).expect("the archive is whole");
            let is_executable = entry.unix_mode().is_some_and(|mode| mode & 0o111 != 0);
            let mut name = format!("{path}/{}", entry.name().expect("names are text"));
            let mut content = Vec::new();
            if entry.is_symlink() {
                content.extend_from_slice(b"-> ");
            } else if is_executable {
                name.push_str(" (executable)");
            }
            entry
                .read_to_end(&mut content)
                .expect("the checksums are right");
            unpacked.insert(name, content);
        }
    }
    unpacked
}

/// An expectation that ends in `…` says nothing of the rest: so much of the text is cut off.
fn cut_where_open(text: &str, expected: Option<&String>) -> String {
    match expected.and_then(|expected| expected.strip_suffix('…')) {
        Some(start) if text.starts_with(start) => format!("{start}…"),
        _ => text.to_owned(),
    }
}

struct Differences(Vec<String>);

impl Differences {
    fn compare<T: PartialEq + Debug>(&mut self, what: &str, expected: &T, found: &T) {
        if expected != found {
            self.0
                .push(format!("{what}: expected {expected:#?}, found {found:#?}"));
        }
    }
}

/// Says which of the lines is not in the log, or not after the one before it.
fn missing_line(expected: &[String], log: &str) -> Option<String> {
    let mut lines = log.lines();
    let missing = expected
        .iter()
        .find(|expected| !lines.any(|line| line == expected.as_str()))?;
    Some(format!(
        "the log lacks, or has not in this order, the line {missing:?}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_expectation_compares_its_beginning_only() {
        let open = "CODE: …".to_owned();
        assert_eq!(cut_where_open("CODE: a reason", Some(&open)), open);
        assert_eq!(
            cut_where_open("OTHER: a reason", Some(&open)),
            "OTHER: a reason"
        );
    }

    #[test]
    fn lines_have_to_come_in_the_order_expected() {
        let lines = |lines: &[&str]| {
            lines
                .iter()
                .map(|line| (*line).to_owned())
                .collect::<Vec<_>>()
        };
        let log = "a\nb\nc\n";
        assert_eq!(missing_line(&lines(&["a", "c"]), log), None);
        assert!(missing_line(&lines(&["c", "a"]), log).is_some());
        assert!(
            missing_line(&lines(&["a", "a"]), log).is_some(),
            "one line does not count twice"
        );
        assert!(
            missing_line(&lines(&["ab"]), log).is_some(),
            "part of a line is not the line"
        );
    }
}
