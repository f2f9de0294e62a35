//! `env` and `proxy`.

use std::fmt;
use std::str::FromStr;

use super::Map;
use crate::span::Spanned;

/// `env`: the shell, the variables and where they come from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Env {
    /// `shell`; `None` is `sh` on Linux.
    pub shell: Option<Spanned<Shell>>,
    /// `variables` (0.1: `environment_variables/plaintext`): literal values, nothing is expanded.
    pub variables: Map<Spanned<String>>,
    /// `parameter-store`: variable name to parameter name.
    pub parameter_store: Map<Spanned<String>>,
    /// `secrets-manager`: variable name to secret.
    pub secrets_manager: Map<Spanned<SecretReference>>,
    /// `exported-variables`.
    pub exported_variables: Vec<Spanned<String>>,
    /// `git-credential-helper`; `None` is no.
    pub git_credential_helper: Option<Spanned<bool>>,
}

/// `proxy`: what goes through the explicit proxy server.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Proxy {
    /// `upload-artifacts`; `None` is no.
    pub upload_artifacts: Option<Spanned<bool>>,
    /// `logs`; `None` is no.
    pub logs: Option<Spanned<bool>>,
}

/// A shell that reads the commands (buildspec reference, env/shell).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shell {
    /// `bash`.
    Bash,
    /// `/bin/sh`.
    Sh,
    /// `powershell.exe`, on Windows.
    PowerShell,
    /// `cmd.exe`, on Windows.
    Cmd,
}

impl Shell {
    /// Every shell.
    pub const ALL: [Self; 4] = [Self::Bash, Self::Sh, Self::PowerShell, Self::Cmd];

    /// The value as the reference spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Sh => "/bin/sh",
            Self::PowerShell => "powershell.exe",
            Self::Cmd => "cmd.exe",
        }
    }
}

/// A reference to a value in Secrets Manager: `secret-id[:json-key[:version-stage[:version-id]]]`
/// (buildspec reference, env/secrets-manager).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecretReference {
    /// Name or ARN of the secret.
    pub id: String,
    /// Key inside the secret's JSON; `None` is the whole text.
    pub json_key: Option<String>,
    /// Stage; `None` with no version id is `AWSCURRENT`.
    pub version_stage: Option<String>,
    /// Version; excludes a stage.
    pub version_id: Option<String>,
}

/// Number of colon-separated fields of a secret's ARN. An ARN holds colons itself and the reference
/// says nothing about it: a text that starts with `arn:` has its first seven fields as the id.
const ARN_FIELDS: usize = 7;

/// Why a reference cannot be resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretReferenceError {
    /// The secret's name is empty.
    NoId,
    /// There are more fields than the four of the grammar.
    TooManyFields,
}

impl fmt::Display for SecretReferenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoId => "the reference names no secret",
            Self::TooManyFields => {
                "the reference has more fields than `secret-id:json-key:version-stage:version-id`"
            }
        })
    }
}

impl std::error::Error for SecretReferenceError {}

impl FromStr for SecretReference {
    type Err = SecretReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let id_fields = if text.starts_with("arn:") {
            ARN_FIELDS
        } else {
            1
        };
        let id_end = text
            .match_indices(':')
            .nth(id_fields - 1)
            .map_or(text.len(), |(at, _)| at);
        let (id, rest) = text.split_at(id_end);
        if id.is_empty() {
            return Err(SecretReferenceError::NoId);
        }
        let mut fields = rest
            .split(':')
            .skip(1)
            .map(|field| (!field.is_empty()).then(|| field.to_owned()));
        let reference = Self {
            id: id.to_owned(),
            json_key: fields.next().flatten(),
            version_stage: fields.next().flatten(),
            version_id: fields.next().flatten(),
        };
        match fields.next() {
            Some(_) => Err(SecretReferenceError::TooManyFields),
            None => Ok(reference),
        }
    }
}

impl fmt::Display for SecretReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = [&self.json_key, &self.version_stage, &self.version_id];
        let given = fields
            .iter()
            .rposition(|field| field.is_some())
            .map_or(0, |last| last + 1);
        f.write_str(&self.id)?;
        for field in &fields[..given] {
            write!(f, ":{}", field.as_deref().unwrap_or_default())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_reference_is_split_as_documented() {
        let arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-AbCdEf";
        let cases = [
            ("db", ["db", "", "", ""]),
            ("db:password", ["db", "password", "", ""]),
            ("db::AWSPREVIOUS", ["db", "", "AWSPREVIOUS", ""]),
            ("db:password::v1", ["db", "password", "", "v1"]),
            (arn, [arn, "", "", ""]),
            (&format!("{arn}:password"), [arn, "password", "", ""]),
        ];
        for (text, expected) in cases {
            let reference: SecretReference = text.parse().unwrap();
            let field = |field: &Option<String>| field.clone().unwrap_or_default();
            let fields = [
                reference.id.clone(),
                field(&reference.json_key),
                field(&reference.version_stage),
                field(&reference.version_id),
            ];
            assert_eq!(fields, expected, "{text}");
            assert_eq!(reference.to_string(), text);
        }
        assert_eq!(
            ":key".parse::<SecretReference>(),
            Err(SecretReferenceError::NoId)
        );
        assert_eq!(
            "a:b:c:d:e".parse::<SecretReference>(),
            Err(SecretReferenceError::TooManyFields)
        );
    }
}
