//! Stored values: a reference goes in, the value comes out.
//!
//! A value never appears in an error, in `Debug`, or anywhere on a disk.

mod aws;
mod file;

use std::fmt;

use buildspec_parser::model::SecretReference;

pub use aws::AwsSecrets;
pub use file::{SecretsFile, SecretsFileError};

/// What a value is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// Name or ARN of a parameter in Parameter Store, with a version or a label if it has one.
    Parameter(String),
    /// A secret in Secrets Manager, or a part of it.
    Secret(SecretReference),
}

/// Looks values up: in a file those it has a name for, in AWS all others. AWS is not asked for nothing.
pub async fn look_up(
    references: &[&Reference],
    file: Option<&SecretsFile>,
    aws: &AwsSecrets,
) -> Vec<Result<SecretValue, LookUpError>> {
    let in_file = |reference: &Reference| file.filter(|file| file.knows(reference));
    let of_aws: Vec<&Reference> = references
        .iter()
        .copied()
        .filter(|reference| in_file(reference).is_none())
        .collect();
    let mut of_aws = aws.look_up(&of_aws).await.into_iter();
    let answer = |reference: &&Reference| match in_file(reference) {
        Some(file) => Some(file.look_up(reference)),
        None => of_aws.next(),
    };
    references.iter().filter_map(answer).collect()
}

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
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
    /// The secret is not text.
    #[error("the secret {0} is binary, which no variable can hold")]
    Binary(String),
    /// AWS refused. In its own words.
    #[error("{0}")]
    Refused(String),
    /// AWS could not be asked, or was not able to answer.
    #[error("{0}; without AWS, give values with --env or --secrets-file")]
    OutOfReach(String),
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
