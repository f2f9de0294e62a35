//! What the program promises, seen from outside. A file a promise, or a family of them.

mod artifacts;
mod bad_input;
mod command_line;
mod concurrency;
mod conformance;
mod host_user;
mod images;
mod leftovers;
mod log;
mod output;
mod overrides;
mod reports;
mod state;
mod stopping;
mod success;
mod transitions;
