//! Sends malformed requests in both protocols to a server of its own over a loopback connection, a million
//! unless told otherwise: `hammer [COUNT [SEED]]`. Half of them go to a server that lets everybody in, half
//! to one that wants signatures.
//!
//! Ends with an error at the first answer that blames the server, is in the wrong protocol or does not come;
//! tells how many there were of each status, and what the server's memory and its open files were.

use std::process::ExitCode;
use std::time::Instant;

use tests::hammer::{Tally, hammer};
use tests::{Project, Server};

/// Connections at a time.
const CLIENTS: u64 = 8;

/// Requests after which memory is looked at for the first time: caches are warm then.
const WARM: u64 = 20_000;

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people"
)]
fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let mut number = |usual| {
        arguments
            .next()
            .map_or(Ok(usual), |argument| argument.parse())
    };
    let (Ok(count), Ok(seed)) = (number(1_000_000), number(1)) else {
        eprintln!("usage: hammer [COUNT [SEED]]");
        return ExitCode::from(2);
    };
    for (label, has_keys) in [("without keys", false), ("with keys", true)] {
        match round(has_keys, count / 2, seed) {
            Ok(told) => println!("{label}: {told}"),
            Err(error) => {
                eprintln!("{label}: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn round(has_keys: bool, count: u64, seed: u64) -> Result<String, String> {
    let project = Project::empty();
    if has_keys {
        let issued = project
            .agent(&["keys", "create", "--name", "nobody"])
            .output();
        issued.map_err(|error| error.to_string())?;
    }
    let server = Server::start(&project, &["--no-worker"]);
    if !has_keys {
        server.make_busy_project("demo");
    }
    let warm = WARM.min(count / 2);
    let start = Instant::now();
    let mut tally = hammer(server.address(), warm, CLIENTS, seed)?;
    let (memory, files) = (server.resident_kib(), server.open_files());
    let rest = hammer(
        server.address(),
        count - warm,
        CLIENTS,
        seed.wrapping_add(1),
    )?;
    for (status, count) in rest {
        *tally.entry(status).or_insert(0) += count;
    }
    let seconds = start.elapsed().as_secs_f64();
    let told = format!(
        "{count} requests in {seconds:.0} s; by status: {}; resident {memory} KiB, then {} KiB; {files} open files, then {}",
        shown(&tally),
        server.resident_kib(),
        server.open_files(),
    );
    if server.stop() {
        return Ok(told);
    }
    Err(format!("{told}; the server did not end well"))
}

fn shown(tally: &Tally) -> String {
    let counts = tally.iter().map(|(status, count)| match status {
        0 => format!("{count} hung up on"),
        status => format!("{count} × {status}"),
    });
    counts.collect::<Vec<_>>().join(", ")
}
