//! Stored values: a reference goes in, the value comes out.
//!
//! A value never appears in an error, in `Debug`, or anywhere on a disk.

mod file;

use std::fmt;

use buildspec_parser::model::SecretReference;
pub use file::{SecretsFile, SecretsFileError};

/// A value that must not be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(String);

impl SecretValue {
    /// The value itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// Why there is no value.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookUpError {
    /// Parameter Store has no parameter of this name. In CodeBuild's words.
    #[error("parameter does not exist: {0}")]
    NoParameter(String),
    /// Secrets Manager has no such secret. In its own words.
    #[error("ResourceNotFoundException: Secrets Manager can't find the specified secret: {0}")]
    NoSecret(String),
    /// The secret is not a JSON object.
    #[error("the secret {id} is not JSON with keys, so it has no key {key}")]
    NotJson {
        /// Name of the secret.
        id: String,
        /// The key that was asked for.
        key: String,
    },
    /// The secret has other keys.
    #[error("the secret {id} has no key {key}")]
    NoKey {
        /// Name of the secret.
        id: String,
        /// The key that was asked for.
        key: String,
    },
    /// An old value of a secret, where only the present ones are known.
    #[error("the secrets file holds no versions: {0} cannot be looked up in it")]
    NoVersions(String),
}

/// Takes the part of a secret that a reference names: all of it, or the value of a key in its JSON;
/// one that is no string as its JSON text (buildspec reference, env/secrets-manager).
fn part(secret: &str, reference: &SecretReference) -> Result<SecretValue, LookUpError> {
    let Some(key) = reference.json_key.clone() else {
        return Ok(SecretValue(secret.to_owned()));
    };
    let id = reference.id.clone();
    let Ok(serde_json::Value::Object(members)) = serde_json::from_str(secret) else {
        return Err(LookUpError::NotJson { id, key });
    };
    match members.get(&key) {
        Some(serde_json::Value::String(text)) => Ok(SecretValue(text.clone())),
        Some(value) => Ok(SecretValue(value.to_string())),
        None => Err(LookUpError::NoKey { id, key }),
    }
}
