//! Rules about what one command leaves to the next.

use std::collections::BTreeMap;

use super::Rule;
use super::context::{Command, Context};
use super::shell::{Separator, Simple};
use crate::assumptions::MOST_DIAGNOSTICS;
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::model::Version;

pub(super) const LOST_DIRECTORY: Rule = Rule {
    code: Code::LostDirectory,
    rationale: "Version 0.1 runs every command in a shell of its own that starts in the source directory with the \
        first environment. A command that only changes directory or exports a variable has no effect. Version 0.2 \
        carries both over; in 0.1 they belong into the same command as what needs them.",
    bad: "version: 0.1\nphases:\n  build:\n    commands:\n      - cd app\n      - make\n",
    good: "version: 0.1\nphases:\n  build:\n    commands:\n      - cd app && make\n",
    check: lost_directory,
};

pub(super) const LOST_DEFINITION: Rule = Rule {
    code: Code::LostDefinition,
    rationale: "Every command is read by a new shell. Directory and variables are carried over, but functions, \
        aliases, traps and options such as `set -e` are not: they end with the command that defines them.",
    bad: "version: 0.2\nphases:\n  build:\n    commands:\n      - retry() { \"$@\" || \"$@\"; }\n      - retry make\n",
    good: "version: 0.2\nphases:\n  build:\n    commands:\n      - |\n        set -e\n        retry() { \"$@\" || \"$@\"; }\n        retry make\n",
    check: lost_definition,
};

pub(super) const LOST_EXPORT: Rule = Rule {
    code: Code::LostExport,
    rationale: "The members of a pipeline and the commands in round brackets run in processes of their own. A \
        variable exported there is gone when they end; neither the next line nor the next command sees it.",
    bad: "version: 0.2\nphases:\n  build:\n    commands:\n      - cat version.txt | export VERSION\n      - make\n",
    good: "version: 0.2\nphases:\n  build:\n    commands:\n      - export VERSION=$(cat version.txt)\n      - make\n",
    check: lost_export,
};

pub(super) const FOREIGN_WAIT: Rule = Rule {
    code: Code::ForeignWait,
    rationale: "A process started with `&` is a child of the shell that read its command. `wait` in a later command \
        is in another shell, which does not know the process: it returns at once with status 127. Start and wait \
        belong into the same command.",
    bad: "version: 0.2\nphases:\n  build:\n    commands:\n      - make & echo $! > pid\n      - wait $(cat pid)\n",
    good: "version: 0.2\nphases:\n  build:\n    commands:\n      - |\n        make &\n        wait $!\n",
    check: foreign_wait,
};

fn lost_directory(context: &Context<'_>, found: &mut Vec<Diagnostic>) {
    if context.spec.version.value != Version::V0_1 {
        return;
    }
    for (at, command) in context.commands.iter().enumerate() {
        let [only] = command.simples() else { continue };
        let what = match only.name() {
            Some("cd" | "pushd") => "the directory change",
            Some("export") => "the exported variable",
            _ => continue,
        };
        if at + 1 == context.commands.len() {
            continue;
        }
        let message = format!("{what} ends with its command in version 0.1");
        let span = context.spot(command, only.name().unwrap_or_default());
        let help = "join it with the next command by `&&`, or use `version: 0.2`";
        found.push(Diagnostic::new(Code::LostDirectory, span, message).help(help));
    }
}

fn lost_definition(context: &Context<'_>, found: &mut Vec<Diagnostic>) {
    let mut known: BTreeMap<&str, &str> = BTreeMap::new();
    for command in &context.commands {
        let own = definitions(command);
        for simple in command.simples() {
            let Some(name) = simple.name().filter(|name| !own.contains_key(name)) else {
                continue;
            };
            if found.len() >= MOST_DIAGNOSTICS {
                return;
            }
            if let Some(kind) = known.remove(name) {
                let message = format!("the {kind} `{name}` ended with the command that defined it");
                let help = "define and use it in the same command, or put it into a script";
                let span = context.spot(command, name);
                found.push(Diagnostic::new(Code::LostDefinition, span, message).help(help));
            }
        }
        known.extend(own);
        lost_trap(context, command, found);
    }
}

/// Functions and aliases of a command.
fn definitions<'c>(command: &Command<'c>) -> BTreeMap<&'c str, &'static str> {
    let functions = command
        .script
        .iter()
        .flat_map(|script| &script.functions)
        .map(|name| (*name, "function"));
    let aliases = command
        .simples()
        .iter()
        .filter(|simple| simple.name() == Some("alias"));
    let aliases = aliases.flat_map(|simple| {
        simple
            .words
            .iter()
            .skip(1)
            .filter_map(|word| word.split_once('='))
    });
    functions
        .chain(aliases.map(|(name, _)| (name, "alias")))
        .collect()
}

/// A command that does nothing but set a trap: it fires at the end of that command.
fn lost_trap(context: &Context<'_>, command: &Command<'_>, found: &mut Vec<Diagnostic>) {
    let [only] = command.simples() else { return };
    if only.name() == Some("trap") && only.words.len() > 2 {
        let message = "the trap ends with this command: it fires before the next one begins";
        let span = context.spot(command, "trap");
        let help = "put it into the command it is for, or use `finally`";
        found.push(Diagnostic::new(Code::LostDefinition, span, message).help(help));
    }
}

fn lost_export(context: &Context<'_>, found: &mut Vec<Diagnostic>) {
    for command in &context.commands {
        // In a subshell an export counts for the commands after it; only the last one is lost for sure.
        let lost = |simple: &&Simple<'_>| {
            let last_of_subshell = simple.subshells > 0 && simple.after == Separator::Close;
            simple.name() == Some("export")
                && simple.words.len() > 1
                && (is_member(simple) || last_of_subshell)
        };
        if let Some(simple) = command.simples().iter().find(lost) {
            let message =
                "the exported variable is lost: this `export` runs in a process of its own";
            let help = "use `export NAME=$(…)` outside of the pipeline or brackets";
            let span = context.spot(command, simple.name().unwrap_or_default());
            found.push(Diagnostic::new(Code::LostExport, span, message).help(help));
        }
    }
}

/// A member of a pipeline that is no group: in `{ export A=b; c; } | d` the export counts for `c`.
fn is_member(simple: &Simple<'_>) -> bool {
    simple.is_piped() && simple.compounds == 0 && simple.subshells == 0
}

fn foreign_wait(context: &Context<'_>, found: &mut Vec<Diagnostic>) {
    for command in &context.commands {
        let background = command
            .simples()
            .iter()
            .any(|simple| simple.after == Separator::Background);
        let waits = |simple: &&Simple<'_>| simple.name() == Some("wait") && simple.words.len() > 1;
        // A process may also be started by something that is not seen here, such as `coproc` or `<(…)`.
        if background || command.text.contains("coproc") || command.text.contains("<(") {
            continue;
        }
        if let Some(simple) = command.simples().iter().find(waits) {
            let message = "nothing is started in this command that `wait` could wait for";
            let help = "start the process and wait for it in the same command";
            let span = context.spot(command, simple.name().unwrap_or_default());
            found.push(Diagnostic::new(Code::ForeignWait, span, message).help(help));
        }
    }
}
