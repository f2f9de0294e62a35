//! SIGINT and SIGTERM.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::exit::Failure;

/// A token that is cancelled by the first SIGINT or SIGTERM of this process. Later ones change
/// nothing: a build that is being stopped ends within its grace time.
pub(super) fn stop_token(
    tasks: &mut tokio::task::JoinSet<()>,
) -> Result<CancellationToken, Failure> {
    let token = CancellationToken::new();
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        let mut signals = signal(kind).map_err(Failure::fault)?;
        let token = token.clone();
        tasks.spawn(async move {
            if signals.recv().await.is_some() {
                token.cancel();
            }
        });
    }
    Ok(token)
}
