//! How fast masking is, for an ordinary log and several sets of secrets: `cargo bench -p executor`.
#![expect(clippy::print_stdout, reason = "this is what a benchmark is for")]

use std::hint::black_box;
use std::time::Instant;

use executor::masking::{Encodings, MaskedStream, Masker};

/// Size of the log, in bytes.
const LOG_BYTES: usize = 256 * 1024 * 1024;

/// Size of the pieces in which it arrives, in bytes.
const PIECE_BYTES: usize = 64 * 1024;

fn main() {
    let piece = log_piece();
    println!(
        "{:>7} {:>9} {:>12} {:>12}",
        "secrets", "encodings", "prepare ms", "MB/s"
    );
    for (count, encodings) in [
        (0, Encodings::Plain),
        (50, Encodings::Plain),
        (50, Encodings::Common),
        (500, Encodings::Common),
    ] {
        let secrets: Vec<String> = (0..count).map(secret).collect();
        let start = Instant::now();
        let masker = Masker::new(secrets.iter().map(String::as_str), encodings)
            .unwrap_or_else(|error| panic!("{error}"));
        let prepared = start.elapsed();
        let (mut stream, mut out) = (MaskedStream::default(), Vec::new());
        let start = Instant::now();
        for _ in 0..LOG_BYTES / PIECE_BYTES {
            out.clear();
            stream.push(&masker, &piece, &mut out);
            black_box(&out);
        }
        let speed = (LOG_BYTES / 1_000_000) as u128 * 1_000_000 / start.elapsed().as_micros();
        let (encodings, prepared) = (format!("{encodings:?}"), prepared.as_secs_f64() * 1000.0);
        println!("{count:>7} {encodings:>9} {prepared:>12.2} {speed:>12}");
    }
}

/// A secret of 24 characters, different for each number.
fn secret(number: u64) -> String {
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x2545_F491_4F6C_DD1D;
    (0..24)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let index = usize::try_from(state >> 59).unwrap_or(0);
            char::from(b"ABCDEFGHJKLMNPQRSTabcdefghijkm+/0123456789"[index])
        })
        .collect()
}

/// What compilers and package managers print.
fn log_piece() -> Vec<u8> {
    const LINES: [&str; 4] = [
        "   Compiling serde_json v1.0.145 (/codebuild/output/src1/src/vendor/serde_json)\n",
        "[INFO] Downloaded from central: https://repo.example.org/org/junit/junit-4.13.jar (382 kB at 4.1 MB/s)\n",
        "test phases::tests::what_follows_a_failure_depends_on_phase ... ok\n",
        "2026-01-31T12:34:56Z DEBUG [worker-3] request id=7f3a9c21 status=200 bytes=18231 took=12ms\n",
    ];
    LINES
        .iter()
        .cycle()
        .flat_map(|line| line.bytes())
        .take(PIECE_BYTES)
        .collect()
}
