//! Settings of the API server.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

/// Settings of `buildspec-agent server`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// Where it listens. Default: `127.0.0.1:8080`. Another host than this one needs access keys.
    pub listen: SocketAddr,
    /// Certificate chain in PEM form; with it, the server speaks HTTPS only. Default: none.
    pub tls_certificate: Option<PathBuf>,
    /// Private key of the certificate, in PEM form. Default: none.
    pub tls_key: Option<PathBuf>,
    /// How many requests a second an access key may send on average; twice as many at once. Default:
    /// 500.
    pub requests_per_second: u32,
    /// File with the key that seals secrets in the store; servers that share a store share this file
    /// as well. Default: `vault.key` in the data directory.
    pub vault_key: Option<PathBuf>,
    /// Whether logs go to CloudWatch Logs of AWS where neither project nor build say a word of logs, as
    /// CodeBuild does it; they can be read here in any case. Default: false.
    pub cloudwatch_logs: bool,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            tls_certificate: None,
            tls_key: None,
            requests_per_second: 500,
            vault_key: None,
            cloudwatch_logs: false,
        }
    }
}
