//! Credentials of the build's role, handed to the programs of the build.

use serde::{Deserialize, Serialize};

use super::Secret;

/// What the executor hands out, and to whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CredentialsPlan {
    /// What a process has to show to get credentials. Random, and new for every build.
    pub token: Secret,
    /// The credentials to begin with.
    pub credentials: RoleCredentials,
}

/// Temporary credentials of a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RoleCredentials {
    /// ARN of the role.
    pub role_arn: String,
    /// Names the key.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: Secret,
    /// Goes with every request.
    pub session_token: Secret,
    /// When they end, as `2026-01-31T12:34:56Z`.
    pub expiration: String,
}

impl RoleCredentials {
    /// What must not appear in the log. The access key id is hidden in any case.
    pub fn secrets(&self) -> [&Secret; 2] {
        [&self.secret_access_key, &self.session_token]
    }
}
