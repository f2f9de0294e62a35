//! Files of one mebibyte made to hurt, for the tests and for the benchmark.

use std::fmt::Write;

use buildspec_parser::assumptions::LARGEST_FILE_BYTES;

/// Every shape with its name; none is larger than what is read.
pub(crate) fn all() -> Vec<(&'static str, String)> {
    let mut shapes = text();
    shapes.extend(phases());
    shapes.extend(sections());
    shapes.extend(batches_and_switches());
    shapes
}

/// Shapes that YAML itself has to deal with.
fn text() -> Vec<(&'static str, String)> {
    let merges = "x-a: &a {k: v}\nx-b:\n";
    vec![
        ("open lists", fill("", "[")),
        ("open maps", fill("", "{")),
        ("dashes", fill("", "- ")),
        ("one list", fill("", "- x\n")),
        ("flow list", fill("version: 0.2\nx-a: [", "x,")),
        ("same key", fill("version: 0.2\n", "a: b\n")),
        ("keys", numbered("", |n| format!("k{n}: v\n"))),
        ("anchors", fill("", "- &a x\n")),
        ("named anchors", numbered("", |n| format!("- &a{n} x\n"))),
        ("aliases", fill("version: 0.2\nx-a: &a x\nx-b:\n", "- *a\n")),
        ("merges", fill(merges, "- <<: *a\n")),
        (
            "merges of one map",
            fill("x-a: &a {k: v}\nx-b:\n", "  <<: *a\n"),
        ),
        ("one scalar", fill("", "x")),
        ("folded lines", fill("x-a: >\n", "  x\n")),
        ("quotes", fill("", "\"")),
        ("escapes", closed("x-a: \"", "\\n", "\"\n")),
        ("tabs", fill("", "\t")),
        ("comments", fill("version: 0.2\n", "#\n")),
        ("line ends", fill("version: 0.2\n", "\n")),
        ("wide characters", fill("version: 0.2\n", "é🦀: 🦀\n")),
        ("documents", fill("", "---\n")),
    ]
}

/// Shapes of phases and their commands.
fn phases() -> Vec<(&'static str, String)> {
    let command = "version: 0.2\nphases: {build: {commands: ['";
    let commands = "version: 0.2\nphases:\n  build:\n    commands:\n";
    let block = "version: 0.2\nphases:\n  build:\n    commands:\n      - |\n";
    vec![
        (
            "phases",
            numbered("version: 0.2\nphases:\n", |n| format!("  p{n}: v\n")),
        ),
        ("commands", fill(commands, "      - cd a\n")),
        ("mapped commands", fill(commands, "      - a: b\n")),
        ("wrong commands", fill(commands, "      - []\n")),
        ("script", fill(block, "        cd a && export A=b\n")),
        ("substitutions", closed(command, "$(", "']}}\n")),
        ("semicolons", closed(command, "a;", "']}}\n")),
        ("pipes", closed(command, "export A|", "']}}\n")),
        ("exports in a script", exports()),
        ("functions", functions()),
    ]
}

/// Shapes of the sections around the phases.
fn sections() -> Vec<(&'static str, String)> {
    vec![
        (
            "variables",
            numbered("version: 0.2\nenv:\n  variables:\n", |n| {
                format!("    V{n}: $V\n")
            }),
        ),
        (
            "parameters",
            numbered("version: 0.2\nenv:\n  parameter-store:\n", |n| {
                format!("    V{n}: /a\n")
            }),
        ),
        (
            "exports",
            numbered("version: 0.2\nenv:\n  exported-variables:\n", |n| {
                format!("    - V{n}\n")
            }),
        ),
        (
            "runtimes",
            numbered(
                "version: 0.2\nphases:\n  install:\n    runtime-versions:\n",
                |n| format!("      r{n}: 1.0\n"),
            ),
        ),
        (
            "reports",
            numbered("version: 0.2\nreports:\n", |n| {
                format!("  r{n}: {{files: a}}\n")
            }),
        ),
        (
            "secondary",
            numbered("version: 0.2\nartifacts:\n  secondary-artifacts:\n", |n| {
                format!("    a{n}: {{files: a}}\n")
            }),
        ),
        (
            "files",
            fill("version: 0.2\nartifacts:\n  files:\n", "    - /a/../b\n"),
        ),
    ]
}

/// Shapes of a batch, and of comments that switch findings off.
fn batches_and_switches() -> Vec<(&'static str, String)> {
    let switched = "version: 0.2\nphases:\n  build:\n    commands:\n";
    vec![
        (
            "graph",
            numbered("version: 0.2\nbatch:\n  build-graph:\n", |n| {
                format!("    - {{identifier: b{}, depend-on: [b{n}]}}\n", n + 1)
            }),
        ),
        (
            "dependencies",
            numbered(
                "version: 0.2\nbatch:\n  build-graph:\n    - identifier: a\n      depend-on:\n",
                |n| format!("        - b{n}\n"),
            ),
        ),
        (
            "matrix",
            fill(
                "version: 0.2\nbatch:\n  build-matrix:\n    dynamic:\n      env:\n        image:\n",
                "          - a\n",
            ),
        ),
        (
            "switches",
            fill(
                switched,
                "      - a # buildspec-agent: disable=unknown-key\n",
            ),
        ),
        ("switches over all", switches()),
    ]
}

/// `start`, then `piece` until the file is full.
fn fill(start: &str, piece: &str) -> String {
    closed(start, piece, "")
}

fn closed(start: &str, piece: &str, end: &str) -> String {
    let room = LARGEST_FILE_BYTES - start.len() - end.len();
    format!("{start}{}{end}", piece.repeat(room / piece.len()))
}

/// `start`, then pieces with running numbers until the file is full.
fn numbered(start: &str, piece: impl Fn(usize) -> String) -> String {
    let mut text = start.to_owned();
    for number in 0.. {
        let next = piece(number);
        if text.len() + next.len() > LARGEST_FILE_BYTES {
            break;
        }
        text.push_str(&next);
    }
    text
}

/// Half a file of names to export, half a file of commands that set none of them.
fn exports() -> String {
    let mut start = "version: 0.2\nenv:\n  exported-variables:\n".to_owned();
    for number in 0..12_000 {
        // Writing to a text cannot fail.
        let _ = writeln!(start, "    - VARIABLE_{number}");
    }
    closed(
        &(start + "phases: {build: {commands: ['echo"),
        " VARIABLE_",
        "']}}\n",
    )
}

/// Functions that one command defines and the next one calls.
fn functions() -> String {
    let all = |piece: &dyn Fn(usize) -> String| (0..15_000).map(piece).collect::<String>();
    let (defined, called) = (
        all(&|n| format!("f{n}(){{ :;}};")),
        all(&|n| format!("f{n};")),
    );
    format!("version: 0.2\nphases: {{build: {{commands: ['{defined}', '{called}']}}}}\n")
}

/// Comments that each hold for the whole rest of the file.
fn switches() -> String {
    let mut start = "version: 0.2\n".to_owned();
    for depth in 0..300 {
        let indent = " ".repeat(depth);
        // Writing to a text cannot fail.
        let _ = write!(
            start,
            "{indent}# buildspec-agent: disable=unknown-key\n{indent}#\n"
        );
    }
    let deep = format!("{}#\n", " ".repeat(301));
    fill(&start, &deep)
}
