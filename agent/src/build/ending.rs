//! The end of a build, however it came: everything of it leaves this machine, and its record is told.

use std::time::Duration;

use super::journal::Journal;
use super::premises::Premises;
use super::{Abort, Finished, Outcome, Tools, docker_access, provision, remove_as_root};
use crate::data_directory::{BuildDirectory, Removal};
use crate::model::{BuildRequest, LogDelivery, LogsLocation};

/// How long a build that is over waits for the last of its log to be delivered. What is not through by
/// then is delivered later, by whoever takes the build up.
const DELIVERY_LIMIT: Duration = Duration::from_secs(20);

/// Ends a build. What it has made on this machine goes; only a log that is still to be delivered
/// stays, with what it takes to deliver it.
pub(super) async fn conclude(
    request: &BuildRequest,
    tools: &Tools,
    premises: Premises,
    mut journal: Journal<'_>,
    mut ended: Result<Finished, Abort>,
) -> Outcome {
    let is_told = match &ended {
        Err(abort) => journal.abort(abort).await,
        Ok(_) => true,
    };
    journal.finalizing();
    // What failed after the last phase was left is told here.
    if let (Err(abort), false) = (&ended, is_told) {
        journal.leave(abort);
    }
    // Not a step: whatever happened, the container and the workspace have to go.
    if let Err(error) = provision::release(request, tools, &premises.directory).await {
        journal.leave(&error);
        ended = ended.and(Err(error));
    }
    docker_access::release(request, tools).await;
    let (directory, delivery) = premises.deliver(DELIVERY_LIMIT).await;
    let logs = location(request, delivery);
    // Told before the directory goes: whoever is told can keep it, and until then the directory does.
    let outcome = journal.close(request, ended, logs, Some(&directory.outcome()));
    leave(request, tools, &directory, delivery).await;
    outcome
}

/// Where the log of a build is, and how far it has come.
pub(super) fn location(request: &BuildRequest, delivery: LogDelivery) -> Option<LogsLocation> {
    let BuildRequest {
        logs,
        id,
        region,
        account,
        ..
    } = request;
    let mut location = LogsLocation::of(logs, id, region, account)?;
    location.delivery = Some(delivery);
    Some(location)
}

/// Removes the directory, unless the log needs it.
pub(super) async fn leave(
    request: &BuildRequest,
    tools: &Tools,
    directory: &BuildDirectory,
    delivery: LogDelivery,
) {
    let build = &request.id;
    if delivery == LogDelivery::Pending {
        tracing::warn!(
            build.id = %build,
            "the log of build {build} is not delivered yet: `recover` goes on with it"
        );
        return;
    }
    let removed = match directory.remove() {
        Ok(Removal::NeedsRoot) => {
            remove_as_root(build.uuid, &request.image, tools, directory.path()).await
        }
        removed => removed.map(drop).map_err(anyhow::Error::from),
    };
    if let Err(error) = removed {
        tracing::warn!(build.id = %build, "the directory of build {build} is left behind: {error:#}");
    }
}
