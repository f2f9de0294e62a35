//! Permission to write outside this machine: a build of a fleet may be another worker's by now.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime};

use tokio::time::{MissedTickBehavior, interval};

/// Time between two looks whether work may go on, when nothing else wakes it.
const LOOK: Duration = Duration::from_millis(250);

/// A moment on two clocks: one that nobody sets, and one that goes on while the machine sleeps.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    steady: Instant,
    wall: SystemTime,
}

impl Moment {
    /// This one.
    pub fn now() -> Self {
        Self {
            steady: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    /// Whether it is certain that less than so much time has gone by since. A wall clock that was set
    /// forward makes that doubtful, and one that was set back says nothing.
    fn is_within(self, life: Duration) -> bool {
        let by_wall = self.wall.elapsed().is_ok_and(|passed| passed >= life);
        self.steady.elapsed() < life && !by_wall
    }
}

/// What whoever gives the permission is sure of.
#[derive(Debug, Clone, Copy)]
enum State {
    /// Nothing yet.
    Unconfirmed,
    /// It was given at that moment, for so long.
    Given(Moment, Duration),
    /// It is taken away for good.
    Revoked,
}

/// Permission to write outside this machine for as long as whoever gives it is sure. Clones are the
/// same permission.
#[derive(Debug, Clone)]
pub struct Permit(Option<Arc<Mutex<State>>>);

impl Permit {
    /// One that always holds: nobody else can have the build.
    pub fn always() -> Self {
        Self(None)
    }

    /// One that holds once it is confirmed.
    pub fn unconfirmed() -> Self {
        Self(Some(Arc::new(Mutex::new(State::Unconfirmed))))
    }

    /// One that never holds.
    pub fn revoked() -> Self {
        Self(Some(Arc::new(Mutex::new(State::Revoked))))
    }

    /// Lets it hold for so long since the moment in which the answer was asked for. What was revoked
    /// stays so.
    pub fn confirm(&self, asked: Moment, life: Duration) {
        if let Some(mut state) = self.state()
            && !matches!(*state, State::Revoked)
        {
            *state = State::Given(asked, life);
        }
    }

    /// Takes it away for good.
    pub fn revoke(&self) {
        if let Some(mut state) = self.state() {
            *state = State::Revoked;
        }
    }

    /// Whether it holds now.
    pub fn holds(&self) -> bool {
        self.state().is_none_or(|state| match *state {
            State::Given(asked, life) => asked.is_within(life),
            State::Unconfirmed | State::Revoked => false,
        })
    }

    /// Does work, and lets it rest for as long as the permission does not hold: also a process that was
    /// stopped in the middle of it looks before it goes on. `None` once the permission is taken away.
    pub async fn while_held<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        if self.0.is_none() {
            return Some(work.await);
        }
        let mut work = pin!(work);
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        poll_fn(|context| {
            while looks.poll_tick(context).is_ready() {}
            if self.holds() {
                return work.as_mut().poll(context).map(Some);
            }
            let state = self.state().map(|state| *state);
            match state {
                Some(State::Revoked) => Poll::Ready(None),
                _ => Poll::Pending,
            }
        })
        .await
    }

    /// A panic elsewhere leaves the state whole: nothing in here can.
    fn state(&self) -> Option<MutexGuard<'_, State>> {
        let state = self.0.as_ref()?;
        Some(state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Duration = Duration::from_hours(1);

    fn long_ago() -> Moment {
        let now = Moment::now();
        Moment {
            steady: now.steady.checked_sub(LIFE).unwrap(),
            ..now
        }
    }

    #[test]
    fn a_permission_holds_for_as_long_as_it_was_given() {
        assert!(Permit::always().holds());
        let permit = Permit::unconfirmed();
        assert!(!permit.holds());
        permit.confirm(Moment::now(), LIFE);
        assert!(permit.clone().holds());
        permit.confirm(long_ago(), LIFE);
        assert!(!permit.holds());
        permit.confirm(Moment::now(), LIFE);
        permit.clone().revoke();
        permit.confirm(Moment::now(), LIFE);
        assert!(!permit.holds());
    }

    #[test]
    fn a_clock_that_is_set_makes_it_doubtful_at_most() {
        let now = Moment::now();
        let asleep = Moment {
            wall: now.wall - LIFE,
            ..now
        };
        assert!(!asleep.is_within(LIFE));
        let set_back = Moment {
            wall: now.wall + LIFE,
            ..now
        };
        assert!(set_back.is_within(LIFE));
    }

    #[tokio::test]
    async fn work_rests_while_it_is_not_permitted() {
        let permit = Permit::unconfirmed();
        let mut working = pin!(permit.while_held(async { 7 }));
        let rests = poll_fn(|context| Poll::Ready(working.as_mut().poll(context).is_pending()));
        assert!(rests.await);
        permit.confirm(Moment::now(), LIFE);
        assert_eq!(working.await, Some(7));
        permit.revoke();
        assert_eq!(permit.while_held(async { 7 }).await, None);
        assert_eq!(Permit::always().while_held(async { 7 }).await, Some(7));
    }
}
