//! Times to wait.

use std::time::Duration;

use uuid::Uuid;

/// Time before the first repetition after a failure.
const FIRST: Duration = Duration::from_secs(1);

/// The longest time between two repetitions.
const LONGEST: Duration = Duration::from_mins(1);

/// Pauses after failures, each twice as long as the one before.
#[derive(Debug)]
pub(super) struct Patience {
    next: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Patience {
    /// The pause after one more failure.
    pub(super) fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(LONGEST);
        about(pause)
    }

    /// Forgets the failures.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}

/// The pause after so many failures.
pub(super) fn after(failures: u32) -> Duration {
    let factor = 2_u32.saturating_pow(failures.min(10));
    about(FIRST.saturating_mul(factor).min(LONGEST))
}

/// A time between half as long and half as long again, so that workers that were started together do not ask all
/// at the same moment.
pub(super) fn about(time: Duration) -> Duration {
    let (chance, _) = Uuid::new_v4().as_u64_pair();
    let percent = u32::try_from(chance % 101).unwrap_or(50) + 50;
    time * percent / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_limit_and_begin_anew() {
        let mut patience = Patience::default();
        let pauses: Vec<_> = (0..10).map(|_| patience.pause()).collect();
        assert!(pauses[0] >= FIRST / 2 && pauses[0] <= FIRST * 3 / 2);
        assert!(pauses[9] >= LONGEST / 2 && pauses[9] <= LONGEST * 3 / 2);
        patience.reset();
        assert!(patience.pause() <= FIRST * 3 / 2);
        assert!(after(40) <= LONGEST * 3 / 2);
    }
}
