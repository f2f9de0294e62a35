//! An engine: begins transactions, runs statements, carries wake-up calls.
//!
//! Statements and values are the same for both; values are integers and texts, which both engines
//! know without ado. Where a statement has to differ, the twins stand side by side as a [`Twin`].

mod changes;
mod migrations;
mod postgres;
mod row;
mod sqlite;
mod twin;
mod watch;

use std::sync::Arc;

use async_trait::async_trait;

use super::{Herald, StoreError};
pub use changes::Changes;
pub(super) use changes::{Heralds, Signals, Topic};
pub(super) use postgres::Postgres;
pub(super) use row::{Row, Value, timestamp};
pub(super) use sqlite::Sqlite;
pub(super) use twin::{Twin, of_each};

/// A database that the store can live in.
#[async_trait]
pub(super) trait Database: std::fmt::Debug + Send + Sync + 'static {
    /// Begins a transaction that may write.
    async fn write(&self, durability: Durability) -> Result<Box<dyn Session>, StoreError>;

    /// Begins a transaction that only reads, and sees one state of things.
    async fn read(&self) -> Result<Box<dyn Session>, StoreError>;

    /// Gives a session for one statement that only reads: it needs no transaction.
    async fn look(&self) -> Result<Box<dyn Session>, StoreError>;

    /// Wake-up calls from this process and others.
    fn changes(&self) -> Changes;

    /// Who words what its transactions do to builds.
    fn heralds(&self) -> &Heralds;
}

/// What is left of a transaction when the machine of the database loses its power right after it.
/// Whatever is left, everything before it is left too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// All of it: the disk has it before the caller knows.
    Kept,
    /// Perhaps nothing, if no transaction that is kept follows: for what nobody outside acts upon
    /// before such a one. Saves the time of a flush.
    Following,
}

/// A transaction. Dropped without [`Session::commit`], it has not happened.
#[async_trait]
pub(super) trait Session: Send {
    /// Runs a statement and gives its rows.
    async fn rows(
        &mut self,
        statement: &'static str,
        values: &[Value],
    ) -> Result<Vec<Row>, StoreError>;

    /// The engine's text of a statement that the engines know in different words.
    fn text(&self, twin: Twin) -> &'static str;

    /// Who words what it does to builds, if anybody does.
    fn herald(&self) -> Option<&Arc<dyn Herald>>;

    /// Wakes those who wait for this, once the transaction has happened.
    async fn wake(&mut self, topic: Topic) -> Result<(), StoreError>;

    /// Makes it happen.
    async fn commit(self: Box<Self>) -> Result<(), StoreError>;
}

/// Short forms of [`Session::rows`].
impl dyn Session + '_ {
    /// Runs a statement that gives one row or none.
    pub(super) async fn row(
        &mut self,
        statement: &'static str,
        values: &[Value],
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(statement, values).await?.into_iter().next())
    }

    /// The database's time, in milliseconds.
    pub(super) async fn now(&mut self) -> Result<i64, StoreError> {
        match self.row("SELECT now FROM clock", &[]).await? {
            Some(mut row) => row.integer(),
            None => Err(StoreError::Corrupt {
                what: "clock",
                value: String::new(),
            }),
        }
    }
}

/// Describes a statement that failed; made for `map_err`.
fn failed(statement: &'static str) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |source| StoreError::Database {
        statement,
        source: Arc::new(source),
    }
}
