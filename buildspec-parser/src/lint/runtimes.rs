//! Rules about `runtime-versions`, and the catalogue they look into.

use super::Rule;
use super::context::Context;
use crate::assumptions::MOST_DIAGNOSTICS;
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::span::Spanned;
use crate::suggest;

/// A runtime of CodeBuild's images, past and present.
#[derive(Debug, Clone, Copy)]
pub struct Runtime {
    /// Name in `runtime-versions`.
    pub name: &'static str,
    /// How many parts of a version the images tell apart: 2 for `3.11`, 1 for `20`.
    pub parts: usize,
    /// The versions, cut to that many parts.
    pub versions: &'static [&'static str],
}

/// The runtimes that CodeBuild's Linux images have offered (user guide, "Available runtimes", in its
/// editions so far). The newest images install any version of a listed line.
pub const RUNTIMES: &[Runtime] = &[
    Runtime {
        name: "android",
        parts: 1,
        versions: &["28", "29"],
    },
    Runtime {
        name: "docker",
        parts: 1,
        versions: &["18", "19", "20"],
    },
    Runtime {
        name: "dotnet",
        parts: 1,
        versions: &["2", "3", "5", "6", "7", "8", "9", "10"],
    },
    Runtime {
        name: "golang",
        parts: 2,
        versions: &[
            "1.9", "1.10", "1.11", "1.12", "1.13", "1.14", "1.15", "1.16", "1.17", "1.18", "1.19",
            "1.20", "1.21", "1.22", "1.23", "1.24", "1.25", "1.26",
        ],
    },
    Runtime {
        name: "java",
        parts: 1,
        versions: &[
            "openjdk8",
            "openjdk9",
            "openjdk11",
            "corretto8",
            "corretto11",
            "corretto17",
            "corretto21",
            "corretto25",
        ],
    },
    Runtime {
        name: "nodejs",
        parts: 1,
        versions: &["6", "8", "10", "12", "14", "16", "18", "20", "22", "24"],
    },
    Runtime {
        name: "php",
        parts: 2,
        versions: &[
            "5.6", "7.0", "7.1", "7.3", "7.4", "8.0", "8.1", "8.2", "8.3", "8.4", "8.5",
        ],
    },
    Runtime {
        name: "python",
        parts: 2,
        versions: &[
            "2.7", "3.3", "3.4", "3.5", "3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13",
            "3.14",
        ],
    },
    Runtime {
        name: "ruby",
        parts: 2,
        versions: &[
            "2.1", "2.2", "2.3", "2.4", "2.5", "2.6", "2.7", "3.0", "3.1", "3.2", "3.3", "3.4",
            "4.0",
        ],
    },
];

pub(super) const UNKNOWN_RUNTIME: Rule = Rule {
    code: Code::UnknownRuntime,
    rationale: "The runtimes are chosen from those the image offers; with any other name or version the build fails \
        while it prepares (`Unknown runtime version named …`). The rule knows what CodeBuild's own images have \
        offered so far; a custom image may offer others.",
    bad: "version: 0.2\nphases:\n  install:\n    runtime-versions:\n      nodejs: 13\n  build:\n    commands: [make]\n",
    good: "version: 0.2\nphases:\n  install:\n    runtime-versions:\n      nodejs: 22\n  build:\n    commands: [make]\n",
    check: unknown_runtime,
};

pub(super) const UNQUOTED_VERSION: Rule = Rule {
    code: Code::UnquotedVersion,
    rationale: "To YAML an unquoted `3.10` is the number 3.1. Quotes make it a text that keeps its zero.",
    bad: "version: 0.2\nphases:\n  install:\n    runtime-versions:\n      python: 3.10\n  build:\n    commands: [make]\n",
    good: "version: 0.2\nphases:\n  install:\n    runtime-versions:\n      python: \"3.10\"\n  build:\n    commands: [make]\n",
    check: unquoted_version,
};

fn versions<'c>(
    context: &'c Context<'_>,
) -> impl Iterator<Item = &'c (Spanned<String>, Spanned<String>)> {
    context
        .spec
        .phases
        .install
        .iter()
        .flat_map(|install| install.runtime_versions.iter())
}

fn unknown_runtime(context: &Context<'_>, found: &mut Vec<Diagnostic>) {
    let names: Vec<&str> = RUNTIMES.iter().map(|runtime| runtime.name).collect();
    for (name, version) in versions(context) {
        let Some(runtime) = RUNTIMES.iter().find(|runtime| runtime.name == name.value) else {
            if found.len() >= MOST_DIAGNOSTICS {
                return;
            }
            let message = format!("no catalogued image has a runtime `{}`", name.value);
            let finding = Diagnostic::new(Code::UnknownRuntime, name.span, message);
            found.push(match suggest::nearest(&name.value, &names) {
                Some(near) => finding
                    .help(format!("did you mean `{near}`?"))
                    .fix(name.span, near),
                None => finding.help(format!("the runtimes are {}", names.join(", "))),
            });
            continue;
        };
        if !is_known(runtime, &version.value) {
            let message = format!("no catalogued image has {} {}", runtime.name, version.value);
            let help = format!("known are {}", runtime.versions.join(", "));
            found.push(Diagnostic::new(Code::UnknownRuntime, version.span, message).help(help));
        }
    }
}

/// `latest`, a variable, `18.x`, a whole version, or a beginning of one.
fn is_known(runtime: &Runtime, version: &str) -> bool {
    if version.is_empty() || version == "latest" || version.contains('$') {
        return true;
    }
    let asked: Vec<&str> = version
        .split('.')
        .take(runtime.parts)
        .filter(|part| *part != "x")
        .collect();
    runtime.versions.iter().any(|known| {
        let mut known = known.split('.');
        asked.iter().all(|part| known.next() == Some(part))
    })
}

fn unquoted_version(context: &Context<'_>, found: &mut Vec<Diagnostic>) {
    for (name, version) in versions(context) {
        let source = context.source(version.span);
        let number = source.parse::<f64>().is_ok() && source == version.value;
        // `6.0` becomes 6, which names the same version.
        if number && source.contains('.') && source.ends_with('0') && !source.ends_with(".0") {
            let short = source.trim_end_matches('0');
            let message = format!("{} {source} is the number {short} to YAML", name.value);
            let finding = Diagnostic::new(Code::UnquotedVersion, version.span, message)
                .help("put it in quotes");
            found.push(finding.fix(version.span, format!("\"{source}\"")));
        }
    }
}
