//! The program inside a build container, and the protocol in which the agent speaks with it.
//!
//! The agent depends on this library only: [`protocol`], and the pure parts that it also shows to
//! people before a build runs: what is hidden ([`masking`]), which files a pattern takes
//! ([`globs`]), what follows a phase ([`transitions`]); and how to get rid of what a build has
//! left ([`removal`]), and whether a cache survived a crash ([`kept`]). The program itself is built static and
//! embedded in the agent's binary.

pub mod globs;
pub mod kept;
pub mod masking;
pub mod protocol;
pub mod removal;
pub mod transitions;
