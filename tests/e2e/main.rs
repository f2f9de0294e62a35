//! What the program promises, seen from outside. A file a promise, or a family of them.

mod artifacts;
mod bad_input;
mod cache;
mod choices;
mod command_line;
mod concurrency;
mod conformance;
mod debug;
mod host_user;
mod hostile;
mod images;
mod leftovers;
mod log;
mod network;
mod output;
mod overrides;
mod reports;
mod secrets;
mod sources;
mod state;
mod stopping;
mod store;
mod success;
mod transitions;
mod without_docker;
mod worker;
