//! What the agent and the executor say to each other.
//!
//! The agent gives orders through a Unix socket ([`Order`]); the executor answers only through the
//! spool ([`spool`]), a directory of append-only segment files that outlives both programs. One
//! bind-mounted directory, the *channel*, carries all of it; its layout is in [`channel`].

mod cache;
pub mod channel;
mod credentials;
mod event;
mod order;
mod pause;
mod plan;
pub mod spool;
mod terminal;

pub use cache::{
    CacheAnswer, CacheMeta, CachePlace, CachePlan, CacheQuery, entry_name, is_keyed_entry,
    version_hash,
};
pub use credentials::{CredentialsPlan, RoleCredentials};
pub use event::{ArchiveSums, CommandUsage, Event, Exit, PhaseContext, Status};
pub use order::{Order, OrderError, decode_order, write_order};
pub use pause::{Continuation, DebugPlan, Pause, PausePlace, PauseReason, Resume};
pub use plan::{
    ArtifactPlan, CommandList, GitCredential, OnFailure, Owner, Packaging, Phase, PhasePlan, Plan,
    ReportPlan, Reports, RuntimeSelection, Secret, ShellKind, StateCarrying, Variable,
};
pub use terminal::{TerminalInput, TerminalInputError, WindowSize};
