//! Builds that follow a failed one (API, `autoRetryLimit` and `AutoRetryConfig`).

use serde_json::{Value as Json, json};

use super::builds;
use super::enqueue::{Arrival, enqueue};
use crate::model::{BuildId, BuildRequest, SourceLocation, SourceType, Status};
use crate::store::database::Session;
use crate::store::{AtLimit, NewBuild, StoreError, StoredBuild};

const RECORD: &str = "UPDATE builds SET record = $2 WHERE id = $1";

/// Whether a build may run again after this status; one that somebody stopped does not.
pub(super) fn may_follow(status: Status) -> bool {
    matches!(status, Status::Failed | Status::Fault | Status::TimedOut)
}

/// Queues the next try of a build that has failed, if there is one left. Both records name
/// each other.
pub(super) async fn follow(
    session: &mut dyn Session,
    id: &BuildId,
    priority: i64,
) -> Result<(), StoreError> {
    let Some(ended) = builds::of_id(session, id).await? else {
        return Ok(());
    };
    if is_of_pipeline(&ended.request) {
        return Ok(());
    }
    let limit = ended.request.auto_retry_limit;
    let number = number(&ended.record);
    if number >= limit {
        return Ok(());
    }
    let next = BuildRequest {
        id: BuildId::new(id.project.clone()),
        ..ended.request.clone()
    };
    let config = json!({
        "autoRetryLimit": limit,
        "autoRetryNumber": number + 1,
        "previousAutoRetry": arn(&ended.request),
    });
    let next_arn = arn(&next);
    let build = NewBuild {
        request: next,
        priority: i32::try_from(priority).unwrap_or_default(),
        at_limit: AtLimit::Queue,
    };
    let arrival = Arrival {
        build: &build,
        auto_retry: Some(config),
    };
    enqueue(session, vec![arrival]).await?;
    tell(session, ended, limit, number, &next_arn).await
}

fn arn(request: &BuildRequest) -> String {
    request.arn(&format!("build/{}", request.id))
}

/// Builds of a pipeline are tried again by the pipeline, if at all: the artifacts of a try belong to one
/// execution of its action (user guide, "Retry builds automatically").
fn is_of_pipeline(request: &BuildRequest) -> bool {
    let SourceLocation::Project(source) = &request.source else {
        return false;
    };
    source.source_type == SourceType::Codepipeline
}

/// Which try this is: 0 is the first one.
fn number(record: &Json) -> u32 {
    let number = record["autoRetryConfig"]["autoRetryNumber"].as_u64();
    number.map_or(0, |number| u32::try_from(number).unwrap_or(u32::MAX))
}

/// Names the next try in the record of the one before.
async fn tell(
    session: &mut dyn Session,
    mut ended: StoredBuild,
    limit: u32,
    number: u32,
    next: &str,
) -> Result<(), StoreError> {
    let config = &mut ended.record["autoRetryConfig"];
    if !config.is_object() {
        *config = json!({});
    }
    config["autoRetryLimit"] = limit.into();
    config["autoRetryNumber"] = number.into();
    config["nextAutoRetry"] = next.into();
    let values = [ended.id.uuid.into(), (&ended.record).into()];
    session.rows(RECORD, &values).await.map(drop)
}
