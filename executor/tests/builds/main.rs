//! Builds run by the real program, without a container: what the log says, what follows a
//! failure, what one command leaves to the next, how a build is ended.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "the functions of a test say what they are about"
)]

mod artifacts;
mod cache;
mod credentials;
mod ending;
mod harness;
mod log;
mod pauses;
mod phases;
mod shell;
