//! A partial buildspec over a whole one, and a buildspec out of nothing but commands.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::Parsed;
use crate::model::{Artifacts, Buildspec, Phase, PhaseName, Version};
use crate::print::print;
use crate::read::{self, Reader, Sources};
use crate::span::{SourceId, Span, Spanned};
use crate::yaml::{self, Entry, Kind, Node};

/// Merges `patch` over `buildspec` and reads the result.
///
/// Maps are merged key by key, lists and single values are replaced, and `null` removes a key. The
/// result is valid, or refused with spans whose [`SourceId`] says which of the two texts they are in.
pub fn merge(buildspec: &str, patch: &str) -> Parsed {
    let base = yaml::read(buildspec, SourceId::Buildspec);
    let over = yaml::read(patch, SourceId::Patch);
    let problems = base.problems.into_iter().chain(over.problems).collect();
    let mut reader = Reader::new(Sources::two(buildspec, patch), problems);
    let merged = match (base.root, over.root) {
        (Some(base), Some(over)) => Some(nodes(base, over)),
        (base, over) => base.or(over),
    };
    let buildspec = if reader.refused() {
        None
    } else {
        read::root(&mut reader, merged.as_ref())
    };
    reader.finish(buildspec)
}

/// One node over another. The depth of both is bounded by the reader of the text.
fn nodes<'t>(base: Node<'t>, over: Node<'t>) -> Node<'t> {
    if over.is_null() {
        return base;
    }
    let span = base.span;
    match (base.kind, over.kind) {
        (Kind::Mapping(base), Kind::Mapping(over)) => Node {
            span,
            kind: Kind::Mapping(entries(base, over)),
        },
        (_, kind) => Node {
            span: over.span,
            kind,
        },
    }
}

fn entries<'t>(base: Vec<Entry<'t>>, over: Vec<Entry<'t>>) -> Vec<Entry<'t>> {
    let mut places: BTreeMap<Cow<'t, str>, usize> = BTreeMap::new();
    let mut merged: Vec<Option<Entry<'t>>> = Vec::with_capacity(base.len() + over.len());
    for entry in base {
        places.insert(entry.key.clone(), merged.len());
        merged.push(Some(entry));
    }
    for entry in over {
        match places.get(&entry.key) {
            Some(&place) => {
                let below = merged[place].take();
                merged[place] = if entry.value.is_null() {
                    None
                } else {
                    below.map(|below| Entry {
                        value: nodes(below.value, entry.value),
                        ..below
                    })
                };
            }
            None if entry.value.is_null() => {}
            None => merged.push(Some(Entry {
                value: without_nulls(entry.value),
                ..entry
            })),
        }
    }
    merged.into_iter().flatten().collect()
}

/// A new part of the patch: `null` removes there too, where there was nothing.
fn without_nulls(node: Node<'_>) -> Node<'_> {
    let span = node.span;
    match node.kind {
        Kind::Mapping(over) => Node {
            span,
            kind: Kind::Mapping(entries(Vec::new(), over)),
        },
        kind => Node { span, kind },
    }
}

/// The inline buildspec behind "insert build commands": one build phase, all commands in one line
/// joined by `&&`, and the output files, separated by commas, as artifacts (user guide, "Create a
/// build project", "Build commands" and "Output files").
pub fn from_build_commands(commands: &[String], output_files: &str) -> String {
    let spanned = |text: String| Spanned::new(text, Span::default());
    let mut buildspec = Buildspec::new(Version::V0_2);
    let joined = commands
        .iter()
        .map(|command| command.trim())
        .filter(|command| !command.is_empty());
    let command = joined.collect::<Vec<_>>().join(" && ");
    let commands = if command.is_empty() {
        Vec::new()
    } else {
        vec![spanned(command)]
    };
    buildspec.phases.set(
        PhaseName::Build,
        Phase {
            commands,
            ..Phase::default()
        },
    );
    let files = output_files
        .split(',')
        .map(str::trim)
        .filter(|file| !file.is_empty());
    let patterns: Vec<_> = files.map(|file| spanned(file.to_owned())).collect();
    if !patterns.is_empty() {
        let mut artifacts = Artifacts::default();
        artifacts.files.patterns = patterns;
        buildspec.artifacts = Some(artifacts);
    }
    print(&buildspec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    const BASE: &str = "version: 0.2\nenv:\n  variables: {A: a, B: b}\nphases:\n  build:\n    commands: [one, two]\n";

    #[test]
    fn maps_merge_lists_are_replaced_and_null_removes() {
        let patch = "env:\n  variables: {A: null, C: c}\nphases:\n  build:\n    commands: [three]\n  install: {run-as: null}\n";
        let spec = merge(BASE, patch).buildspec.unwrap();
        let names: Vec<_> = spec
            .env
            .variables
            .iter()
            .map(|(name, _)| name.value.as_str())
            .collect();
        assert_eq!(names, ["B", "C"]);
        let commands = spec.phases.build.unwrap().commands;
        assert_eq!(commands.len(), 1);
        assert_eq!(
            (commands[0].value.as_str(), commands[0].span.source),
            ("three", SourceId::Patch)
        );
    }

    #[test]
    fn a_refused_result_says_in_which_text_the_problem_is() {
        let parsed = merge(BASE, "phases:\n  build:\n    on-failure: NEVER\n");
        assert_eq!(parsed.buildspec, None);
        assert_eq!(parsed.diagnostics[0].code, Code::InvalidOnFailure);
        assert_eq!(
            parsed.diagnostics[0].span,
            Span::new(SourceId::Patch, 33, 38)
        );
        let parsed = merge("version: 9\n", "run-as: me\n");
        assert_eq!(parsed.diagnostics[0].span.source, SourceId::Buildspec);
    }

    #[test]
    fn build_commands_become_one_line_and_files_are_split_at_commas() {
        let text =
            from_build_commands(&["make".into(), "make test".into()], "out/*.jar, README.md");
        let spec = crate::parse(&text).buildspec.unwrap();
        assert_eq!(
            spec.phases.build.unwrap().commands[0].value,
            "make && make test"
        );
        let files: Vec<_> = spec
            .artifacts
            .unwrap()
            .files
            .patterns
            .into_iter()
            .map(|file| file.value)
            .collect();
        assert_eq!(files, ["out/*.jar", "README.md"]);
    }
}
