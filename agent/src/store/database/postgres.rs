//! PostgreSQL, for many machines: waiting builds are claimed past each other's locks, and wake-up
//! calls come through `LISTEN`.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPoolOptions, PgRow};
use sqlx::{Column, PgPool, Row as _, Transaction, TypeInfo};
use tokio::task::JoinSet;

use super::{
    Changes, Database, Durability, Heralds, Row, Session, Signals, Topic, Twin, Value, failed,
    migrations,
};
use crate::store::{Herald, StoreError};

/// Name of the channel for wake-up calls.
const CHANNEL: &str = "buildspec_agent";

/// Calls whoever waits for a topic.
const NOTIFY: &str = "SELECT CAST(pg_notify('buildspec_agent', $1) AS TEXT)";

/// Connections of one process.
const CONNECTIONS: u32 = 8;

/// How long a call waits for a connection before it fails.
const ACQUIRE: Duration = Duration::from_secs(10);

/// Time between two attempts at listening again.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// A database on a server.
#[derive(Debug)]
pub(in crate::store) struct Postgres {
    pool: PgPool,
    signals: Signals,
    heralds: Heralds,
    /// Listens; ends with this value.
    _listener: JoinSet<()>,
}

/// PostgreSQL's words.
fn words(twin: Twin) -> &'static str {
    twin.postgres
}

impl Postgres {
    /// Connects to the database of a URL and brings its schema up to date.
    pub(in crate::store) async fn connect(url: &str) -> Result<Self, StoreError> {
        let mut shown = "postgres".to_owned();
        let options = PgConnectOptions::from_str(url).map_err(|source| StoreError::Open {
            store: shown.clone(),
            source,
        })?;
        let database = options.get_database().unwrap_or_default();
        shown = format!("postgres://{}/{database}", options.get_host());
        let options = options.application_name("buildspec-agent");
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ACQUIRE)
            .test_before_acquire(false)
            .connect_with(options)
            .await
            .map_err(|source| StoreError::Open {
                store: shown.clone(),
                source,
            })?;
        let migrated = migrations::migrator(words).run(&pool).await;
        migrated.map_err(|source| StoreError::Migrate {
            store: shown,
            source: Box::new(source),
        })?;
        let signals = Signals::default();
        let mut listener = JoinSet::new();
        listener.spawn(listen(pool.clone(), signals.clone()));
        Ok(Self {
            pool,
            signals,
            heralds: Heralds::default(),
            _listener: listener,
        })
    }
}

impl Postgres {
    /// Begins a transaction on a connection that lives. Connections are not asked for that before: it would
    /// be a further round trip each time, and a broken one is known by its first word.
    async fn begin(
        &self,
        begin: &'static str,
    ) -> Result<Transaction<'static, sqlx::Postgres>, StoreError> {
        for _ in 0..CONNECTIONS {
            match self.pool.begin_with(begin).await {
                Err(error) if is_broken(&error) => {}
                transaction => return transaction.map_err(failed(begin)),
            }
        }
        self.pool.begin_with(begin).await.map_err(failed(begin))
    }
}

/// Whether the connection is of no use any more: it broke, or the server has ended it (class 57P).
fn is_broken(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| code.starts_with("57P")),
        _ => false,
    }
}

/// Passes wake-up calls on. Whenever the connection was lost, everybody is woken: calls may have been
/// missed.
async fn listen(pool: PgPool, signals: Signals) {
    loop {
        if let Err(error) = listen_once(&pool, &signals).await {
            tracing::warn!(%error, "cannot listen for changes of the store, trying again");
        }
        tokio::time::sleep(LISTEN_AGAIN).await;
    }
}

async fn listen_once(pool: &PgPool, signals: &Signals) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    signals.wake_all();
    while let Some(call) = listener.try_recv().await? {
        signals.wake_by_name(call.payload());
    }
    Ok(())
}

#[async_trait]
impl Database for Postgres {
    async fn write(&self, durability: Durability) -> Result<Box<dyn Session>, StoreError> {
        let begin = match durability {
            Durability::Kept => "BEGIN",
            Durability::Following => "BEGIN; SET LOCAL synchronous_commit TO off",
        };
        Ok(Box::new(PostgresSession {
            transaction: self.begin(begin).await?,
            herald: self.heralds.present(),
        }))
    }

    async fn read(&self) -> Result<Box<dyn Session>, StoreError> {
        const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        Ok(Box::new(PostgresSession {
            transaction: self.begin(BEGIN).await?,
            herald: None,
        }))
    }

    async fn look(&self) -> Result<Box<dyn Session>, StoreError> {
        let connection = self.pool.acquire().await.map_err(failed("SELECT"))?;
        Ok(Box::new(PostgresLook {
            pool: self.pool.clone(),
            connection,
        }))
    }

    fn changes(&self) -> Changes {
        self.signals.subscribe()
    }

    fn heralds(&self) -> &Heralds {
        &self.heralds
    }
}

struct PostgresSession {
    transaction: Transaction<'static, sqlx::Postgres>,
    herald: Option<Arc<dyn Herald>>,
}

#[async_trait]
impl Session for PostgresSession {
    async fn rows(
        &mut self,
        statement: &'static str,
        values: &[Value],
    ) -> Result<Vec<Row>, StoreError> {
        let rows = fetch(&mut self.transaction, statement, values).await;
        rows.map_err(failed(statement))
    }

    fn text(&self, twin: Twin) -> &'static str {
        words(twin)
    }

    fn herald(&self) -> Option<&Arc<dyn Herald>> {
        self.herald.as_ref()
    }

    async fn wake(&mut self, topic: Topic) -> Result<(), StoreError> {
        self.rows(NOTIFY, &[topic.name().into()]).await.map(drop)
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        self.transaction.commit().await.map_err(failed("COMMIT"))
    }
}

/// Statements that only read, without a transaction around them.
struct PostgresLook {
    pool: PgPool,
    connection: PoolConnection<sqlx::Postgres>,
}

#[async_trait]
impl Session for PostgresLook {
    async fn rows(
        &mut self,
        statement: &'static str,
        values: &[Value],
    ) -> Result<Vec<Row>, StoreError> {
        for _ in 0..CONNECTIONS {
            match fetch(&mut self.connection, statement, values).await {
                Err(error) if is_broken(&error) => {
                    let another = self.pool.acquire().await;
                    self.connection = another.map_err(failed(statement))?;
                }
                rows => return rows.map_err(failed(statement)),
            }
        }
        let rows = fetch(&mut self.connection, statement, values).await;
        rows.map_err(failed(statement))
    }

    fn text(&self, twin: Twin) -> &'static str {
        words(twin)
    }

    fn herald(&self) -> Option<&Arc<dyn Herald>> {
        None
    }

    async fn wake(&mut self, topic: Topic) -> Result<(), StoreError> {
        self.rows(NOTIFY, &[topic.name().into()]).await.map(drop)
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        Ok(())
    }
}

async fn fetch(
    connection: &mut PgConnection,
    statement: &'static str,
    values: &[Value],
) -> Result<Vec<Row>, sqlx::Error> {
    let mut query = sqlx::query(statement);
    for value in values {
        query = match value {
            Value::Integer(number) => query.bind(*number),
            Value::Text(text) => query.bind(text.clone()),
        };
    }
    query.fetch_all(connection).await?.iter().map(row).collect()
}

fn row(row: &PgRow) -> Result<Row, sqlx::Error> {
    let columns = row.columns().iter().map(|column| {
        let at = column.ordinal();
        match column.type_info().name() {
            "INT8" => row.try_get(at).map(Value::Integer),
            "INT4" => {
                let number: Option<i32> = row.try_get(at)?;
                Ok(Value::Integer(number.map(i64::from)))
            }
            _ => row.try_get(at).map(Value::Text),
        }
    });
    columns.collect::<Result<_, _>>().map(Row::new)
}
