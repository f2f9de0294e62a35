//! `phases`.

use super::Reader;
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::model::{OnFailure, Phase, PhaseName, Phases};
use crate::span::{Place, Spanned};
use crate::suggest;
use crate::yaml::{Entry, Kind, Node};

const KEYS: [&str; 5] = [
    "run-as",
    "on-failure",
    "runtime-versions",
    "commands",
    "finally",
];

/// Sections that end up under `phases` by one indentation too many.
const SECTIONS: [&str; 5] = ["artifacts", "cache", "reports", "env", "batch"];

/// Reads all phases.
pub(super) fn read(reader: &mut Reader<'_>, section: &Entry<'_>) -> Phases {
    let mut phases = Phases::default();
    let entries = reader.mapping(&section.value, "`phases`");
    for entry in entries {
        match Phases::name(&entry.key) {
            Some(name) => phases.set(name, phase(reader, name, entry)),
            None => unknown(reader, &mut phases, entry),
        }
    }
    if entries.is_empty() && matches!(section.value.kind, Kind::Mapping(_) | Kind::Scalar { .. }) {
        let message = "`phases` is empty: nothing runs, and the build succeeds";
        reader.note(Diagnostic::new(Code::NoPhases, section.key_span, message));
    }
    phases
}

fn unknown(reader: &mut Reader<'_>, phases: &mut Phases, entry: &Entry<'_>) {
    if !reader.keeps(Code::InvalidPhase) {
        return;
    }
    let names = PhaseName::ALL.map(PhaseName::as_str);
    let message = format!("`{}` is not a phase", entry.key);
    let problem = Diagnostic::new(Code::InvalidPhase, entry.key_span, message).codebuild(format!(
        "Invalid buildspec phase name: {}. Expecting: build,install,post_build,pre_build",
        entry.key
    ));
    if SECTIONS.contains(&entry.key.as_ref()) {
        reader.note(problem.help(format!(
            "`{}` belongs to the top level: indent it like `phases`",
            entry.key
        )));
    } else if let Some(near) = suggest::nearest(&entry.key, &names) {
        reader.note(
            problem
                .help(format!("did you mean `{near}`?"))
                .fix(entry.key_span, near),
        );
        // The file is refused; what else is wrong with the phase is worth knowing all the same.
        if let Some(name) = Phases::name(near).filter(|name| phases.get(*name).is_none()) {
            phases.set(name, phase(reader, name, entry));
        }
    } else {
        reader.note(problem.help(format!(
            "the phases are {}",
            names.map(|name| format!("`{name}`")).join(", ")
        )));
    }
}

fn phase(reader: &mut Reader<'_>, name: PhaseName, section: &Entry<'_>) -> Phase {
    let mut phase = Phase {
        place: Place(section.key_span),
        ..Phase::default()
    };
    let mut has_commands = false;
    for entry in reader.mapping(&section.value, &format!("`{name}`")) {
        has_commands |= matches!(entry.key.as_ref(), "commands" | "finally" | "steps")
            && !is_empty(&entry.value);
        let value = &entry.value;
        match entry.key.as_ref() {
            "run-as" => phase.run_as = reader.user(value),
            "on-failure" => phase.on_failure = on_failure(reader, value),
            "runtime-versions" => {
                if name != PhaseName::Install {
                    let message = format!("`runtime-versions` is ignored in `{name}`");
                    let problem =
                        Diagnostic::new(Code::MisplacedRuntimeVersions, entry.key_span, message);
                    reader.note(problem.help("put it in `install`"));
                }
                phase.runtime_versions = reader.texts_by_name(value, "`runtime-versions`");
            }
            "commands" => phase.commands = commands(reader, value, "Commands"),
            "finally" => phase.finally = commands(reader, value, "Finally"),
            "steps" => steps(reader, entry),
            "command" => {
                let message = "`command` is no key of a phase and is ignored";
                let problem = Diagnostic::new(Code::UnknownKey, entry.key_span, message);
                reader.note(problem.help("did you mean `commands`?"));
            }
            _ => reader.unknown_key(entry, &KEYS, "a phase"),
        }
    }
    if !has_commands && name != PhaseName::Install {
        let message = format!("`{name}` has no commands");
        reader.note(Diagnostic::new(Code::NoCommands, section.key_span, message));
    }
    phase
}

fn is_empty(node: &Node<'_>) -> bool {
    node.is_null() || matches!(&node.kind, Kind::Sequence(items) if items.is_empty())
}

fn steps(reader: &mut Reader<'_>, entry: &Entry<'_>) {
    let message = "`steps` need a GitHub token that is set up for the account";
    reader.note(
        Diagnostic::new(Code::UnsupportedSteps, entry.key_span, message).help("use `commands`").codebuild(
            "unsupported field \"steps\" in buildspec. No GitHub token has been configured for your account",
        ),
    );
}

fn on_failure(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Spanned<OnFailure>> {
    let text = reader.some_text(node, "`on-failure`")?;
    match text.value.trim().parse::<OnFailure>() {
        Ok(value) => Some(Spanned::new(value, node.span)),
        Err(error) => {
            let message = format!("`{}` is no value of `on-failure`: {error}", text.value);
            let problem = Diagnostic::new(Code::InvalidOnFailure, node.span, message);
            reader.note(
                match suggest::nearest(&text.value, &["ABORT", "CONTINUE", "RETRY"]) {
                    Some(near) => problem
                        .help(format!("did you mean `{near}`?"))
                        .fix(node.span, near),
                    None => problem,
                },
            );
            None
        }
    }
}

/// `commands` or `finally`: a list of texts; one single text is a list of one.
fn commands(reader: &mut Reader<'_>, node: &Node<'_>, list: &str) -> Vec<Spanned<String>> {
    let items = match &node.kind {
        Kind::Sequence(items) => items.as_slice(),
        Kind::Scalar { .. } if node.is_null() => &[],
        Kind::Scalar { .. } => std::slice::from_ref(node),
        Kind::Mapping(_) => {
            reader.wrong_type(
                node,
                &format!("`{}`", list.to_lowercase()),
                "a list of commands",
            );
            &[]
        }
    };
    let mut commands = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        match &item.kind {
            Kind::Scalar { text, .. } => {
                let empty = item.is_null() || text.trim().is_empty();
                if empty {
                    let message = "the command is empty";
                    reader.note(Diagnostic::new(Code::EmptyCommand, item.span, message));
                }
                let text = if item.is_null() {
                    String::new()
                } else {
                    text.clone().into_owned()
                };
                commands.push(Spanned::new(text, item.span));
            }
            _ => not_a_string(reader, item, list, index),
        }
    }
    commands
}

/// The trap of `: ` in a command, and every other command that is not a text.
fn not_a_string(reader: &mut Reader<'_>, item: &Node<'_>, list: &str, index: usize) {
    let line = reader.line(item.span);
    let message = match &item.kind {
        Kind::Mapping(_) => "the command is a map: YAML reads `: ` as the end of a key".to_owned(),
        _ => format!("the command is {}", item.describe()),
    };
    let mut problem = Diagnostic::new(Code::CommandNotString, item.span, message);
    // The words are known for `commands` only.
    if list == "Commands" {
        problem = problem.codebuild(format!(
            "Expected {list}[{index}] to be of string type: found subkeys instead at line {line}, \
             value of the key tag on line {} might be empty",
            line.saturating_sub(1)
        ));
    }
    if matches!(item.kind, Kind::Mapping(_)) {
        problem = problem.help("write the command in a block: `- |`, or put all of it in quotes");
        if let Some(quoted) = quoted(reader, item) {
            problem = problem.fix(item.span, quoted);
        }
    }
    reader.note(problem);
}

/// The command in single quotes: where it is one key and one value on one line, and no flow collection,
/// the text is what the author meant to run.
fn quoted(reader: &Reader<'_>, item: &Node<'_>) -> Option<String> {
    let Kind::Mapping(entries) = &item.kind else {
        return None;
    };
    let source = reader.source(item.span)?;
    let [only] = entries.as_slice() else {
        return None;
    };
    // A colon at the end of the line is part of the command, but of no node: the span does not hold it.
    if only.value.span.is_empty() {
        return None;
    }
    let written_here =
        only.key_span.start == item.span.start && matches!(only.value.kind, Kind::Scalar { .. });
    let simple =
        !source.contains(['\n', '\r']) && !source.starts_with(['{', '&', '*', '!', '?', '\'', '"']);
    (written_here && simple).then(|| format!("'{}'", source.replace('\'', "''")))
}
