//! What the end-to-end tests share: a source tree goes in, a finished build comes out, and nothing
//! may be left on the host.
//!
//! The tests use the program as a user does, through its command line, and Docker through its own.
//! What they need and do not find makes them fail with the command that provides it; none is skipped.

#![expect(
    clippy::missing_panics_doc,
    reason = "the harness panics where what it needs is not there: so tests fail"
)]

mod authority;
pub mod aws;
mod aws_request;
pub mod cloudwatch;
pub mod codepipeline;
pub mod conformance;
pub mod dockerd;
pub mod engine;
pub mod fault_proxy;
mod files;
mod finished;
pub mod fleet;
mod git_repository;
mod git_server;
mod golden;
pub mod hammer;
pub mod http;
mod image;
mod json_service;
mod log;
pub mod postgres;
mod program;
mod project;
pub mod receiver;
pub mod registry;
mod running;
pub mod s3_server;
mod server;
mod ssh_server;
pub mod stores;
mod terminal;
mod until;
pub mod wire_proxy;

pub use authority::Authority;
pub use aws_request::AwsRequest;
pub use files::read_tree;
pub use finished::{Artifact, Build, Context, Finished, Logs, Phase, Variable};
pub use git_repository::{GitRepository, git};
pub use git_server::GitServer;
pub use golden::assert_matches_golden;
pub use image::Image;
pub use log::normalise;
pub use program::program;
pub use project::Project;
pub use running::Running;
pub use server::{CliVersion, Server};
pub use ssh_server::SshServer;
pub use terminal::Terminal;
pub use until::until;
