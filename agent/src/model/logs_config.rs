//! Where the log of a build goes (API, `LogsConfig`).

use serde::{Deserialize, Serialize};

use super::BucketOwnerAccess;

/// API, `LogsConfig`. Without settings, a project's builds log to CloudWatch Logs and not to S3.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogsConfig {
    /// CloudWatch Logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud_watch_logs: Option<CloudWatchLogsConfig>,
    /// S3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3_logs: Option<S3LogsConfig>,
}

impl LogsConfig {
    /// Nothing leaves the machine.
    pub fn disabled() -> Self {
        Self {
            cloud_watch_logs: Some(CloudWatchLogsConfig {
                status: LogsStatus::Disabled,
                group_name: None,
                stream_name: None,
            }),
            s3_logs: None,
        }
    }

    /// The settings of CloudWatch Logs, if the log goes there.
    pub fn cloud_watch(&self) -> Option<CloudWatchLogsConfig> {
        let settings = self.cloud_watch_logs.clone().unwrap_or_default();
        (settings.status == LogsStatus::Enabled).then_some(settings)
    }

    /// The settings of S3, if the log goes there.
    pub fn s3(&self) -> Option<&S3LogsConfig> {
        let settings = self.s3_logs.as_ref();
        settings.filter(|settings| settings.status == LogsStatus::Enabled)
    }
}

/// API, `CloudWatchLogsConfig`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CloudWatchLogsConfig {
    /// Whether the log goes there.
    pub status: LogsStatus,
    /// The log group; `/aws/codebuild/<project>` if nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_name: Option<String>,
    /// What stands before the build's UUID in the name of the log stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_name: Option<String>,
}

/// API, `S3LogsConfig`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct S3LogsConfig {
    /// Whether the log goes there.
    pub status: LogsStatus,
    /// `bucket/prefix`, or the ARN of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Whether it is stored without encryption.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption_disabled: Option<bool>,
    /// What the owner of a bucket in another account may do with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket_owner_access: Option<BucketOwnerAccess>,
}

/// API, `LogsConfigStatusType`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LogsStatus {
    /// The log goes there.
    #[default]
    Enabled,
    /// It does not.
    Disabled,
}
