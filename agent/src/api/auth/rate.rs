//! How many requests a caller may send.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// A bucket of tokens for every caller: one is taken by each request, and they come back with time.
/// Callers are known keys, so that there are only so many.
#[derive(Debug)]
pub(super) struct RateLimit {
    per_second: f64,
    buckets: Mutex<HashMap<String, Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl RateLimit {
    /// `per_second` requests on average, twice as many at once.
    pub(super) fn new(per_second: u32) -> Self {
        Self {
            per_second: f64::from(per_second),
            buckets: Mutex::default(),
        }
    }

    /// Whether a caller may send a request now.
    pub(super) fn admits(&self, caller: &str, now: Instant) -> bool {
        let most = 2.0 * self.per_second;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if !buckets.contains_key(caller) {
            let full = Bucket {
                tokens: most,
                at: now,
            };
            buckets.insert(caller.to_owned(), full);
        }
        let Some(bucket) = buckets.get_mut(caller) else {
            return true;
        };
        let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.tokens = (bucket.tokens + passed * self.per_second).min(most);
        bucket.at = now;
        let admitted = bucket.tokens >= 1.0;
        if admitted {
            bucket.tokens -= 1.0;
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_caller_may_send_twice_its_rate_at_once_and_its_rate_afterwards() {
        let limit = RateLimit::new(10);
        let start = Instant::now();
        let admitted =
            |caller: &str, at: Instant| (0..100).filter(|_| limit.admits(caller, at)).count();
        assert_eq!(admitted("a", start), 20);
        assert_eq!(admitted("b", start), 20, "another caller has its own");
        assert_eq!(admitted("a", start + Duration::from_secs(1)), 10);
        assert_eq!(
            admitted("a", start + Duration::from_hours(1)),
            20,
            "no more than that is saved"
        );
    }
}
