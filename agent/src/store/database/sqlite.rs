//! SQLite in this process: one connection that writes, some that read.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nix::fcntl::{Flock, FlockArg};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{Column, Row as _, Transaction, TypeInfo, ValueRef};

use super::watch::Watch;
use super::{
    Changes, Database, Durability, Heralds, Row, Session, Signals, Topic, Twin, Value, failed,
    migrations,
};
use crate::store::{Herald, StoreError};

/// How long a statement waits for another process that writes.
const BUSY: Duration = Duration::from_secs(10);

/// Connections that read.
const READERS: u32 = 4;

/// A database file of this machine. Writers take turns: upgrading a transaction that has read
/// something fails at once when another one writes, however long the busy timeout is.
#[derive(Debug)]
pub(in crate::store) struct Sqlite {
    writer: sqlx::SqlitePool,
    readers: sqlx::SqlitePool,
    signals: Signals,
    heralds: Heralds,
    _watch: Watch,
}

/// SQLite's words.
fn words(twin: Twin) -> &'static str {
    twin.sqlite
}

impl Sqlite {
    /// Opens a file, which is made if needed, readable by its owner only, and brings its schema up
    /// to date.
    pub(in crate::store) async fn open(path: &Path) -> Result<Self, StoreError> {
        let shown = || path.display().to_string();
        let open = |source| StoreError::Open {
            store: shown(),
            source,
        };
        // The engine gives its further files the permissions of the first one.
        private(path).map_err(|error| open(sqlx::Error::Io(error)))?;
        let _lock = lock(path).map_err(|error| open(sqlx::Error::Io(error)))?;
        // What was acknowledged must be there after the power failed: the queue is worth the flush.
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY)
            .foreign_keys(true);
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options.clone())
            .await
            .map_err(open)?;
        let migrated = migrations::migrator(words).run(&writer).await;
        migrated.map_err(|source| StoreError::Migrate {
            store: shown(),
            source: Box::new(source),
        })?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_lazy_with(options.pragma("query_only", "ON"));
        let signals = Signals::default();
        let watch = Watch::start(path, signals.clone());
        let watch = watch.map_err(|error| open(sqlx::Error::Io(error)))?;
        Ok(Self {
            writer,
            readers,
            signals,
            heralds: Heralds::default(),
            _watch: watch,
        })
    }
}

/// Makes the file unless it is there.
fn private(path: &Path) -> std::io::Result<()> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map(drop)
}

/// Keeps two processes from bringing a schema up to date at the same time.
fn lock(path: &Path) -> std::io::Result<Flock<File>> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(PathBuf::from(name))?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error.into())
}

#[async_trait]
impl Database for Sqlite {
    async fn write(&self, durability: Durability) -> Result<Box<dyn Session>, StoreError> {
        let begin = match durability {
            Durability::Kept => "PRAGMA synchronous = FULL; BEGIN IMMEDIATE",
            Durability::Following => "PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE",
        };
        let transaction = self.writer.begin_with(begin).await.map_err(failed(begin))?;
        Ok(Box::new(SqliteSession {
            transaction,
            signals: self.signals.clone(),
            herald: self.heralds.present(),
            calls: Vec::new(),
        }))
    }

    async fn read(&self) -> Result<Box<dyn Session>, StoreError> {
        let transaction = self.readers.begin().await.map_err(failed("BEGIN"))?;
        Ok(Box::new(SqliteSession {
            transaction,
            signals: self.signals.clone(),
            herald: self.heralds.present(),
            calls: Vec::new(),
        }))
    }

    /// A transaction costs nothing here.
    async fn look(&self) -> Result<Box<dyn Session>, StoreError> {
        self.read().await
    }

    fn changes(&self) -> Changes {
        self.signals.subscribe()
    }

    fn heralds(&self) -> &Heralds {
        &self.heralds
    }
}

struct SqliteSession {
    transaction: Transaction<'static, sqlx::Sqlite>,
    signals: Signals,
    herald: Option<Arc<dyn Herald>>,
    calls: Vec<Topic>,
}

#[async_trait]
impl Session for SqliteSession {
    async fn rows(
        &mut self,
        statement: &'static str,
        values: &[Value],
    ) -> Result<Vec<Row>, StoreError> {
        let mut query = sqlx::query(statement);
        for value in values {
            query = match value {
                Value::Integer(number) => query.bind(*number),
                Value::Text(text) => query.bind(text.clone()),
            };
        }
        let rows = query.fetch_all(&mut *self.transaction).await;
        let rows = rows.map_err(failed(statement))?;
        rows.iter()
            .map(row)
            .collect::<Result<_, _>>()
            .map_err(failed(statement))
    }

    fn text(&self, twin: Twin) -> &'static str {
        words(twin)
    }

    fn herald(&self) -> Option<&Arc<dyn Herald>> {
        self.herald.as_ref()
    }

    async fn wake(&mut self, topic: Topic) -> Result<(), StoreError> {
        self.calls.push(topic);
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        self.transaction.commit().await.map_err(failed("COMMIT"))?;
        for topic in self.calls {
            self.signals.wake(topic);
        }
        Ok(())
    }
}

fn row(row: &SqliteRow) -> Result<Row, sqlx::Error> {
    let columns = row.columns().iter().map(|column| {
        let at = column.ordinal();
        match row.try_get_raw(at)?.type_info().name() {
            "TEXT" => row.try_get(at).map(Value::Text),
            // An absent value has the type NULL.
            _ => row.try_get(at).map(Value::Integer),
        }
    });
    columns.collect::<Result<_, _>>().map(Row::new)
}
