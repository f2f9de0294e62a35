//! Tree of nodes in, typed buildspec out, with everything that is wrong on the way.
//!
//! One file for each part of the grammar. A reader never stops at a problem: it notes it and goes on
//! with what is there, so that one pass finds all.

mod artifacts;
mod batch;
mod env;
mod phases;
mod reader;
mod value;

pub(crate) use reader::{Reader, Sources};

use crate::Parsed;
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::model::{Buildspec, Phases, Version};
use crate::span::{SourceId, Span, Spanned};
use crate::yaml::{self, Entry, Kind, Node};

/// Keys of the top level.
const KEYS: [&str; 9] = [
    "version",
    "run-as",
    "env",
    "proxy",
    "batch",
    "phases",
    "reports",
    "artifacts",
    "cache",
];

/// Reads one text.
pub(crate) fn buildspec(text: &str) -> Parsed {
    let (reader, buildspec) = partial(text);
    reader.finish(buildspec)
}

/// Reads one text and keeps what could be read even of a refused file.
pub(crate) fn partial(text: &str) -> (Reader<'_>, Option<Buildspec>) {
    let document = yaml::read(text, SourceId::Buildspec);
    let mut reader = Reader::new(Sources::one(text), document.problems);
    let buildspec = if reader.refused() {
        None
    } else {
        root(&mut reader, document.root.as_ref())
    };
    (reader, buildspec)
}

/// Reads the root of a tree.
pub(crate) fn root(reader: &mut Reader<'_>, root: Option<&Node<'_>>) -> Option<Buildspec> {
    let entries = match root {
        Some(Node {
            kind: Kind::Mapping(entries),
            ..
        }) => entries.as_slice(),
        Some(node) if !node.is_null() => {
            let message = format!(
                "a buildspec is a map of keys to values, and this is {}",
                node.describe()
            );
            reader.note(Diagnostic::new(Code::NotAMapping, node.span, message));
            return None;
        }
        _ => &[],
    };
    let version = version(reader, entries);
    let old = version
        .as_ref()
        .is_some_and(|version| version.value == Version::V0_1);
    let mut spec = Buildspec::new(Version::V0_2);
    if let Some(version) = version {
        spec.version = version;
    }
    for entry in entries {
        key(reader, &mut spec, entry, old);
    }
    // A batch whose tasks name other files needs no phases of its own.
    let needs_none = |entry: &Entry<'_>| matches!(entry.key.as_ref(), "phases" | "batch");
    if !entries.iter().any(needs_none) && !reader.refused() {
        let span = root.map_or(Span::default(), |node| {
            Span::new(node.span.source, node.span.start, node.span.start)
        });
        let message = "there is no `phases`: nothing runs, and the build succeeds";
        reader.note(Diagnostic::new(Code::NoPhases, span, message));
    }
    Some(spec)
}

fn key(reader: &mut Reader<'_>, spec: &mut Buildspec, entry: &Entry<'_>, old: bool) {
    let value = &entry.value;
    match entry.key.as_ref() {
        "version" => {}
        "run-as" => spec.run_as = reader.user(value),
        "env" | "environment_variables" => env::read(reader, &mut spec.env, entry, old),
        "proxy" => spec.proxy = env::proxy(reader, value),
        "batch" => spec.batch = batch::read(reader, value),
        "phases" => spec.phases = phases::read(reader, entry),
        "reports" => spec.reports = artifacts::reports(reader, value),
        "artifacts" => spec.artifacts = artifacts::artifacts(reader, entry),
        "cache" => spec.cache = artifacts::cache(reader, entry),
        name if Phases::name(name).is_some() => {
            let message =
                format!("`{name}` is ignored here: it is a phase and belongs under `phases`");
            let help = "indent it deeper than `phases`";
            reader.note(Diagnostic::new(Code::MisplacedKey, entry.key_span, message).help(help));
        }
        // Keys for anchors are written this way in many formats; they mean to be ignored.
        name if name.starts_with("x-") || name.starts_with('.') => {}
        _ => reader.unknown_key(entry, &KEYS, "a buildspec"),
    }
}

/// `version` (buildspec reference, version).
fn version(reader: &mut Reader<'_>, entries: &[Entry<'_>]) -> Option<Spanned<Version>> {
    let Some(entry) = entries.iter().find(|entry| entry.key == "version") else {
        let span = entries
            .first()
            .map_or(Span::default(), |entry| entry.key_span);
        let misspelt = entries
            .iter()
            .find(|entry| entry.key.eq_ignore_ascii_case("version"));
        let mut problem =
            Diagnostic::new(Code::MissingVersion, span, "the buildspec has no `version`")
                .help("begin the file with `version: 0.2`")
                .codebuild("wrong number of container tags, expected 1");
        problem = match misspelt {
            Some(entry) => problem.fix(entry.key_span, "version"),
            None => problem.fix(
                Span::new(span.source, span.start, span.start),
                "version: 0.2\n",
            ),
        };
        reader.note(problem);
        return None;
    };
    let Kind::Scalar { text, plain } = &entry.value.kind else {
        reader.wrong_type(&entry.value, "`version`", "a number");
        return None;
    };
    let number = text.parse::<f64>().ok().filter(|_| *plain);
    let version = match text.as_ref() {
        "0.1" => Version::V0_1,
        "0.2" => Version::V0_2,
        // A plain number is compared as a number: 0.20 and 0.2 are the same to every YAML reader.
        _ if number == Some(0.1) => Version::V0_1,
        _ if number == Some(0.2) => Version::V0_2,
        _ => {
            let span = if entry.value.span.is_empty() {
                entry.key_span
            } else {
                entry.value.span
            };
            let message = format!("there is no buildspec version `{text}`");
            let problem =
                Diagnostic::new(Code::InvalidVersion, span, message).help("use `version: 0.2`");
            reader.note(if entry.value.span.is_empty() {
                problem
            } else {
                problem.fix(span, "0.2")
            });
            return None;
        }
    };
    let batch = entries.iter().any(|entry| entry.key == "batch");
    if batch && !plain {
        let message = "a batch needs the version as a number, and this is a text";
        reader.note(
            Diagnostic::new(Code::VersionIsString, entry.value.span, message)
                .help("remove the quotes")
                .codebuild(format!("cannot unmarshal !!str `{text}` into float64"))
                .fix(entry.value.span, version.as_str()),
        );
    }
    Some(Spanned::new(version, entry.value.span))
}
