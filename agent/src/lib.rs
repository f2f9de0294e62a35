//! A CodeBuild-compatible build runner: the service behind the program `buildspec-agent`.
//!
//! Modules stand in the order in which a build goes through them; [`build`] is the one to read
//! first.

pub mod api;
pub mod artifacts;
pub mod build;
pub mod cache;
pub mod cli;
pub mod config;
pub mod credentials;
pub mod data_directory;
pub mod docker;
pub mod events;
pub mod images;
pub mod intake;
pub mod logs;
pub mod model;
pub mod pipeline;
pub mod reports;
pub mod runtimes;
pub mod secrets;
pub mod source;
pub mod state_file;
pub mod store;
pub mod vault;
pub mod worker;
