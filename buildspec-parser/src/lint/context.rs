//! What the rules look at.

use super::config::LintConfig;
use super::shell::{self, Script};
use crate::assumptions::LARGEST_SCRIPT_BYTES;
use crate::model::{Buildspec, PhaseName, Shell};
use crate::span::Span;

/// A buildspec with its commands taken apart.
pub(super) struct Context<'c> {
    pub(super) text: &'c str,
    pub(super) spec: &'c Buildspec,
    pub(super) config: &'c LintConfig,
    /// Commands of all phases in the order in which they run; empty where the shell is not a POSIX one.
    pub(super) commands: Vec<Command<'c>>,
}

/// One command of a phase.
pub(super) struct Command<'c> {
    pub(super) phase: PhaseName,
    pub(super) text: &'c str,
    pub(super) span: Span,
    /// Its simple commands; `None` where the text was not understood or there is too much of it.
    pub(super) script: Option<Script<'c>>,
}

impl<'c> Context<'c> {
    pub(super) fn new(text: &'c str, spec: &'c Buildspec, config: &'c LintConfig) -> Self {
        let mut commands = Vec::new();
        let mut room = LARGEST_SCRIPT_BYTES;
        if !is_windows(spec) {
            for (phase, section) in spec.phases.iter() {
                let all = section.commands.iter().chain(&section.finally);
                for command in all {
                    let rest = room.checked_sub(command.value.len());
                    let script = rest.and_then(|_| shell::scan(&command.value));
                    room = rest.unwrap_or(0);
                    commands.push(Command {
                        phase,
                        text: &command.value,
                        span: command.span,
                        script,
                    });
                }
            }
        }
        Self {
            text,
            spec,
            config,
            commands,
        }
    }

    /// Where `part` stands inside a command: the part itself if it is found in the source, else the
    /// command's first line.
    pub(super) fn spot(&self, command: &Command<'_>, part: &str) -> Span {
        let Some(source) = self.text.get(command.span.range()) else {
            return command.span;
        };
        let (start, length) = match source.find(part) {
            Some(at) if !part.is_empty() => (at, part.len()),
            _ => (0, source.find('\n').unwrap_or(source.len())),
        };
        let start = command.span.start + start;
        Span::new(command.span.source, start, start + length)
    }

    /// The text of a place in the source.
    pub(super) fn source(&self, span: Span) -> &'c str {
        self.text.get(span.range()).unwrap_or_default()
    }
}

impl<'c> Command<'c> {
    /// The simple commands, none where the text was not understood.
    pub(super) fn simples(&self) -> &[shell::Simple<'c>] {
        self.script
            .as_ref()
            .map_or(&[], |script| script.commands.as_slice())
    }
}

/// Whether the commands are for Windows: by the shell, or by words no POSIX shell has.
fn is_windows(spec: &Buildspec) -> bool {
    match spec.env.shell.map(|shell| shell.value) {
        Some(Shell::PowerShell | Shell::Cmd) => return true,
        Some(Shell::Bash | Shell::Sh) => return false,
        None => {}
    }
    let words = [
        "$env:",
        "$Env:",
        "Get-",
        "Set-",
        "New-Item",
        "Write-Host",
        "Invoke-",
        "powershell",
        "choco ",
        ".ps1",
    ];
    let mut commands = spec
        .phases
        .iter()
        .flat_map(|(_, phase)| phase.commands.iter().chain(&phase.finally));
    commands.any(|command| words.iter().any(|word| command.value.contains(word)))
}
