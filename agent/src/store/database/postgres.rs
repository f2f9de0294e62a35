//! PostgreSQL, for many machines: waiting builds are claimed past each other's locks, and wake-up
//! calls come through `LISTEN`.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions, PgRow};
use sqlx::{Column, PgPool, Row as _, Transaction, TypeInfo};
use tokio::task::JoinSet;

use super::{
    Changes, Database, Durability, Heralds, Row, Session, Signals, Topic, Twin, Value, failed,
    migrations,
};
use crate::store::{Herald, StoreError};

/// Name of the channel for wake-up calls.
const CHANNEL: &str = "buildspec_agent";

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
        let transaction = self.pool.begin_with(begin).await.map_err(failed(begin))?;
        Ok(Box::new(PostgresSession {
            transaction,
            herald: self.heralds.present(),
        }))
    }

    async fn read(&self) -> Result<Box<dyn Session>, StoreError> {
        const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let transaction = self.pool.begin_with(BEGIN).await.map_err(failed(BEGIN))?;
        Ok(Box::new(PostgresSession {
            transaction,
            herald: None,
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
        const NOTIFY: &str = "SELECT pg_notify('buildspec_agent', $1)";
        sqlx::query(NOTIFY)
            .bind(topic.name())
            .execute(&mut *self.transaction)
            .await
            .map_err(failed(NOTIFY))?;
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        self.transaction.commit().await.map_err(failed("COMMIT"))
    }
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
