//! The build itself: the executor runs the plan, the agent listens.

use std::time::Duration;

use executor::protocol::{Order, Plan};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Abort;
use super::cache::{self, Bucket};
use super::journal::Journal;
use super::plan::GRACE;
use super::provision::Provisioned;

/// How much longer than promised the executor may take to end a build, before its container is
/// ended from outside.
const PATIENCE: Duration = Duration::from_secs(20);

/// A plan that is carried out.
#[derive(Debug)]
pub(super) struct Execution<'a> {
    /// The plan.
    pub(super) plan: &'a Plan,
    /// How long the executor has had it.
    pub(super) age: Duration,
    /// The bucket with its caches, if there is one.
    pub(super) bucket: Option<&'a Bucket>,
}

/// Carries out the plan. All that the executor says passes through the journal; at the end the
/// journal knows how the build stands.
pub(super) async fn run(
    container: &Provisioned,
    execution: &Execution<'_>,
    journal: &mut Journal<'_>,
    stop: &CancellationToken,
) -> Result<(), Abort> {
    container
        .order(Order::Start(Box::new(execution.plan.clone())))
        .await?;
    listen(container, execution, journal, stop).await
}

/// Listens to an executor that has its plan.
pub(super) async fn listen(
    container: &Provisioned,
    execution: &Execution<'_>,
    journal: &mut Journal<'_>,
    stop: &CancellationToken,
) -> Result<(), Abort> {
    let limit = Duration::from_millis(execution.plan.timeout_millis);
    let left = limit.saturating_sub(execution.age);
    let mut deadline = Instant::now() + left + GRACE + PATIENCE;
    let mut stopping = false;
    let mut death = std::pin::pin!(container.death());
    let mut cause = None;
    while !journal.has_ended() {
        tokio::select! {
            advanced = journal.advance() => {
                if !advanced? {
                    return Err(cause.unwrap_or_else(|| anyhow::anyhow!("the spool ended").into()));
                }
                if journal.take_cache_wanted() && cause.is_none() {
                    let limit = deadline - GRACE - PATIENCE;
                    let answer = cache::answer(execution.bucket, limit, stop).await;
                    if let Err(error) = container.order(Order::Cache(answer)).await {
                        // If the container is dead, that is what there is to tell.
                        tracing::warn!("cannot answer the executor about its cache: {error:#}");
                    }
                }
            }
            abort = &mut death, if cause.is_none() => {
                cause = Some(abort);
                // What it wrote before is still to be read, and may be the end of the build.
                journal.finish();
            }
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                deadline = deadline.min(Instant::now() + GRACE + PATIENCE);
                container.order(Order::Stop).await?;
            }
            () = tokio::time::sleep_until(deadline) => {
                container.remove().await?;
                let cause = if stopping { "stop" } else { "time limit" };
                return Err(anyhow::anyhow!("the build outlived its {cause}; its container was removed").into());
            }
        }
    }
    Ok(())
}
