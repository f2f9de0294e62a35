//! A stored build as clients see it (API, `Build`): what its request decides, and over that what is
//! known of its course.

use serde_json::{Map, Value, json};

use crate::api::error::ApiError;
use crate::model::BuildRequest;
use crate::store::StoredBuild;

/// The build in the API's form.
pub(super) fn shown(stored: StoredBuild) -> Result<Value, ApiError> {
    let StoredBuild {
        request, record, ..
    } = stored;
    let shown = serde_json::to_value(request.effective()).map_err(ApiError::fault)?;
    let (Value::Object(mut shown), Value::Object(course)) = (shown, record) else {
        return Err(ApiError::fault("the store holds a build that is no object"));
    };
    for (member, value) in course {
        match (member.as_str(), value) {
            // Reports have operations of their own.
            ("reports", _) => {}
            ("artifacts", Value::Array(stored)) => stored
                .into_iter()
                .for_each(|artifact| add_artifact(&mut shown, artifact)),
            (_, value) => {
                shown.insert(member, value);
            }
        }
    }
    shown.insert("logs".to_owned(), logs(&request));
    hide_generation(&mut shown);
    if request.auto_retry_limit > 0 {
        let limit = request.auto_retry_limit;
        shown
            .entry("autoRetryConfig")
            .or_insert(json!({"autoRetryLimit": limit, "autoRetryNumber": 0}));
    }
    for (place, member, usual) in [
        ("source", "insecureSsl", json!(false)),
        (
            "environment",
            "imagePullCredentialsType",
            json!("CODEBUILD"),
        ),
    ] {
        if let Some(members) = shown.get_mut(place).and_then(Value::as_object_mut) {
            members.entry(member).or_insert(usual);
        }
    }
    Ok(Value::Object(shown))
}

/// Adds where an artifact was stored, and the sums of its archive, to what the settings say of it.
fn add_artifact(shown: &mut Map<String, Value>, artifact: Value) {
    let identifier = artifact.get("artifactIdentifier").cloned();
    let place = match &identifier {
        None => shown.get_mut("artifacts"),
        Some(identifier) => shown
            .get_mut("secondaryArtifacts")
            .and_then(Value::as_array_mut)
            .and_then(|all| {
                all.iter_mut()
                    .find(|one| one.get("artifactIdentifier") == Some(identifier))
            }),
    };
    if let (Some(Value::Object(settings)), Value::Object(stored)) = (place, artifact) {
        let known = ["location", "sha256sum", "md5sum"];
        let known = stored
            .into_iter()
            .filter(|(member, _)| known.contains(&member.as_str()));
        settings.extend(known);
    }
}

/// The name under which the cache of an invalidated project is kept is not what the project says.
fn hide_generation(shown: &mut Map<String, Value>) {
    let project = shown.get("projectName").cloned();
    let cache = shown.get_mut("cache").and_then(Value::as_object_mut);
    let Some(cache) = cache else {
        return;
    };
    let namespace = cache.get("cacheNamespace").and_then(Value::as_str);
    if let Some((namespace, _)) = namespace.and_then(|name| name.rsplit_once('~')) {
        let namespace = Value::from(namespace);
        if Some(&namespace) == project.as_ref() {
            cache.remove("cacheNamespace");
        } else {
            cache.insert("cacheNamespace".to_owned(), namespace);
        }
    }
}

/// API, `LogsLocation`. Group and stream are known at once; this server answers for them, whether or
/// not the log goes to CloudWatch Logs as well.
fn logs(request: &BuildRequest) -> Value {
    let (region, account) = (&request.region, &request.account);
    let (group, stream) = request.log_stream();
    let mut logs = json!({
        "groupName": group,
        "streamName": stream,
        "deepLink": format!("https://console.aws.amazon.com/cloudwatch/home?region={region}#logEvent:group={group};stream={stream}"),
        "cloudWatchLogsArn": format!("arn:aws:logs:{region}:{account}:log-group:{group}:log-stream:{stream}"),
        "cloudWatchLogs": request.logs.cloud_watch_logs.clone().unwrap_or_default(),
        "s3Logs": {"status": "DISABLED", "encryptionDisabled": false},
    });
    if let Some(s3) = request.logs.s3() {
        logs["s3Logs"] = json!(s3);
        let place = s3.location.as_deref().unwrap_or_default();
        let place = place
            .trim_start_matches("arn:aws:s3:::")
            .trim_end_matches('/');
        let uuid = request.id.uuid;
        logs["s3LogsArn"] = format!("arn:aws:s3:::{place}/{uuid}.gz").into();
        logs["s3DeepLink"] = format!(
            "https://s3.console.aws.amazon.com/s3/object/{place}/{uuid}.gz?region={region}"
        )
        .into();
    }
    logs
}
