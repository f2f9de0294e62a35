//! Access keys: issued by the operator, kept in the store with their secrets sealed.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::store::{Kind, Order, PageRequest, Resource, ResourceSort, Store, StoreError};
use crate::vault::{self, Vault, VaultError};

/// How long the keys in memory are good for: a deleted key ends this soon.
const FRESH: Duration = Duration::from_secs(5);

/// How old the keys in memory may be when an unknown one comes.
const JUST_NOW: Duration = Duration::from_millis(500);

/// What stands in access key ids, as in AWS's: base 32.
const ID_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// What stands in secrets: base 64.
const SECRET_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// What the holder of a key may do.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look at everything, logs included
    Read,
    /// Also start, stop and retry builds
    Start,
    /// Everything
    Admin,
}

/// Overrides of a build that give more power than starting it: who may set one decides what runs, or
/// with which rights (user guide, "Using IAM policies", warns of them).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum GuardedOverride {
    /// What the build runs
    Buildspec,
    /// Where its source comes from
    Source,
    /// The image it runs in, and the credentials for it
    Image,
    /// Whether its container is privileged
    PrivilegedMode,
    /// The role it acts with
    ServiceRole,
}

/// An access key as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessKey {
    /// Who it was issued to.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// The guarded overrides that a `start` key may use; an `admin` key may use all.
    pub may_override: BTreeSet<GuardedOverride>,
    /// Whether its holder may enter builds that are paused, and let them go on; an `admin` key may.
    #[serde(default)]
    pub may_attach: bool,
    /// When its time is up, in milliseconds since 1970 UTC.
    pub expires_millis: Option<i64>,
    /// Its secret, sealed.
    secret: String,
    /// The session token that goes with it, sealed; keys with an end have one, as AWS's do.
    session_token: Option<String>,
}

/// What a new key shall be.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Who it is issued to.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// Guarded overrides that it may use.
    pub may_override: BTreeSet<GuardedOverride>,
    /// Whether its holder may enter paused builds.
    pub may_attach: bool,
    /// How long it holds; for ever if nothing is said.
    pub valid_for: Option<Duration>,
}

/// A key that was just made: the only time that its secret is seen.
#[derive(Debug)]
pub struct IssuedKey {
    /// Its id.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: SecretString,
    /// Its session token, if it has one.
    pub session_token: Option<SecretString>,
    /// When its time is up.
    pub expires: Option<Timestamp>,
}

/// Why a key was not issued or cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The store failed.
    #[error("the store of access keys failed")]
    Store(#[from] StoreError),
    /// Its secret cannot be sealed or opened.
    #[error("the secret of access key {id} cannot be used")]
    Vault {
        /// Its id.
        id: String,
        /// Why not.
        source: VaultError,
    },
    /// What the store has is no key.
    #[error("the store has no valid access key {id}")]
    Corrupt {
        /// Its id.
        id: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// It would be valid for longer than can be counted.
    #[error("the key would be valid for too long")]
    TooLong,
}

/// Issues a key.
pub async fn issue(store: &dyn Store, vault: &Vault, new: NewKey) -> Result<IssuedKey, KeyError> {
    let prefix = if new.valid_for.is_some() {
        "ASIA"
    } else {
        "AKIA"
    };
    let id = format!(
        "{prefix}{}",
        vault::random_text(ID_ALPHABET, 16).expose_secret()
    );
    let expires = match new.valid_for {
        Some(time) => Some(
            Timestamp::now()
                .checked_add(time)
                .map_err(|_| KeyError::TooLong)?,
        ),
        None => None,
    };
    let secret = vault::random_text(SECRET_ALPHABET, 40);
    let session_token = expires.map(|_| vault::random_text(SECRET_ALPHABET, 120));
    let failed = |source| KeyError::Vault {
        id: id.clone(),
        source,
    };
    let sealed_token = session_token
        .as_ref()
        .map(|token| vault.seal(&token_purpose(&id), token));
    let key = AccessKey {
        name: new.name,
        role: new.role,
        may_override: new.may_override,
        may_attach: new.may_attach,
        expires_millis: expires.map(Timestamp::as_millisecond),
        secret: vault.seal(&secret_purpose(&id), &secret).map_err(failed)?,
        session_token: sealed_token.transpose().map_err(failed)?,
    };
    let body = serde_json::to_value(&key).map_err(|source| KeyError::Corrupt {
        id: id.clone(),
        source,
    })?;
    store.create_resource(Kind::AccessKey, &id, body).await?;
    Ok(IssuedKey {
        access_key_id: id,
        secret_access_key: secret,
        session_token,
        expires,
    })
}

/// All keys by their ids.
pub async fn list(store: &dyn Store) -> Result<Vec<(Resource, AccessKey)>, KeyError> {
    let mut keys = Vec::new();
    let mut page = PageRequest::first(Order::Ascending);
    loop {
        let found = store
            .list_resources(Kind::AccessKey, ResourceSort::Name, &page)
            .await?;
        for resource in store.resources(Kind::AccessKey, &found.entries).await? {
            let key = serde_json::from_value(resource.body.clone()).map_err(|source| {
                KeyError::Corrupt {
                    id: resource.name.clone(),
                    source,
                }
            })?;
            keys.push((resource, key));
        }
        match found.next {
            Some(next) => page.after = Some(next),
            None => return Ok(keys),
        }
    }
}

fn secret_purpose(id: &str) -> String {
    format!("secret of access key {id}")
}

fn token_purpose(id: &str) -> String {
    format!("session token of access key {id}")
}

/// A key ready to check signatures with.
#[derive(Debug)]
pub(in crate::api) struct OpenKey {
    /// Its id.
    pub(in crate::api) id: String,
    /// What it is.
    pub(in crate::api) key: AccessKey,
    /// Its secret.
    pub(in crate::api) secret: SecretString,
    /// Its session token.
    pub(in crate::api) session_token: Option<SecretString>,
}

/// The keys of a store, kept in memory for a moment.
#[derive(Debug)]
pub(in crate::api) struct Keyring {
    store: Arc<dyn Store>,
    vault: Vault,
    loaded: Mutex<Option<(Instant, Arc<Keys>)>>,
}

type Keys = HashMap<String, Arc<OpenKey>>;

impl Keyring {
    pub(in crate::api) fn new(store: Arc<dyn Store>, vault: Vault) -> Self {
        Self {
            store,
            vault,
            loaded: Mutex::new(None),
        }
    }

    /// All keys, no older than [`FRESH`]. That there are none is looked up each time: the first key ends
    /// the time in which everybody is let in.
    pub(in crate::api) async fn keys(&self) -> Result<Arc<Keys>, KeyError> {
        self.younger_than(FRESH).await
    }

    /// A key; one that is not known is looked up once more, for it may be new.
    pub(in crate::api) async fn key(&self, id: &str) -> Result<Option<Arc<OpenKey>>, KeyError> {
        if let Some(key) = self.keys().await?.get(id) {
            return Ok(Some(Arc::clone(key)));
        }
        Ok(self.younger_than(JUST_NOW).await?.get(id).map(Arc::clone))
    }

    async fn younger_than(&self, age: Duration) -> Result<Arc<Keys>, KeyError> {
        let mut loaded = self.loaded.lock().await;
        if let Some((at, keys)) = &*loaded
            && at.elapsed() < age
            && !keys.is_empty()
        {
            return Ok(Arc::clone(keys));
        }
        let mut keys = HashMap::new();
        for (resource, key) in list(self.store.as_ref()).await? {
            let key = self.open(resource.name, key)?;
            keys.insert(key.id.clone(), Arc::new(key));
        }
        let keys = Arc::new(keys);
        *loaded = Some((Instant::now(), Arc::clone(&keys)));
        Ok(keys)
    }

    fn open(&self, id: String, key: AccessKey) -> Result<OpenKey, KeyError> {
        let unseal = |purpose: String, sealed: &str| {
            let opened = self.vault.unseal(&purpose, sealed);
            opened.map_err(|source| KeyError::Vault {
                id: id.clone(),
                source,
            })
        };
        let token = key.session_token.as_deref();
        let token = token.map(|sealed| unseal(token_purpose(&id), sealed));
        Ok(OpenKey {
            secret: unseal(secret_purpose(&id), &key.secret)?,
            session_token: token.transpose()?,
            id,
            key,
        })
    }
}
