//! A stored build as clients see it (API, `Build`): what its request decides, and beside that what is
//! known of its course.
//!
//! Lists of a hundred builds are asked for again and again: whatever has a type is written as it is,
//! and no tree of values is made of it in between.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::api::error::ApiError;
use crate::model::{
    BuildArtifacts, BuildRequest, CloudWatchLogsConfig, EffectiveBuild, ImagePullCredentialsType,
};
use crate::store::StoredBuild;

/// Members of a record that the request decides, or that are shown in another way.
const NOT_OF_COURSE: [&str; 5] = ["artifacts", "buildNumber", "id", "logs", "reports"];

/// A build in the API's form.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ShownBuild {
    #[serde(flatten)]
    decided: EffectiveBuild,
    #[serde(flatten)]
    course: Map<String, Value>,
    logs: ShownLogs,
    #[serde(skip_serializing_if = "Option::is_none")]
    auto_retry_config: Option<AutoRetryConfig>,
}

/// API, `AutoRetryConfig`, of a build that was not retried.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AutoRetryConfig {
    auto_retry_limit: u32,
    auto_retry_number: u32,
}

/// Shows a build.
pub(super) fn shown(stored: StoredBuild) -> Result<ShownBuild, ApiError> {
    let StoredBuild {
        request, record, ..
    } = stored;
    let Value::Object(mut course) = record else {
        return Err(ApiError::fault("the store holds a build that is no object"));
    };
    let mut decided = request.effective();
    if let Some(Value::Array(artifacts)) = course.remove("artifacts") {
        for artifact in artifacts {
            add_artifact(&mut decided, &artifact);
        }
    }
    for member in NOT_OF_COURSE {
        course.remove(member);
    }
    hide_generation(&mut decided);
    decided.source.insecure_ssl.get_or_insert(false);
    decided
        .environment
        .image_pull_credentials_type
        .get_or_insert(ImagePullCredentialsType::Codebuild);
    let limit = request.auto_retry_limit;
    let is_first = limit > 0 && !course.contains_key("autoRetryConfig");
    Ok(ShownBuild {
        logs: logs(&request),
        auto_retry_config: is_first.then_some(AutoRetryConfig {
            auto_retry_limit: limit,
            auto_retry_number: 0,
        }),
        decided,
        course,
    })
}

/// Adds where an artifact was stored, and the sums of its archive, to what the settings say of it.
fn add_artifact(build: &mut EffectiveBuild, stored: &Value) {
    let text = |member: &str| {
        let text = stored.get(member).and_then(Value::as_str);
        text.map(str::to_owned)
    };
    let identifier = text("artifactIdentifier");
    let shown: Option<&mut BuildArtifacts> = match &identifier {
        None => Some(&mut build.artifacts),
        Some(_) => build
            .secondary_artifacts
            .iter_mut()
            .find(|one| one.artifact_identifier == identifier),
    };
    if let Some(shown) = shown {
        if let Some(location) = text("location") {
            shown.location = location;
        }
        shown.sha256sum = text("sha256sum");
        shown.md5sum = text("md5sum");
    }
}

/// The name under which the cache of an invalidated project is kept is not what the project says.
fn hide_generation(build: &mut EffectiveBuild) {
    let namespace = build.cache.cache_namespace.as_deref();
    if let Some((namespace, _)) = namespace.and_then(|name| name.rsplit_once('~')) {
        let namespace = namespace.to_owned();
        build.cache.cache_namespace = (namespace != build.project_name).then_some(namespace);
    }
}

/// API, `LogsLocation`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownLogs {
    group_name: String,
    stream_name: String,
    deep_link: String,
    cloud_watch_logs_arn: String,
    cloud_watch_logs: CloudWatchLogsConfig,
    s3_logs: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    s3_logs_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    s3_deep_link: Option<String>,
}

/// Group and stream are known at once; this server answers for them, whether or not the log goes to
/// `CloudWatch` Logs as well.
fn logs(request: &BuildRequest) -> ShownLogs {
    let (region, account) = (&request.region, &request.account);
    let (group, stream) = request.log_stream();
    let s3 = request.logs.s3();
    let archive = s3.map(|s3| {
        let place = s3.location.as_deref().unwrap_or_default();
        let place = place.trim_start_matches("arn:aws:s3:::");
        format!("{}/{}.gz", place.trim_end_matches('/'), request.id.uuid)
    });
    ShownLogs {
        deep_link: format!(
            "https://console.aws.amazon.com/cloudwatch/home?region={region}#logEvent:group={group};stream={stream}"
        ),
        cloud_watch_logs_arn: format!(
            "arn:aws:logs:{region}:{account}:log-group:{group}:log-stream:{stream}"
        ),
        cloud_watch_logs: request.logs.cloud_watch_logs.clone().unwrap_or_default(),
        s3_logs: s3.map_or_else(
            || json!({"status": "DISABLED", "encryptionDisabled": false}),
            |s3| json!(s3),
        ),
        s3_logs_arn: archive.as_ref().map(|key| format!("arn:aws:s3:::{key}")),
        s3_deep_link: archive.as_ref().map(|key| {
            format!("https://s3.console.aws.amazon.com/s3/object/{key}?region={region}")
        }),
        group_name: group,
        stream_name: stream,
    }
}
