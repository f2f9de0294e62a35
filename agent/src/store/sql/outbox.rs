//! Messages on their way: written with the change they tell of, claimed one a build and destination.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value as Json;
use std::sync::Arc;
use uuid::Uuid;

use super::{SqlStore, builds, millis};
use crate::model::BuildRequest;
use crate::store::database::{Database, Durability, Row, Session, Topic, Twin, Value};
use crate::store::{Change, Expired, Herald, Message, Outbox, Settled, StoreError};

/// The messages of one build are inserted by whoever holds its row in the queue: no two transactions
/// look for the same ordinal.
const INSERT: &str = "
INSERT INTO outbox (destination, build, ordinal, id, project, created_at, expires_at, due_at, payload)
SELECT $1, $2,
    COALESCE((SELECT MAX(ordinal) FROM outbox WHERE destination = $1 AND build = $2), 0) + 1,
    $3, $4, now, now + $5, now, $6 FROM clock WHERE true
ON CONFLICT (destination, id) DO NOTHING";

/// Claims of one destination go one after the other: between them, a first message that somebody else is
/// about to claim would make the second one look like the first. SQLite has one writer at a time anyway.
const TAKE_TURNS: Twin = Twin {
    sqlite: "SELECT $1",
    postgres: "SELECT CAST(pg_advisory_xact_lock(hashtextextended($1, 0)) AS TEXT)",
};

const IS_DUE: &str = "
SELECT id FROM outbox WHERE destination = $1 AND due_at <= (SELECT now FROM clock) LIMIT 1";

const CLAIM: &str = "
UPDATE outbox SET holder = $2, due_at = (SELECT now FROM clock) + $3, attempts = attempts + 1
WHERE destination = $1 AND id IN (
    SELECT id FROM outbox AS first
    WHERE destination = $1 AND due_at <= (SELECT now FROM clock) AND NOT EXISTS (
        SELECT 1 FROM outbox AS earlier
        WHERE earlier.destination = first.destination AND earlier.build = first.build
            AND earlier.ordinal < first.ordinal)
    ORDER BY due_at LIMIT $4)
RETURNING id, build, project, ordinal, attempts, payload";

const GONE: &str = "DELETE FROM outbox WHERE destination = $1 AND id = $2 AND holder = $3";

const AGAIN: &str = "
UPDATE outbox SET holder = NULL, due_at = (SELECT now FROM clock) + $4, problem = $5
WHERE destination = $1 AND id = $2 AND holder = $3";

const RELEASE: &str = "
UPDATE outbox SET holder = NULL, due_at = (SELECT now FROM clock) WHERE holder = $1";

/// So many at once.
const EXPIRE: &str = "
DELETE FROM outbox WHERE expires_at <= (SELECT now FROM clock) AND (destination, id) IN (
    SELECT destination, id FROM outbox WHERE expires_at <= (SELECT now FROM clock)
    ORDER BY expires_at LIMIT 100)
RETURNING id, destination, build, project, attempts, problem";

/// Whether somebody is to hear of a change of a build whose source shows how it stands, or does not.
pub(super) fn is_heard(session: &dyn Session, shows_status: bool) -> bool {
    let herald = session.herald();
    herald.is_some_and(|herald| shows_status || herald.hears_all())
}

/// Writes down what is to be told of a change.
pub(super) async fn tell(
    session: &mut dyn Session,
    request: &BuildRequest,
    before: Option<&Json>,
    after: &Json,
) -> Result<(), StoreError> {
    let Some(herald) = session.herald().cloned() else {
        return Ok(());
    };
    let messages = herald.messages(&Change {
        request,
        before,
        after,
    });
    if messages.is_empty() {
        return Ok(());
    }
    for message in messages {
        let values = [
            message.destination.into(),
            request.id.uuid.into(),
            message.id.into(),
            request.id.project.to_string().into(),
            millis(message.life).into(),
            message.payload.into(),
        ];
        session.rows(INSERT, &values).await?;
    }
    session.wake(Topic::Outbox).await
}

#[async_trait]
impl<D: Database> Outbox for SqlStore<D> {
    fn set_herald(&self, herald: Arc<dyn Herald>) {
        self.database.heralds().set(herald);
    }

    async fn claim_messages(
        &self,
        destination: &str,
        holder: &str,
        most: u32,
        life: Duration,
    ) -> Result<Vec<Message>, StoreError> {
        // Whoever is woken for nothing writes nothing.
        let mut reading = self.database.look().await?;
        if reading
            .rows(IS_DUE, &[destination.into()])
            .await?
            .is_empty()
        {
            return Ok(Vec::new());
        }
        drop(reading);
        // What is told has to outlive a loss of power, and all that was written before does when this does.
        let mut transaction = self.database.write(Durability::Kept).await?;
        let session = transaction.as_mut();
        let turn = session.text(TAKE_TURNS);
        session.rows(turn, &[destination.into()]).await?;
        let values = [
            destination.into(),
            holder.into(),
            millis(life).into(),
            most.into(),
        ];
        let mut messages = Vec::new();
        for mut row in session.rows(CLAIM, &values).await? {
            messages.push(message(&mut row)?);
        }
        transaction.commit().await?;
        messages.sort_by_key(|message| (message.build.uuid, message.ordinal));
        Ok(messages)
    }

    async fn settle_messages(
        &self,
        destination: &str,
        holder: &str,
        settled: &[(Uuid, Settled)],
    ) -> Result<(), StoreError> {
        let mut transaction = self.database.write(Durability::Following).await?;
        for (id, settled) in settled {
            let mut values: Vec<Value> = vec![destination.into(), (*id).into(), holder.into()];
            let statement = match settled {
                Settled::Gone => GONE,
                Settled::Again { pause, problem } => {
                    values.extend([millis(*pause).into(), problem.as_str().into()]);
                    AGAIN
                }
            };
            transaction.rows(statement, &values).await?;
        }
        transaction.commit().await
    }

    async fn release_messages(&self, holder: &str) -> Result<(), StoreError> {
        let mut transaction = self.database.write(Durability::Following).await?;
        transaction.rows(RELEASE, &[holder.into()]).await?;
        transaction.commit().await
    }

    async fn expire_messages(&self) -> Result<Vec<Expired>, StoreError> {
        let mut transaction = self.database.write(Durability::Following).await?;
        let mut expired = Vec::new();
        for mut row in transaction.rows(EXPIRE, &[]).await? {
            expired.push(Expired {
                id: row.parsed("message id")?,
                destination: row.text()?,
                build: builds::build_id(&mut row)?,
                attempts: row.count()?,
                problem: row.optional_text()?,
            });
        }
        transaction.commit().await?;
        Ok(expired)
    }
}

fn message(row: &mut Row) -> Result<Message, StoreError> {
    Ok(Message {
        id: row.parsed("message id")?,
        build: builds::build_id(row)?,
        ordinal: row.integer()?,
        attempts: row.count()?,
        payload: row.text()?,
    })
}
