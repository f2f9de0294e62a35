//! The parser against `PyYAML`, and against texts made to keep it busy.

use std::hint::black_box;
use std::process::Command;
use std::time::Duration;

use buildspec_parser::lint::{LintConfig, lint};
use buildspec_parser::parse;

use super::{Row, median, readable, timed};

#[path = "../../../../buildspec-parser/tests/shapes/mod.rs"]
mod shapes;

/// A buildspec of a usual size for a grown project.
const BUILDSPEC: &str = include_str!("../../../../buildspec-parser/tests/large.yml");

/// Turns of reading a usual buildspec.
const TURNS: usize = 500;

/// Turns of reading a hostile text.
const HOSTILE_TURNS: usize = 3;

/// Time in which a hostile mebibyte has to be refused.
const HOSTILE_LIMIT: Duration = Duration::from_millis(50);

/// Reads standard input as often as the argument says, and prints the median time in nanoseconds.
const PYTHON: &str = r"
import sys, time, yaml
text = sys.stdin.read()
times = []
for turn in range(int(sys.argv[1])):
    start = time.perf_counter_ns()
    yaml.load(text, Loader=yaml.CSafeLoader)
    times.append(time.perf_counter_ns() - start)
print(sorted(times)[len(times) // 2])
";

/// Reading and validating a buildspec, against the C loader of `PyYAML`, which only reads it.
pub(crate) fn buildspec() -> Row {
    let times = (0..TURNS).map(|_| timed(|| drop(black_box(parse(black_box(BUILDSPEC))))));
    let agent = median(times.collect());
    let what = format!("parsing {} bytes, against PyYAML in C", BUILDSPEC.len());
    let promised = "at most 0.05";
    match pyyaml() {
        Some(peer) => Row::of_times(what, agent, peer, promised),
        None => Row {
            what,
            agent: readable(agent),
            peer: "not there".to_owned(),
            ratio: f64::NAN,
            promised: "at most 0.05; install python3-yaml to see it",
        },
    }
}

fn pyyaml() -> Option<Duration> {
    let text = tempfile::NamedTempFile::new().ok()?;
    std::fs::write(text.path(), BUILDSPEC).ok()?;
    let output = Command::new("python3")
        .args(["-c", PYTHON, &TURNS.to_string()])
        .stdin(text.reopen().ok()?)
        .output()
        .ok()?;
    let nanoseconds = String::from_utf8(output.stdout).ok()?.trim().parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

/// Linting the worst of the hostile texts.
pub(crate) fn hostile() -> Row {
    let linting = |text: &str| {
        let times = (0..HOSTILE_TURNS)
            .map(|_| timed(|| drop(black_box(lint(black_box(text), &LintConfig::default())))));
        median(times.collect())
    };
    let times = shapes::all()
        .into_iter()
        .map(|(name, text)| (linting(&text), name));
    let (worst, name) = times.max().unwrap_or_default();
    let what = format!("linting a hostile mebibyte ({name})");
    Row::of_times(what, worst, HOSTILE_LIMIT, "at most 1")
}
