//! Tokens by which a repeated request is known.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::millis;
use crate::model::BuildId;
use crate::store::database::{Session, Twin, of_each};
use crate::store::{IdempotencyToken, StoreError, TOKEN_LIFE};

/// A token that is not known, or not any more, is taken; another transaction with the same one waits for
/// the end of this one. In the order of the tokens, so that none waits for another in a circle.
const TAKE: Twin = of_each!(
    "
INSERT INTO idempotency (token, fingerprint, build, expires_at)
SELECT token, fingerprint, build, now + $2 FROM clock, ",
    [token text, fingerprint text, build text],
    " WHERE true ORDER BY token
ON CONFLICT (token) DO UPDATE SET fingerprint = excluded.fingerprint, build = excluded.build,
    expires_at = excluded.expires_at
    WHERE idempotency.expires_at <= (SELECT now FROM clock)
RETURNING build"
);

const KNOWN: &str = "SELECT fingerprint, build FROM idempotency WHERE token = $1";

const FORGET: &str = "DELETE FROM idempotency WHERE token = $1";

/// A token's name in the database: each operation has its own.
fn key(token: &IdempotencyToken) -> String {
    format!("{}:{}", token.operation.key(), token.token)
}

/// Takes tokens for the builds they come with. Gives the builds whose tokens are new; of several requests
/// with one token that is the first.
pub(super) async fn take<'t>(
    session: &mut dyn Session,
    requests: impl Iterator<Item = (&'t IdempotencyToken, &'t BuildId)> + Send,
) -> Result<BTreeSet<String>, StoreError> {
    let mut keys = BTreeSet::new();
    let mut asked = Vec::new();
    for (token, build) in requests {
        let key = key(token);
        if keys.insert(key.clone()) {
            let build = build.to_string();
            asked.push(json!({"token": key, "fingerprint": token.fingerprint, "build": build}));
        }
    }
    if asked.is_empty() {
        return Ok(BTreeSet::new());
    }
    let values = [(&Json::from(asked)).into(), millis(TOKEN_LIFE).into()];
    let rows = session.rows(session.text(TAKE), &values).await?;
    rows.into_iter().map(|mut row| row.text()).collect()
}

/// The build that a token stands for; `None` if the request that took it was refused after all.
pub(super) async fn known(
    session: &mut dyn Session,
    token: &IdempotencyToken,
) -> Result<Option<BuildId>, StoreError> {
    let Some(mut row) = session.row(KNOWN, &[key(token).into()]).await? else {
        return Ok(None);
    };
    if row.text()? != token.fingerprint {
        return Err(StoreError::TokenMismatch);
    }
    row.parsed("build id").map(Some)
}

/// Forgets a token whose request was refused.
pub(super) async fn forget(
    session: &mut dyn Session,
    token: &IdempotencyToken,
) -> Result<(), StoreError> {
    session.rows(FORGET, &[key(token).into()]).await.map(drop)
}
