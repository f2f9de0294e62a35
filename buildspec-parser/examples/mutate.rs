//! Fuzzing without libFuzzer, on the stable toolchain: changes the buildspecs of a folder at random for
//! a number of seconds and checks that nothing panics and that what is accepted reads back. With debug
//! assertions the two readers of YAML are held against each other as well. At the end it tells the text that took
//! the most processor time.
//!
//! `CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true cargo run --release -p buildspec-parser --example mutate -- tests/specs 1800`

use std::io::{self, Write};
use std::time::{Duration, Instant};

use buildspec_parser::lint::{LintConfig, lint};
use buildspec_parser::output::{self, Color, Findings};
use buildspec_parser::{expand, fix, merge, parse, plan, print};

/// A small generator of numbers (xorshift): runs are repeatable by their seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % (limit.max(1) as u64)).unwrap_or(0)
    }
}

const PIECES: [&str; 24] = [
    ": ", "- ", "\n", "  ", "\t", "&a ", "*a", "<<: ", "|\n", ">-\n", "'", "\"", "{", "}", "[",
    "]", "#", "\r\n", "é", "🦀", "$(", "`", "<<EOF\n", "\u{feff}",
];

fn mutate(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(6) {
        let at = random.below(bytes.len() + 1);
        match random.below(5) {
            0 => drop(bytes.splice(at..at, PIECES[random.below(PIECES.len())].bytes())),
            1 => bytes.truncate(at),
            2 => {
                let end = (at + random.below(20)).min(bytes.len());
                bytes.drain(at..end);
            }
            3 => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len());
                let to = (from + random.below(60)).min(other.len());
                bytes.splice(at..at, other[from..to].iter().copied());
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = u8::try_from(random.below(256)).unwrap_or(0);
                }
            }
        }
    }
    bytes
}

fn check(bytes: &[u8]) {
    buildspec_parser::parse_bytes(bytes);
    let text = String::from_utf8_lossy(bytes);
    let parsed = lint(&text, &LintConfig::default());
    for diagnostic in &parsed.diagnostics {
        assert!(
            text.get(diagnostic.span.range()).is_some(),
            "{diagnostic:?} is outside of {text:?}"
        );
        output::text(diagnostic, "mutated", &text, Color::Never);
    }
    let findings = Findings {
        name: "mutated",
        text: &text,
        diagnostics: &parsed.diagnostics,
    };
    output::json(&findings);
    output::github(&findings);
    fix(&text, &parsed.diagnostics);
    merge(&text, &text);
    let Some(spec) = parsed.buildspec else { return };
    plan::phases(&spec);
    plan::globs(&spec);
    plan::variables(&spec);
    if let Some(batch) = &spec.batch {
        let _ = expand::expand(batch);
    }
    let printed = print(&spec);
    assert_eq!(
        parse(&printed).buildspec,
        Some(spec),
        "{text:?} printed as {printed:?}"
    );
}

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap_or_else(|| "tests/specs".to_owned());
    let seconds = arguments
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or(10);
    let mut seeds = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_file() {
            seeds.push(std::fs::read(path)?);
        }
    }
    let (start, mut executions) = (Instant::now(), 0u64);
    let (mut longest, mut slowest) = (Duration::ZERO, Vec::new());
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    while start.elapsed() < Duration::from_secs(seconds) {
        let bytes = mutate(&mut random, &seeds);
        let began = processor_time()?;
        check(&bytes);
        let took = processor_time()?.saturating_sub(began);
        if took > longest {
            (longest, slowest) = (took, bytes);
        }
        executions += 1;
    }
    writeln!(
        io::stdout(),
        "{executions} executions, the slowest took {longest:?}:\n{:?}",
        String::from_utf8_lossy(&slowest)
    )
}

/// Time this thread has spent on a processor: what others do meanwhile does not count.
fn processor_time() -> io::Result<Duration> {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = statistics
        .split(' ')
        .next()
        .and_then(|text| text.parse().ok());
    Ok(Duration::from_nanos(nanoseconds.unwrap_or_default()))
}
