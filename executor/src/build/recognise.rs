//! Recognises report files by their first bytes (user guide, "Discover test reports"; by what is
//! decided here, since the guide names only the formats).

use std::path::Path;

/// How much of a file is looked at, in bytes.
pub(super) const HEAD_BYTES: u64 = 8 * 1024;

/// Whether a file with this name can be a report at all: only such files are opened.
pub(super) fn is_candidate(path: &Path) -> bool {
    path.extension().is_some_and(|extension| {
        ["xml", "json", "trx"]
            .iter()
            .any(|known| extension.eq_ignore_ascii_case(known))
    })
}

/// CodeBuild's name of the format of a file that begins with `head`.
pub(super) fn format(head: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    match text.chars().next()? {
        '<' => xml_format(text),
        '[' => {
            let is_cucumber = text.contains("\"elements\"") && text.contains("\"keyword\"");
            is_cucumber.then_some("CUCUMBERJSON")
        }
        '{' => {
            let is_simplecov = text.contains("\"coverage\"") && text.contains("\"lines\"");
            is_simplecov.then_some("SIMPLECOV")
        }
        _ => None,
    }
}

fn xml_format(text: &str) -> Option<&'static str> {
    let root = root(text)?;
    let end = root.find(|c: char| c.is_whitespace() || matches!(c, '>' | '/'));
    let tag = &root[..root.find('>').unwrap_or(root.len())];
    match &root[..end.unwrap_or(root.len())] {
        "testsuites" | "testsuite" => Some("JUNITXML"),
        "test-results" => Some("NUNITXML"),
        "test-run" => Some("NUNIT3XML"),
        "testng-results" => Some("TESTNGXML"),
        "TestRun" if tag.contains("TeamTest") => Some("VISUALSTUDIOTRX"),
        "report" if text.contains("JACOCO") || root.contains("<sessioninfo") => Some("JACOCOXML"),
        "coverage" if tag.contains("line-rate=") => Some("COBERTURAXML"),
        "coverage" if tag.contains("clover=") || tag.contains("generated=") => Some("CLOVERXML"),
        _ => None,
    }
}

/// The text from the name of the root element on.
fn root(mut text: &str) -> Option<&str> {
    loop {
        text = text.trim_start().strip_prefix('<')?;
        let end = match text.as_bytes().first()? {
            b'?' => "?>",
            b'!' if text.starts_with("!--") => "-->",
            b'!' => ">",
            _ => return Some(text),
        };
        text = &text[text.find(end)? + end.len()..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_is_recognised_by_its_beginning() {
        for (head, expected) in [
            (
                "<?xml version=\"1.0\"?>\n<!-- <a> -->\n<testsuites>",
                Some("JUNITXML"),
            ),
            ("\u{feff}<testsuite name=\"a\">", Some("JUNITXML")),
            ("<test-results name=\"a\">", Some("NUNITXML")),
            ("<test-run id=\"2\">", Some("NUNIT3XML")),
            ("<testng-results skipped=\"0\">", Some("TESTNGXML")),
            (
                "<TestRun xmlns=\"http://microsoft.com/schemas/VisualStudio/TeamTest/2010\">",
                Some("VISUALSTUDIOTRX"),
            ),
            (
                "<!DOCTYPE report PUBLIC \"-//JACOCO//DTD Report 1.1//EN\" \"report.dtd\"><report name=\"a\">",
                Some("JACOCOXML"),
            ),
            ("<coverage line-rate=\"0.5\">", Some("COBERTURAXML")),
            (
                "<coverage generated=\"1\" clover=\"4.4\">",
                Some("CLOVERXML"),
            ),
            (
                "[{\"keyword\": \"Feature\", \"elements\": []}]",
                Some("CUCUMBERJSON"),
            ),
            (
                "{\"RSpec\": {\"coverage\": {\"a.rb\": {\"lines\": []",
                Some("SIMPLECOV"),
            ),
            ("<project>", None),
            ("<report/>", None),
            ("<!-- never closed", None),
            ("{\"name\": 1}", None),
            ("<", None),
            ("", None),
        ] {
            assert_eq!(format(head.as_bytes()), expected, "{head}");
        }
    }
}
