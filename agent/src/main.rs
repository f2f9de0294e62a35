//! The program `buildspec-agent`.

use std::process::ExitCode;

use agent::cli::{self, Cli};
use clap::Parser;

#[tokio::main]
async fn main() -> ExitCode {
    Box::pin(cli::run(Cli::parse())).await
}
