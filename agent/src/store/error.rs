//! Why the store did not do what it was asked to.

use std::sync::Arc;

use super::resource::Kind;
use crate::model::{BuildId, ProjectName};

/// Why the store did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The address names no engine. It is not repeated: there may be a password in it.
    #[error("the store's address begins neither with `sqlite:` nor with `postgres:`")]
    UnknownAddress,
    /// The store cannot be opened.
    #[error("cannot open the store {store}")]
    Open {
        /// Its place, without user and password.
        store: String,
        /// What the engine says.
        source: sqlx::Error,
    },
    /// The schema cannot be brought up to date.
    #[error("cannot bring the schema of the store {store} up to date")]
    Migrate {
        /// Its place, without user and password.
        store: String,
        /// What the engine says.
        source: Box<sqlx::migrate::MigrateError>,
    },
    /// There is something of this name already.
    #[error("there is a {kind} of the name {name} already", kind = kind.noun())]
    AlreadyExists {
        /// What it is.
        kind: Kind,
        /// Its name.
        name: String,
    },
    /// There is nothing of this name.
    #[error("there is no {kind} of the name {name}", kind = kind.noun())]
    NotFound {
        /// What was looked for.
        kind: Kind,
        /// Its name.
        name: String,
    },
    /// The token stands for a request with other parameters.
    #[error("parameter mismatch: the idempotency token was used for a different request")]
    TokenMismatch,
    /// The project has as many builds as it may, and the request was not to wait.
    #[error("project {project} may have no more than {limit} builds at once")]
    LimitReached {
        /// The project.
        project: ProjectName,
        /// Its limit.
        limit: u64,
    },
    /// The lease is another attempt's by now, or the build is over.
    #[error("attempt {attempt} of build {build} has no lease any more")]
    LeaseLost {
        /// The build.
        build: BuildId,
        /// The attempt that came too late.
        attempt: u32,
    },
    /// A token of a list that no list has given.
    #[error("the next token is not one of this list")]
    InvalidToken,
    /// The engine refused a statement.
    #[error("the store failed at `{statement}`")]
    Database {
        /// The statement's beginning.
        statement: &'static str,
        /// What the engine says; calls that shared a transaction share it.
        source: Arc<sqlx::Error>,
    },
    /// A row holds what no version of this program writes.
    #[error("the store holds a {what} that cannot be read: {value}")]
    Corrupt {
        /// What was read.
        what: &'static str,
        /// The beginning of it.
        value: String,
    },
}

impl StoreError {
    /// Whether asking again later may help: the database is away or busy.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Database { .. } | Self::Open { .. })
    }

    /// The same error for another call, if it is one of the connection and says nothing about the call.
    pub(super) fn shared(&self) -> Option<Self> {
        let Self::Database { statement, source } = self else {
            return None;
        };
        let is_of_connection = matches!(
            **source,
            sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed
        );
        is_of_connection.then(|| Self::Database {
            statement,
            source: Arc::clone(source),
        })
    }

    /// The store is being closed: nobody answers calls any more.
    pub(super) fn gone() -> Self {
        Self::Database {
            statement: "BEGIN",
            source: Arc::new(sqlx::Error::PoolClosed),
        }
    }
}
