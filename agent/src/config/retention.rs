//! Settings of what stays of builds that are over.

use std::time::Duration;

use serde::Deserialize;

/// How long what is left of builds that are over is kept, and how large it may be. Where workers of one store differ,
/// what is least counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionConfig {
    /// How many days a worker keeps the logs of the builds it ran, for those who read them through the API.
    /// Default: 30.
    pub logs_days: u32,
    /// How large these logs may be together, in GiB; beyond it, those that were written to the longest time ago
    /// go. Default: 20.
    pub logs_limit_gib: u32,
    /// How many days after its end a build stays in the store, at least 1. Default: 365, as on CodeBuild (user guide,
    /// "View build history").
    pub builds_days: u32,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self {
            logs_days: 30,
            logs_limit_gib: 20,
            builds_days: 365,
        }
    }
}

impl RetentionConfig {
    /// How long logs are kept.
    pub fn logs(&self) -> Duration {
        days(self.logs_days)
    }

    /// How long builds stay in the store.
    pub fn builds(&self) -> Duration {
        days(self.builds_days.max(1))
    }

    /// How large logs may be together, in bytes.
    pub fn logs_limit_bytes(&self) -> u64 {
        u64::from(self.logs_limit_gib) << 30
    }
}

fn days(days: u32) -> Duration {
    Duration::from_hours(u64::from(days) * 24)
}
