//! Prints how long parsing takes, in nanoseconds, for each file named on the command line: best of
//! several rounds, one JSON object a line.

use std::io::{self, Write};
use std::time::Instant;

const ROUNDS: usize = 50;

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for name in std::env::args().skip(1) {
        let text = std::fs::read_to_string(&name)?;
        let round = || {
            let start = Instant::now();
            std::hint::black_box(buildspec_parser::parse(std::hint::black_box(&text)));
            start.elapsed().as_nanos()
        };
        let best = (0..ROUNDS).map(|_| round()).min().unwrap_or_default();
        let line = serde_json::json!({ "file": name, "bytes": text.len(), "nanoseconds": best });
        writeln!(out, "{line}")?;
    }
    Ok(())
}
