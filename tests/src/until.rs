//! Waiting for something that nobody tells of.

use std::time::{Duration, Instant};

/// Longer than anything takes that is waited for.
const LIMIT: Duration = Duration::from_mins(1);

/// Waits until something is so; nothing takes longer than a minute.
pub async fn until(what: &str, mut is: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !is().await {
        assert!(
            Instant::now() < deadline,
            "it does not come to this: {what}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
