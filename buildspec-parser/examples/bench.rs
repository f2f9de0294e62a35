//! Measures the parser; one JSON object a line, times in nanoseconds, best of several rounds.
//!
//! With files on the command line: reading each (`parse`), and what the events of the YAML library alone
//! cost for the same text (`events`), below which reading cannot come. Without: the hostile files of the tests, read
//! and linted; within 50 milliseconds each, that is the promise.

use std::hint::black_box;
use std::io::{self, Write};
use std::time::Instant;

use buildspec_parser::lint::{LintConfig, lint};
use buildspec_parser::parse;

#[path = "../tests/shapes/mod.rs"]
mod shapes;

const ROUNDS: usize = 200;
const HOSTILE_ROUNDS: usize = 3;

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    let files: Vec<String> = std::env::args().skip(1).collect();
    for name in &files {
        let text = std::fs::read_to_string(name)?;
        let line = serde_json::json!({
            "file": name,
            "bytes": text.len(),
            "parse": best(ROUNDS, || drop(black_box(parse(black_box(&text))))),
            "events": best(ROUNDS, || events(black_box(&text))),
        });
        writeln!(out, "{line}")?;
    }
    let hostile = if files.is_empty() {
        shapes::all()
    } else {
        Vec::new()
    };
    for (name, text) in hostile {
        let line = serde_json::json!({
            "shape": name,
            "bytes": text.len(),
            "parse": best(HOSTILE_ROUNDS, || drop(black_box(parse(black_box(&text))))),
            "lint": best(HOSTILE_ROUNDS, || drop(black_box(lint(black_box(&text), &LintConfig::default())))),
            "events": best(HOSTILE_ROUNDS, || events(black_box(&text))),
        });
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn best(rounds: usize, run: impl Fn()) -> u128 {
    let round = |_| {
        let start = Instant::now();
        run();
        start.elapsed().as_nanos()
    };
    (0..rounds).map(round).min().unwrap_or_default()
}

fn events(text: &str) {
    for event in granit_parser::Parser::new_from_str(text) {
        if black_box(event).is_err() {
            break;
        }
    }
}
