//! The signals that ask this process to end.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::exit::Failure;

/// A token that is cancelled by the first SIGINT, SIGTERM or SIGHUP of this process. Later ones change
/// nothing: a build that is being stopped ends within its grace time.
pub(super) fn stop_token(
    tasks: &mut tokio::task::JoinSet<()>,
) -> Result<CancellationToken, Failure> {
    stop_token_of(
        tasks,
        &[
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::hangup(),
        ],
    )
}

/// A token that is cancelled by the first of these signals.
pub(super) fn stop_token_of(
    tasks: &mut tokio::task::JoinSet<()>,
    kinds: &[SignalKind],
) -> Result<CancellationToken, Failure> {
    let token = CancellationToken::new();
    for kind in kinds {
        let mut signals = signal(*kind).map_err(Failure::fault)?;
        let token = token.clone();
        tasks.spawn(async move {
            if signals.recv().await.is_some() {
                token.cancel();
            }
        });
    }
    Ok(token)
}
