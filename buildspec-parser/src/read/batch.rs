//! `batch`. An ordinary build ignores the section: its errors refuse the batch only.

use super::Reader;
use super::value::name;
use crate::assumptions::LONGEST_IDENTIFIER;
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::expand;
use crate::model::{Batch, Fanout, Map, Matrix, MatrixDynamic, Strategy, Task, TaskEnv};
use crate::span::{Place, Spanned};
use crate::yaml::{Entry, Kind, Node};

const KINDS: [&str; 4] = ["build-list", "build-matrix", "build-graph", "build-fanout"];
const KEYS: [&str; 5] = [
    "fast-fail",
    "build-list",
    "build-matrix",
    "build-graph",
    "build-fanout",
];
const TASK_KEYS: [&str; 6] = [
    "identifier",
    "buildspec",
    "debug-session",
    "env",
    "ignore-failure",
    "depend-on",
];
const ENV_KEYS: [&str; 6] = [
    "compute-type",
    "fleet",
    "image",
    "privileged-mode",
    "type",
    "variables",
];

/// Reads the section; nothing is as if the key were absent.
pub(super) fn read(outer: &mut Reader<'_>, node: &Node<'_>) -> Option<Batch> {
    if node.is_null() {
        return None;
    }
    outer.for_batch(|reader| {
        let mut batch = Batch {
            fast_fail: None,
            strategy: None,
            place: Place(node.span),
        };
        let entries = reader.mapping(node, "`batch`");
        for entry in entries {
            let value = &entry.value;
            match entry.key.as_ref() {
                "fast-fail" => batch.fast_fail = reader.flag(value, "`fast-fail`"),
                "build-list" => batch.strategy = Some(Strategy::List(tasks(reader, value, false))),
                "build-graph" => batch.strategy = Some(Strategy::Graph(tasks(reader, value, true))),
                "build-matrix" => {
                    batch.strategy = Some(Strategy::Matrix(Box::new(matrix(reader, value))));
                }
                "build-fanout" => batch.strategy = fanout(reader, entry).map(Strategy::Fanout),
                _ => reader.unknown_key(entry, &KEYS, "`batch`"),
            }
        }
        one_kind(reader, node, entries, &mut batch);
        for problem in expand::check(&batch) {
            reader.note(problem);
        }
        Some(batch)
    })
}

fn one_kind(reader: &mut Reader<'_>, node: &Node<'_>, entries: &[Entry<'_>], batch: &mut Batch) {
    let kinds: Vec<&Entry<'_>> = entries
        .iter()
        .filter(|entry| KINDS.contains(&entry.key.as_ref()))
        .collect();
    match kinds.as_slice() {
        [] if matches!(node.kind, Kind::Mapping(_)) => {
            let message = format!(
                "a batch needs one of {}",
                KINDS.map(|kind| format!("`{kind}`")).join(", ")
            );
            reader.note(Diagnostic::new(Code::BatchShape, node.span, message));
        }
        [first, second, ..] => {
            let message = format!(
                "a batch is one kind only, and `{}` is there already",
                first.key
            );
            reader.note(Diagnostic::new(Code::BatchShape, second.key_span, message));
            batch.strategy = None;
        }
        _ => {}
    }
}

/// The elements of `build-list` or `build-graph`.
fn tasks(reader: &mut Reader<'_>, node: &Node<'_>, graph: bool) -> Vec<Task> {
    let Kind::Sequence(items) = &node.kind else {
        reader.wrong_type(node, "the tasks of a batch", "a list");
        return Vec::new();
    };
    items.iter().map(|item| task(reader, item, graph)).collect()
}

fn task(reader: &mut Reader<'_>, node: &Node<'_>, graph: bool) -> Task {
    let mut task = Task::default();
    let mut identified = false;
    for entry in reader.mapping(node, "a task") {
        let value = &entry.value;
        match entry.key.as_ref() {
            "identifier" => {
                identified = true;
                task.identifier = identifier(reader, value);
            }
            "buildspec" => task.buildspec = reader.some_text(value, "`buildspec`"),
            "debug-session" => task.debug_session = reader.flag(value, "`debug-session`"),
            "env" => task.env = env(reader, value),
            "ignore-failure" => task.ignore_failure = reader.flag(value, "`ignore-failure`"),
            "depend-on" => {
                if !graph {
                    let message = "`depend-on` counts in `build-graph` only";
                    reader.note(Diagnostic::new(Code::MisplacedKey, entry.key_span, message));
                }
                task.depend_on = reader.texts(value, "`depend-on`");
            }
            _ => reader.unknown_key(entry, &TASK_KEYS, "a task"),
        }
    }
    if !identified {
        let message = "the task has no `identifier`";
        reader.note(Diagnostic::new(Code::MissingIdentifier, node.span, message));
    }
    task
}

/// Letters, digits and underscores, fewer than 128: the rule of the API for source identifiers.
fn identifier(reader: &mut Reader<'_>, node: &Node<'_>) -> Spanned<String> {
    let Some(text) = reader.text(node, "`identifier`") else {
        return Spanned::default();
    };
    let legal = text
        .value
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if text.value.is_empty() || !legal || text.value.len() > LONGEST_IDENTIFIER {
        let message = format!(
            "an identifier is made of 1 to {LONGEST_IDENTIFIER} letters, digits and underscores, and this is `{}`",
            text.value
        );
        reader.note(Diagnostic::new(Code::InvalidIdentifier, node.span, message));
    }
    text
}

fn env(reader: &mut Reader<'_>, node: &Node<'_>) -> TaskEnv {
    let mut env = TaskEnv::default();
    for entry in reader.mapping(node, "`env`") {
        let value = &entry.value;
        match entry.key.as_ref() {
            "compute-type" => env.compute_type = reader.some_text(value, "`compute-type`"),
            "fleet" => env.fleet = reader.some_text(value, "`fleet`"),
            "image" => env.image = reader.some_text(value, "`image`"),
            "privileged-mode" => env.privileged_mode = reader.flag(value, "`privileged-mode`"),
            "type" => env.environment_type = reader.some_text(value, "`type`"),
            "variables" => env.variables = reader.texts_by_name(value, "`variables`"),
            _ => reader.unknown_key(entry, &ENV_KEYS, "the `env` of a task"),
        }
    }
    if let (Some(_), Some(fleet)) = (&env.compute_type, &env.fleet) {
        let message = "`fleet` and `compute-type` exclude each other";
        reader.note(Diagnostic::new(Code::BatchValue, fleet.span, message));
    }
    env
}

fn matrix(reader: &mut Reader<'_>, node: &Node<'_>) -> Matrix {
    let mut matrix = Matrix::default();
    for entry in reader.mapping(node, "`build-matrix`") {
        match entry.key.as_ref() {
            "static" => {
                for entry in reader.mapping(&entry.value, "`static`") {
                    match entry.key.as_ref() {
                        "ignore-failure" => {
                            matrix.ignore_failure = reader.flag(&entry.value, "`ignore-failure`");
                        }
                        "env" => matrix.static_env = env(reader, &entry.value),
                        _ => reader.unknown_key(entry, &["ignore-failure", "env"], "`static`"),
                    }
                }
            }
            "dynamic" => matrix.dynamic = dynamic(reader, &entry.value),
            _ => reader.unknown_key(entry, &["static", "dynamic"], "`build-matrix`"),
        }
    }
    matrix
}

fn dynamic(reader: &mut Reader<'_>, node: &Node<'_>) -> MatrixDynamic {
    let mut dynamic = MatrixDynamic::default();
    for entry in reader.mapping(node, "`dynamic`") {
        match entry.key.as_ref() {
            "buildspec" => dynamic.buildspec = reader.texts(&entry.value, "`buildspec`"),
            "env" => dynamic_env(reader, &entry.value, &mut dynamic),
            _ => reader.unknown_key(entry, &["buildspec", "env"], "`dynamic`"),
        }
    }
    dynamic
}

fn dynamic_env(reader: &mut Reader<'_>, node: &Node<'_>, dynamic: &mut MatrixDynamic) {
    for entry in reader.mapping(node, "`env`") {
        match entry.key.as_ref() {
            "compute-type" => dynamic.compute_type = reader.texts(&entry.value, "`compute-type`"),
            "image" => dynamic.image = reader.texts(&entry.value, "`image`"),
            "variables" => {
                let mut variables = Vec::new();
                for entry in reader.mapping(&entry.value, "`variables`") {
                    variables.push((name(entry), reader.texts(&entry.value, "a matrix variable")));
                }
                dynamic.variables = Map::from_iter(variables);
            }
            _ => reader.unknown_key(
                entry,
                &["compute-type", "image", "variables"],
                "the `env` of `dynamic`",
            ),
        }
    }
}

fn fanout(reader: &mut Reader<'_>, section: &Entry<'_>) -> Option<Fanout> {
    let (mut parallelism, mut given, mut ignore_failure) = (None, false, None);
    for entry in reader.mapping(&section.value, "`build-fanout`") {
        match entry.key.as_ref() {
            "parallelism" => {
                given = true;
                parallelism = shards(reader, &entry.value);
            }
            "ignore-failure" => ignore_failure = reader.flag(&entry.value, "`ignore-failure`"),
            _ => reader.unknown_key(entry, &["parallelism", "ignore-failure"], "`build-fanout`"),
        }
    }
    if !given {
        let message = "`build-fanout` needs `parallelism`";
        reader.note(Diagnostic::new(Code::BatchValue, section.key_span, message));
    }
    Some(Fanout {
        parallelism: parallelism?,
        ignore_failure,
    })
}

fn shards(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Spanned<u32>> {
    let text = reader.text(node, "`parallelism`")?;
    match text.value.parse::<u32>() {
        Ok(count) if count > 0 => Some(Spanned::new(count, node.span)),
        _ => {
            let message = format!("`parallelism` is a number from 1, not `{}`", text.value);
            reader.note(Diagnostic::new(Code::BatchValue, node.span, message));
            None
        }
    }
}
