//! Where the log of a build goes (API, `LogsConfig`).

use serde::{Deserialize, Serialize};

use super::{BucketOwnerAccess, BuildId};

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

impl CloudWatchLogsConfig {
    /// The log group of a build.
    pub fn group_of(&self, build: &BuildId) -> String {
        let default = || format!("/aws/codebuild/{}", build.project);
        self.group_name.clone().unwrap_or_else(default)
    }

    /// The log stream of a build.
    pub fn stream_of(&self, build: &BuildId) -> String {
        match &self.stream_name {
            Some(prefix) => format!("{prefix}/{}", build.uuid),
            None => build.uuid.to_string(),
        }
    }
}

impl S3LogsConfig {
    /// Bucket and key of a build's log; `None` without a location.
    pub fn object_of(&self, build: &BuildId) -> Option<(String, String)> {
        let location = self.location.as_deref()?;
        let location = match location.split_once(":s3:::") {
            Some((arn, rest)) if arn.starts_with("arn:") => rest,
            _ => location,
        };
        let (bucket, prefix) = location.split_once('/').unwrap_or((location, ""));
        let prefix = prefix.trim_matches('/');
        let slash = if prefix.is_empty() { "" } else { "/" };
        let key = format!("{prefix}{slash}{}.gz", build.uuid);
        (!bucket.is_empty()).then(|| (bucket.to_owned(), key))
    }
}

/// How far the log of a build that is over has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LogDelivery {
    /// Every line is where it belongs.
    Complete,
    /// Lines are still on this machine and will be delivered.
    Pending,
    /// Lines are missing, because the service did not take them.
    Gap,
}

/// Where the log of a build is (API, `LogsLocation`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogsLocation {
    /// Its log group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_name: Option<String>,
    /// Its log stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_name: Option<String>,
    /// The page of AWS's console that shows the stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deep_link: Option<String>,
    /// The page of AWS's console that shows the object.
    #[serde(
        default,
        rename = "s3DeepLink",
        skip_serializing_if = "Option::is_none"
    )]
    pub s3_deep_link: Option<String>,
    /// ARN of the stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud_watch_logs_arn: Option<String>,
    /// ARN of the object.
    #[serde(default, rename = "s3LogsArn", skip_serializing_if = "Option::is_none")]
    pub s3_logs_arn: Option<String>,
    /// The settings of CloudWatch Logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud_watch_logs: Option<CloudWatchLogsConfig>,
    /// The settings of S3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3_logs: Option<S3LogsConfig>,
    /// How far the log of a build that is over has come; not a member of the API's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<LogDelivery>,
}

impl LogsLocation {
    /// Where the log of a build goes; `None` if it stays on this machine.
    pub fn of(config: &LogsConfig, build: &BuildId, region: &str, account: &str) -> Option<Self> {
        let mut location = Self::default();
        if let Some(settings) = config.cloud_watch() {
            let (group, stream) = (settings.group_of(build), settings.stream_of(build));
            location.deep_link = Some(format!(
                "https://console.aws.amazon.com/cloudwatch/home?region={region}#logEvent:group={group};stream={stream}"
            ));
            location.cloud_watch_logs_arn = Some(format!(
                "arn:aws:logs:{region}:{account}:log-group:{group}:log-stream:{stream}"
            ));
            location.group_name = Some(group);
            location.stream_name = Some(stream);
        }
        if let Some((bucket, key)) = config.s3().and_then(|settings| settings.object_of(build)) {
            location.s3_deep_link = Some(format!(
                "https://s3.console.aws.amazon.com/s3/object/{bucket}?region={region}&prefix={key}"
            ));
            location.s3_logs_arn = Some(format!("arn:aws:s3:::{bucket}/{key}"));
        }
        let goes_somewhere = location.group_name.is_some() || location.s3_logs_arn.is_some();
        location
            .cloud_watch_logs
            .clone_from(&config.cloud_watch_logs);
        location.s3_logs.clone_from(&config.s3_logs);
        goes_somewhere.then_some(location)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build() -> BuildId {
        BuildId::new("demo".parse().unwrap())
    }

    #[test]
    fn groups_and_streams_are_named_as_the_service_names_them() {
        let build = build();
        let uuid = build.uuid;
        let default = CloudWatchLogsConfig::default();
        assert_eq!(default.group_of(&build), "/aws/codebuild/demo");
        assert_eq!(default.stream_of(&build), uuid.to_string());
        let named = CloudWatchLogsConfig {
            group_name: Some("group".to_owned()),
            stream_name: Some("stream".to_owned()),
            ..default
        };
        assert_eq!(named.group_of(&build), "group");
        assert_eq!(named.stream_of(&build), format!("stream/{uuid}"));
    }

    #[test]
    fn the_log_object_lies_below_its_prefix() {
        let build = build();
        let uuid = build.uuid;
        for (location, bucket, key) in [
            ("bucket/logs", "bucket", format!("logs/{uuid}.gz")),
            ("bucket/a/b/", "bucket", format!("a/b/{uuid}.gz")),
            ("bucket", "bucket", format!("{uuid}.gz")),
            (
                "arn:aws:s3:::bucket/logs",
                "bucket",
                format!("logs/{uuid}.gz"),
            ),
        ] {
            let settings = S3LogsConfig {
                status: LogsStatus::Enabled,
                location: Some(location.to_owned()),
                encryption_disabled: None,
                bucket_owner_access: None,
            };
            let expected = (bucket.to_owned(), key);
            assert_eq!(settings.object_of(&build), Some(expected), "{location}");
        }
    }

    #[test]
    fn a_log_that_stays_here_has_no_location() {
        let of = |config: &LogsConfig| LogsLocation::of(config, &build(), "r", "a");
        assert_eq!(of(&LogsConfig::disabled()), None);
        let location = of(&LogsConfig::default()).unwrap();
        let arn = location.cloud_watch_logs_arn.unwrap();
        assert!(arn.starts_with("arn:aws:logs:r:a:log-group:/aws/codebuild/demo:log-stream:"));
    }
}
