//! Rules about the lines of one command.

use super::Rule;
use super::context::{Command, Context};
use super::shell::{Separator, Simple};
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::model::Shell;

pub(super) const HIDDEN_FAILURE: Rule = Rule {
    code: Code::HiddenFailure,
    rationale: "Only the exit status of the whole command counts, and that is the one of its last line. When an \
        earlier line fails, the shell goes on, and the build may succeed without having done its work. A first \
        line `set -e` makes the first failing line end the command.",
    bad: "version: 0.2\nphases:\n  build:\n    commands:\n      - |\n        npm test\n        npm run package\n",
    good: "version: 0.2\nphases:\n  build:\n    commands:\n      - |\n        set -e\n        npm test\n        npm run package\n",
    check: hidden_failure,
};

pub(super) const PIPEFAIL_IN_SH: Rule = Rule {
    code: Code::PipefailInSh,
    rationale: "Without `env/shell`, commands are read by `sh`. On the Ubuntu images that is dash, which does not \
        know `pipefail` and ends the command with status 2 (`Illegal option -o pipefail`). With `shell: bash` it \
        works on every image.",
    bad: "version: 0.2\nphases:\n  build:\n    commands:\n      - set -o pipefail; make | tee build.log\n",
    good: "version: 0.2\nenv:\n  shell: bash\nphases:\n  build:\n    commands:\n      - set -o pipefail; make | tee build.log\n",
    check: pipefail_in_sh,
};

/// Commands whose failure nobody would mind, or that do not fail.
const HARMLESS: [&str; 34] = [
    ":", "[", "[[", "alias", "basename", "cat", "date", "declare", "df", "dirname", "echo", "env",
    "exit", "export", "false", "grep", "head", "local", "ls", "mkdir", "printenv", "printf", "pwd",
    "read", "readonly", "return", "rm", "set", "sleep", "tail", "test", "true", "unset", "which",
];

fn hidden_failure(context: &Context<'_>, found: &mut Vec<Diagnostic>) {
    for command in &context.commands {
        let Some(first) = hidden_line(command) else {
            continue;
        };
        let name = first
            .words
            .iter()
            .take(3)
            .copied()
            .collect::<Vec<_>>()
            .join(" ");
        let message =
            format!("the build goes on when `{name}` fails: only the last line's status counts");
        let span = context.spot(command, first.words.first().copied().unwrap_or_default());
        found.push(
            Diagnostic::new(Code::HiddenFailure, span, message)
                .help("begin the command with `set -e`"),
        );
    }
}

/// The first line whose failure is lost. Commands that look at `$?`, or that end on the first failure
/// anyway, are left alone.
fn hidden_line<'s, 'c>(command: &'s Command<'c>) -> Option<&'s Simple<'c>> {
    let several = command.text.trim_end().contains('\n');
    if !several
        || command.text.contains("$?")
        || command.text.contains("trap ")
        || command.simples().iter().any(sets_e)
    {
        return None;
    }
    let last = command.simples().last()?;
    command.simples().iter().find(|simple| {
        let alone = simple.before != Separator::Condition
            && simple.after == Separator::Sequence
            && !simple.is_piped();
        let outside = simple.compounds == 0 && simple.subshells == 0;
        let works = simple.name().is_some_and(|name| !HARMLESS.contains(&name));
        alone && outside && works && !std::ptr::eq(*simple, last)
    })
}

/// `set -e` in any of its spellings.
fn sets_e(simple: &Simple<'_>) -> bool {
    simple.name() == Some("set")
        && simple.words.iter().skip(1).any(|word| {
            *word == "errexit"
                || (word.starts_with('-') && !word.starts_with("--") && word.contains('e'))
        })
}

fn pipefail_in_sh(context: &Context<'_>, found: &mut Vec<Diagnostic>) {
    if context
        .spec
        .env
        .shell
        .is_some_and(|shell| shell.value != Shell::Sh)
    {
        return;
    }
    for command in &context.commands {
        let sets = |simple: &Simple<'_>| {
            simple.name() == Some("set") && simple.words.contains(&"pipefail")
        };
        if command.simples().iter().any(sets) {
            let message =
                "`sh` may be dash, which knows no `pipefail` and ends the command with status 2";
            let span = context.spot(command, "pipefail");
            let help = "set `env/shell` to `bash`";
            found.push(Diagnostic::new(Code::PipefailInSh, span, message).help(help));
        }
    }
}
