//! The build itself: the executor runs the plan, the agent listens.

use std::time::Duration;

use executor::protocol::{Order, Plan};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Abort;
use super::journal::Journal;
use super::plan::GRACE;
use super::provision::Provisioned;

/// How much longer than promised the executor may take to end a build, before its container is
/// ended from outside.
const PATIENCE: Duration = Duration::from_secs(20);

/// Carries out the plan. All that the executor says passes through the journal; at the end the
/// journal knows how the build stands.
pub(super) async fn run(
    container: &Provisioned,
    plan: &Plan,
    journal: &mut Journal<'_>,
    stop: &CancellationToken,
) -> Result<(), Abort> {
    container
        .order(Order::Start(Box::new(plan.clone())))
        .await?;
    listen(container, plan, Duration::ZERO, journal, stop).await
}

/// Listens to an executor that has had its plan for so long.
pub(super) async fn listen(
    container: &Provisioned,
    plan: &Plan,
    age: Duration,
    journal: &mut Journal<'_>,
    stop: &CancellationToken,
) -> Result<(), Abort> {
    let left = Duration::from_millis(plan.timeout_millis).saturating_sub(age);
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
