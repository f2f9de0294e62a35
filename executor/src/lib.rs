//! The program inside a build container, and the protocol in which the agent speaks with it.
//!
//! The agent depends on [`protocol`] only. The program itself is built static and embedded in the
//! agent's binary.

pub mod protocol;
