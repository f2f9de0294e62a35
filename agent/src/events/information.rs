//! `additional-information` of an event: what the build was asked to be and how far it is.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::record;
use crate::model::{
    BuildRequest, EffectiveBuild, EnvironmentVariable, ImagePullCredentialsType, PhaseType,
    ProjectSource,
};

/// How much of its course an event shows of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    /// Nothing: it has only begun.
    None,
    /// The phases up to one that has ended, and that the next one has begun.
    UpTo(usize),
    /// All of it.
    Whole,
}

/// What is known of a build. Numbers are floating, as CodeBuild's are.
pub(super) fn of(request: &BuildRequest, record: &Value, course: Course) -> Value {
    let effective = request.effective();
    let mut information = json!({
        "artifact": artifact(&effective, record),
        "cache": cache(&effective),
        "environment": environment(request, &effective),
        "timeout-in-minutes": number(effective.timeout_in_minutes),
        "queued-timeout-in-minutes": number(effective.queued_timeout_in_minutes),
        "build-complete": course == Course::Whole,
        "initiator": effective.initiator,
        "build-start-time": record::date(&record["startTime"]),
        "source": source(&effective.source),
        "logs": logs(request, course),
    });
    if let Some(version) = effective.source_version {
        information["source-version"] = version.into();
    }
    if let Some(vpc) = effective.vpc_config.as_ref() {
        information["vpc-config"] = vpc_config(vpc);
    }
    if course != Course::None {
        information["build-number"] = number(request.build_number);
        information["phases"] = phases(record, course);
    }
    information
}

/// The contexts of a phase as events word them.
pub(super) fn contexts(phase: &Value) -> Vec<String> {
    let contexts = phase["contexts"].as_array();
    let text =
        |context: &Value, member: &str| context[member].as_str().unwrap_or_default().to_owned();
    contexts
        .into_iter()
        .flatten()
        .map(|context| {
            format!(
                "{}: {}",
                text(context, "statusCode"),
                text(context, "message")
            )
        })
        .collect()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "minutes and build numbers are far below what a float holds exactly"
)]
fn number(number: u64) -> Value {
    (number as f64).into()
}

/// Where the primary artifact is, and the sums of its archive once it is stored.
fn artifact(effective: &EffectiveBuild, record: &Value) -> Value {
    let mut shown = json!({"location": effective.artifacts.location});
    let stored = record["artifacts"].as_array().into_iter().flatten();
    let primary = stored
        .into_iter()
        .find(|artifact| artifact.get("artifactIdentifier").is_none());
    for member in ["location", "md5sum", "sha256sum"] {
        if let Some(value) = primary.and_then(|artifact| artifact.get(member)) {
            shown[member] = value.clone();
        }
    }
    shown
}

fn cache(effective: &EffectiveBuild) -> Value {
    let mut shown = json!({"type": effective.cache.cache_type});
    if let Some(location) = &effective.cache.location {
        shown["location"] = location.as_str().into();
    }
    shown
}

/// Stored values are shown by their names. Values that no log shows are in no event either.
fn environment(request: &BuildRequest, effective: &EffectiveBuild) -> Value {
    let environment = &effective.environment;
    let shown = |variable: &EnvironmentVariable| {
        let mut shown = json!(variable);
        if request.masked_variables.contains(&variable.name) {
            shown["value"] = "***".into();
        }
        shown
    };
    let pulls_with = environment
        .image_pull_credentials_type
        .unwrap_or(ImagePullCredentialsType::Codebuild);
    json!({
        "image": environment.image,
        "privileged-mode": environment.privileged_mode,
        "image-pull-credentials-type": pulls_with,
        "compute-type": environment.compute_type,
        "type": environment.environment_type,
        "environment-variables": environment.environment_variables.iter().map(shown).collect::<Vec<_>>(),
    })
}

fn source(source: &ProjectSource) -> Value {
    let mut shown = Map::new();
    let members = [
        ("type", json!(source.source_type)),
        (
            "location",
            json!(source.location.as_deref().map(without_login)),
        ),
        ("buildspec", json!(source.buildspec)),
        ("auth", json!(source.auth)),
        ("report-build-status", json!(source.report_build_status)),
        (
            "git-clone-depth",
            source
                .git_clone_depth
                .map_or(Value::Null, |depth| number(depth.into())),
        ),
    ];
    shown.extend(
        members
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(member, value)| (member.to_owned(), value)),
    );
    shown.into()
}

/// An address without the user and the password that may stand in one of HTTP: they open the repository, and
/// whoever is told of builds need not be able to.
fn without_login(location: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = location.split_once("://") else {
        return location.into();
    };
    let is_http = ["http", "https"].map(|name| scheme.eq_ignore_ascii_case(name));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        Some((_, host)) if is_http.contains(&true) => format!("{scheme}://{host}{path}").into(),
        _ => location.into(),
    }
}

/// Group and stream are known from the start, and CodeBuild tells them once the build has begun.
fn logs(request: &BuildRequest, course: Course) -> Value {
    let link = |group: &str, stream: &str| {
        let region = &request.region;
        format!(
            "https://console.aws.amazon.com/cloudwatch/home?region={region}#logEvent:group={group};stream={stream}"
        )
    };
    if course == Course::None {
        return json!({"deep-link": link("null", "null")});
    }
    let (group, stream) = request.log_stream();
    let link = link(&group, &stream);
    json!({"group-name": group, "stream-name": stream, "deep-link": link})
}

fn vpc_config(vpc: &Value) -> Value {
    let list = |member: &str| vpc[member].as_array().cloned().unwrap_or_default();
    let subnets: Vec<Value> = list("subnets")
        .into_iter()
        .map(|subnet| json!({"subnet-id": subnet}))
        .collect();
    json!({
        "vpc-id": vpc["vpcId"],
        "security-group-ids": list("securityGroupIds"),
        "subnets": subnets,
    })
}

/// The phases so far. What came after the one that an event is about is the next event's.
fn phases(record: &Value, course: Course) -> Value {
    let all = record::phases(record);
    let (ended, next) = match course {
        Course::None => (&all[..0], None),
        Course::UpTo(index) => (&all[..=index], next(all, index)),
        Course::Whole => (all, None),
    };
    let shown = ended.iter().map(phase);
    shown.chain(next).collect()
}

/// The phase after one that has ended, as it is when it begins. Whoever runs the build may be a moment late with it:
/// it follows from the one before if that has succeeded.
fn next(all: &[Value], index: usize) -> Option<Value> {
    if let Some(next) = all.get(index + 1) {
        return Some(entered(next));
    }
    let last = &all[index];
    let is_over = last["phaseStatus"] != "SUCCEEDED";
    let phase: PhaseType = serde_json::from_value(last["phaseType"].clone()).ok()?;
    let next = phase.next().filter(|_| !is_over)?;
    Some(entered(
        &json!({"phaseType": next.name(), "startTime": last["endTime"]}),
    ))
}

fn entered(phase: &Value) -> Value {
    json!({
        "phase-type": phase["phaseType"],
        "start-time": record::date(&phase["startTime"]),
    })
}

fn phase(phase: &Value) -> Value {
    let mut shown = entered(phase);
    if let Some(end) = phase.get("endTime") {
        shown["phase-status"] = phase["phaseStatus"].clone();
        shown["end-time"] = record::date(end).into();
        shown["duration-in-seconds"] = phase["durationInSeconds"]
            .as_f64()
            .unwrap_or_default()
            .into();
        shown["phase-context"] = contexts(phase).into();
    }
    shown
}
