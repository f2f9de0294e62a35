//! What things cost, compared with a peer that does the same work in the same run on the same machine.
//!
//! Times on one machine say little on another; ratios against a bare peer that does the same work
//! do. Agent and peer take turns, so that a busy moment hits both, and medians are compared.
//! Ends with 0 whatever the numbers are: they are for a person to judge.

mod api;
mod archive;
mod builds;
mod cache;
mod logs;
mod parser;
mod queue;
mod sources;
mod uploads;
mod worker;

use std::io::{self, Write};
use std::time::{Duration, Instant};

/// Turns of measurements that take longer than a second or two.
const LONG_TURNS: usize = 3;

fn main() -> io::Result<()> {
    // Arguments choose by part: `bench queue worker`.
    let parts: Vec<String> = std::env::args().skip(1).collect();
    if parts == [logs::SERVE] {
        return logs::serve();
    }
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{:<44} {:>12} {:>12} {:>8}  promised",
        "", "agent", "peer", "ratio"
    )?;
    let rows: [(&str, Measure); 27] = [
        ("builds", builds::one_build),
        ("builds", builds::one_command),
        ("builds", builds::output),
        ("builds", builds::memory),
        ("archive", archive::archive),
        ("cache", cache::warm),
        ("sources", sources::second_clone),
        ("sources", sources::first_clone),
        ("logs", logs::speed),
        ("logs", logs::memory),
        ("parser", parser::buildspec),
        ("parser", parser::hostile),
        ("queue", queue::throughput),
        ("queue", queue::depth_of_leases),
        ("queue", queue::depth),
        ("uploads", uploads::large),
        ("uploads", uploads::large_memory),
        ("files", uploads::many),
        ("files", uploads::many_memory),
        ("worker", worker::beginning),
        ("worker", worker::at_once),
        ("worker", worker::idle_memory),
        ("worker", worker::idle_processor),
        ("api", api::start_build),
        ("api", api::start_builds),
        ("api", api::batch_get),
        ("api", api::memory),
    ];
    for (part, row) in rows {
        if !parts.is_empty() && !parts.iter().any(|wanted| wanted == part) {
            continue;
        }
        let Row {
            what,
            agent,
            peer,
            ratio,
            promised,
        } = row();
        writeln!(
            out,
            "{what:<44} {agent:>12} {peer:>12} {ratio:>8.3}  {promised}"
        )?;
        out.flush()?;
    }
    Ok(())
}

/// What makes a line of the table.
type Measure = fn() -> Row;

/// One line of the table.
struct Row {
    what: String,
    agent: String,
    peer: String,
    ratio: f64,
    promised: &'static str,
}

impl Row {
    fn of_times(
        what: impl Into<String>,
        agent: Duration,
        peer: Duration,
        promised: &'static str,
    ) -> Self {
        Self {
            what: what.into(),
            agent: readable(agent),
            peer: readable(peer),
            ratio: agent.as_secs_f64() / peer.as_secs_f64(),
            promised,
        }
    }
}

/// Medians of two measurements that take turns. The first turn warms caches and is not counted.
fn in_turns(turns: usize, mut one: impl FnMut(), mut other: impl FnMut()) -> (Duration, Duration) {
    let times = (0..=turns)
        .map(|_| (timed(&mut one), timed(&mut other)))
        .skip(1);
    let (ones, others) = times.unzip();
    (median(ones), median(others))
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn readable(time: Duration) -> String {
    if time < Duration::from_millis(1) {
        format!("{:.1} µs", time.as_secs_f64() * 1e6)
    } else {
        format!("{:.1} ms", time.as_secs_f64() * 1000.0)
    }
}
