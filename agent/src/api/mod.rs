//! CodeBuild's API over HTTP: a signed request comes in, an operation is carried out on the store, its
//! output goes back in the protocol of the request.
//!
//! `serve` takes connections, `wire` reads which operation is wanted, `auth` finds out who asks,
//! `operations` carries it out. Every request is answered, and every answer has an id.

mod audit;
mod auth;
mod direct;
mod endpoint;
mod error;
mod imported;
mod operations;
mod paging;
mod serve;
mod shell;
#[cfg(test)]
mod tests;
mod tls;
mod wire;

pub use auth::keys::{
    AccessKey, GuardedOverride, IssuedKey, KeyError, NewKey, Role, issue as issue_key,
    list as list_keys,
};
pub use direct::{Direct, DirectError};
pub use endpoint::{Endpoint, EndpointError, Settings};
pub use imported::ImportedCredentials;
pub use serve::serve;
pub use shell::{Frame, FrameError, Frames, PROTOCOL as SHELL_PROTOCOL};
pub use tls::{TlsError, acceptor};
