//! Stored values in a file of this machine, for builds without AWS.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use buildspec_parser::model::SecretReference;
use serde::Deserialize;

use super::{LookUpError, Reference, SecretValue, part};

/// Largest file that is read, in bytes.
const LARGEST_BYTES: u64 = 4 * 1024 * 1024;

/// The values of a file: YAML or JSON with the members `parameter-store` and `secrets-manager`, each a map from the names that buildspecs
/// use to the values. A secret with keys may be written as a map.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecretsFile {
    parameters: BTreeMap<String, SecretValue>,
    secrets: BTreeMap<String, SecretValue>,
}

/// Why a file of values is not taken.
#[derive(Debug, thiserror::Error)]
pub enum SecretsFileError {
    /// It cannot be read.
    #[error("cannot read secrets file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others could have read it.
    #[error("secrets file {} can be read by others: run chmod 600 on it", path.display())]
    Open {
        /// The file.
        path: PathBuf,
    },
    /// It says something else. The values it holds are not quoted.
    #[error("secrets file {} is not understood: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, without any of its text.
        reason: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Text {
    #[serde(default)]
    parameter_store: BTreeMap<String, serde_yaml::Value>,
    #[serde(default)]
    secrets_manager: BTreeMap<String, serde_yaml::Value>,
}

impl SecretsFile {
    /// Reads a file, which only its owner may be able to read.
    pub fn read(path: &Path) -> Result<Self, SecretsFileError> {
        let cannot = |source| SecretsFileError::Read {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(cannot)?;
        let metadata = file.metadata().map_err(cannot)?;
        if metadata.is_file() && metadata.mode() & 0o077 != 0 {
            return Err(SecretsFileError::Open {
                path: path.to_owned(),
            });
        }
        let mut text = String::new();
        file.take(LARGEST_BYTES)
            .read_to_string(&mut text)
            .map_err(cannot)?;
        Self::parse(&text).map_err(|reason| SecretsFileError::Malformed {
            path: path.to_owned(),
            reason,
        })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let read: Text = serde_yaml::from_str(text).map_err(|error| {
            // Its message may quote a value.
            let place = error.location().map_or_else(String::new, |place| {
                format!("line {}, column {}: ", place.line(), place.column())
            });
            format!("{place}it has to be a map with parameter-store and secrets-manager, each a map of names to values")
        })?;
        let values = |section: &str, values: BTreeMap<String, serde_yaml::Value>| {
            let value = |(name, value)| match text_of(&value) {
                Some(text) => Ok((name, SecretValue(text))),
                None => Err(format!("{section}/{name} is no value")),
            };
            values.into_iter().map(value).collect::<Result<_, _>>()
        };
        Ok(Self {
            parameters: values("parameter-store", read.parameter_store)?,
            secrets: values("secrets-manager", read.secrets_manager)?,
        })
    }

    /// Whether it has a value of this name, whatever part or version of it is asked for.
    pub(super) fn knows(&self, reference: &Reference) -> bool {
        match reference {
            Reference::Parameter(name) => self.parameters.contains_key(name),
            Reference::Secret(reference) => self.secrets.contains_key(&reference.id),
        }
    }

    /// Looks a value up.
    pub(super) fn look_up(&self, reference: &Reference) -> Result<SecretValue, LookUpError> {
        match reference {
            Reference::Parameter(name) => self.parameter(name),
            Reference::Secret(reference) => self.secret(reference),
        }
    }

    /// The value of a parameter.
    fn parameter(&self, name: &str) -> Result<SecretValue, LookUpError> {
        let found = self.parameters.get(name).cloned();
        found.ok_or_else(|| LookUpError::NoParameter(name.to_owned()))
    }

    /// The value that a reference names.
    fn secret(&self, reference: &SecretReference) -> Result<SecretValue, LookUpError> {
        let is_present = reference.version_id.is_none()
            && matches!(
                reference.version_stage.as_deref(),
                None | Some("AWSCURRENT")
            );
        if !is_present {
            return Err(LookUpError::NoVersions(reference.to_string()));
        }
        match self.secrets.get(&reference.id) {
            Some(secret) => part(secret.expose(), reference),
            None => Err(LookUpError::NoSecret(reference.id.clone())),
        }
    }
}

/// A scalar as text, a map as JSON; `None` for nothing and for lists.
fn text_of(value: &serde_yaml::Value) -> Option<String> {
    match value {
        serde_yaml::Value::String(text) => Some(text.clone()),
        serde_yaml::Value::Bool(_)
        | serde_yaml::Value::Number(_)
        | serde_yaml::Value::Mapping(_) => serde_json::to_string(value).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const FILE: &str = "
parameter-store:
  /ci/token: t0k3n
secrets-manager:
  db: {user: ada, port: 5432}
  plain: whole
  arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbCdEf: '{\"user\": \"grace\"}'
";

    #[test]
    fn values_are_found_by_the_names_that_buildspecs_use() {
        let file = SecretsFile::parse(FILE).unwrap();
        assert_eq!(file.parameter("/ci/token").unwrap().expose(), "t0k3n");
        let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbCdEf:user";
        for (reference, expected) in [
            ("db:user", Ok("ada")),
            ("db:port::", Ok("5432")),
            ("db:user:AWSCURRENT", Ok("ada")),
            ("plain", Ok("whole")),
            (arn, Ok("grace")),
            ("db:none", Err("the secret db has no key none")),
            (
                "plain:key",
                Err("the secret plain is not JSON with keys, so it has no key key"),
            ),
            (
                "none",
                Err(
                    "ResourceNotFoundException: Secrets Manager can't find the specified secret: none",
                ),
            ),
            (
                "db:user:AWSPREVIOUS",
                Err(
                    "the secrets file holds no versions: db:user:AWSPREVIOUS cannot be looked up in it",
                ),
            ),
        ] {
            let found = file.secret(&reference.parse().unwrap());
            let found = found
                .map(|value| value.expose().to_owned())
                .map_err(|error| error.to_string());
            assert_eq!(
                found,
                expected.map(str::to_owned).map_err(str::to_owned),
                "{reference}"
            );
        }
        assert_eq!(
            file.parameter("none").unwrap_err().to_string(),
            "parameter does not exist: none"
        );
    }

    #[test]
    fn no_value_is_in_debug_or_in_an_error() {
        let file = SecretsFile::parse(FILE).unwrap();
        assert!(!format!("{file:?}").contains("t0k3n"));
        let error = SecretsFile::parse("parameter-store: {a: [s3cr3t]}\n").unwrap_err();
        assert_eq!(error, "parameter-store/a is no value");
        let error = SecretsFile::parse("parameter-store: s3cr3t\n").unwrap_err();
        assert!(
            !error.contains("s3cr3t") && error.contains("has to be a map"),
            "{error}"
        );
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), FILE).unwrap();
        fs::set_permissions(file.path(), Permissions::from_mode(0o640)).unwrap();
        let refused = SecretsFile::read(file.path());
        assert!(matches!(refused, Err(SecretsFileError::Open { .. })));
        fs::set_permissions(file.path(), Permissions::from_mode(0o600)).unwrap();
        assert!(SecretsFile::read(file.path()).is_ok());
    }
}
