//! Commits on git hosts that show how their builds stand (API, `reportBuildStatus` and `BuildStatusConfig`): a
//! change of a build goes in, what its commit is to show comes out.
//!
//! A commit is `pending` from the moment at which it is known, and gets one final state. A status that cannot be
//! reported never fails a build.

mod api;
mod sending;
mod wording;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

pub(super) use sending::CommitStatuses;

use super::{identity, record};
use crate::config::CommitStatusConfig;
use crate::model::{BuildRequest, Status};
use crate::store::Change;

/// Where statuses are kept until they have arrived; no name of the configuration has a blank.
pub(super) const DESTINATION: &str = "commit status";

/// What a commit shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CommitStatus {
    /// The commit.
    pub(super) commit: String,
    /// How the build ended; `None` while it runs.
    pub(super) status: Option<Status>,
    /// By what the status is known among others of the commit.
    pub(super) context: String,
    /// One sentence.
    pub(super) description: String,
    /// Where it leads.
    pub(super) target_url: Option<String>,
}

/// What the commit of a build is to show after a change, if that is something new.
pub(super) fn of_change(
    change: &Change<'_>,
    config: &CommitStatusConfig,
) -> Option<(Uuid, CommitStatus)> {
    let Change {
        request,
        before,
        after,
    } = *change;
    let before = before?;
    if !request.reports_build_status() {
        return None;
    }
    let is_over = record::is_complete(after) && !record::is_complete(before);
    let is_known = commit_of(after).is_some() && commit_of(before).is_none();
    let (name, status) = if is_over {
        let status = serde_json::from_value(after["buildStatus"].clone()).ok();
        ("over", Some(status.unwrap_or(Status::Fault)))
    } else if is_known {
        ("pending", None)
    } else {
        return None;
    };
    let commit = commit_of(after).or_else(|| commit_of_request(request))?;
    let words = wording::Words::new(request, after);
    let status = CommitStatus {
        commit: commit.to_owned(),
        description: words.description(status),
        context: words.context(),
        target_url: words.target_url(config),
        status,
    };
    Some((identity::of(request, &["commit status", name]), status))
}

/// The commit that was built.
fn commit_of(record: &Value) -> Option<&str> {
    record["resolvedSourceVersion"]
        .as_str()
        .filter(|commit| is_commit(commit))
}

/// The commit that was asked for: a build that could not fetch it shows that there.
fn commit_of_request(request: &BuildRequest) -> Option<&str> {
    request
        .source_version
        .as_deref()
        .filter(|commit| is_commit(commit))
}

/// A whole SHA-1 or SHA-256.
fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
