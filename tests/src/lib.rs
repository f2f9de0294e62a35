//! What the end-to-end tests share: a source tree goes in, a finished build comes out, and nothing
//! may be left on the host.
//!
//! The tests use the program as a user does, through its command line, and Docker through its own.
//! What they need and do not find makes them fail with the command that provides it; none is skipped.

#![expect(
    clippy::missing_panics_doc,
    reason = "the harness panics where what it needs is not there: so tests fail"
)]

pub mod aws;
pub mod conformance;
pub mod engine;
pub mod fault_proxy;
mod files;
mod finished;
mod golden;
pub mod http;
mod image;
mod log;
pub mod postgres;
mod program;
mod project;
pub mod registry;
mod running;
pub mod stores;
mod terminal;

pub use files::read_tree;
pub use finished::{Artifact, Build, Context, Finished, Phase, Variable};
pub use golden::assert_matches_golden;
pub use image::Image;
pub use log::normalise;
pub use program::program;
pub use project::Project;
pub use running::Running;
pub use terminal::Terminal;
