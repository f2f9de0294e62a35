//! Lets everything go wrong for a fleet that runs builds, and judges what became of them.
//!
//! `chaos [SEED]`: a plan is made from the number, and told, so that it can be repeated.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tests::fleet::{Equipment, Fault, Fleet, Plan};

/// Machines of the fleet.
const MACHINES: usize = 3;

/// Builds that go through it.
const BUILDS: usize = 200;

/// How often each fault happens.
const TIMES: usize = 2;

/// How long all of it may take.
const LIMIT: Duration = Duration::from_mins(12);

fn main() -> io::Result<ExitCode> {
    let asked = std::env::args().nth(1).and_then(|seed| seed.parse().ok());
    let seed = asked.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.unwrap_or_default().as_secs()
    });
    let plan = Plan::new(seed, &Fault::ALL, TIMES, MACHINES, BUILDS);
    let mut out = io::stdout();
    writeln!(
        out,
        "chaos {seed}: {BUILDS} builds, {MACHINES} machines; again with `make chaos SEED={seed}`"
    )?;
    let start = Instant::now();
    let verdict = tokio::runtime::Runtime::new()?.block_on(async {
        let equipment = Equipment {
            disk: true,
            clock: true,
        };
        let mut fleet = Fleet::new(MACHINES, equipment).await;
        let tell = |what: &str| {
            let passed = start.elapsed().as_secs();
            drop(writeln!(io::stdout(), "{passed:>4} s  {what}"));
        };
        fleet.endure(&plan, LIMIT, tell).await
    });
    write!(out, "{verdict}")?;
    writeln!(out, "{} s in all", start.elapsed().as_secs())?;
    Ok(if verdict.complaints.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
