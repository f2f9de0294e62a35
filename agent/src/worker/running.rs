//! The builds that run now.

use std::collections::{HashMap, hash_map};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::logs::{Moment, Permit};
use crate::store::{Fence, HeldLease, Resources};

/// The builds that run now.
#[derive(Debug, Default)]
pub(super) struct Running(Mutex<HashMap<Uuid, Entry>>);

#[derive(Debug)]
struct Entry {
    fence: Fence,
    resources: Resources,
    stop: CancellationToken,
    permit: Permit,
    is_over: bool,
}

impl Entry {
    /// The build is somebody else's: nothing of it is written any more, and it ends here.
    fn lose(&self) {
        self.permit.revoke();
        // What is over has nothing left to stop.
        if self.is_over || self.stop.is_cancelled() {
            return;
        }
        let Fence { build, attempt, .. } = &self.fence;
        tracing::warn!(
            build.id = %build,
            "the lease of build {build}, attempt {attempt}, was lost: it is stopped here"
        );
        self.stop.cancel();
    }
}

/// What the running builds take together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    /// How many there are.
    pub(super) builds: u32,
    /// What they take of the agent.
    pub(super) resources: Resources,
}

/// The place of a running build; it is free again when this value goes.
#[derive(Debug)]
pub(super) struct Slot<'a> {
    running: &'a Running,
    build: Uuid,
    /// Stops the build.
    pub(super) stop: CancellationToken,
    /// Permission to write what it says and yields outside this machine, for as long as its lease is sure.
    pub(super) permit: Permit,
}

impl Slot<'_> {
    /// Says that the lease is somebody else's.
    pub(super) fn lost(&self) {
        if let Some(entry) = self.running.entries().get(&self.build) {
            entry.lose();
        }
    }

    /// Says that the build takes nothing of this machine any more. Its lease is still needed, to write
    /// the outcome.
    pub(super) fn over(&self) {
        if let Some(entry) = self.running.entries().get_mut(&self.build) {
            entry.is_over = true;
        }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.running.entries().remove(&self.build);
    }
}

impl Running {
    /// Takes a place, with the permission that came with the lease. There is none as long as another attempt at the
    /// build has one.
    pub(super) fn enter(
        &self,
        fence: &Fence,
        resources: Resources,
        permit: &Permit,
    ) -> Option<Slot<'_>> {
        let mut entries = self.entries();
        let hash_map::Entry::Vacant(place) = entries.entry(fence.build.uuid) else {
            return None;
        };
        let stop = CancellationToken::new();
        place.insert(Entry {
            fence: fence.clone(),
            resources,
            stop: stop.clone(),
            permit: permit.clone(),
            is_over: false,
        });
        Some(Slot {
            running: self,
            build: fence.build.uuid,
            stop,
            permit: permit.clone(),
        })
    }

    /// What is taken.
    pub(super) fn held(&self) -> Held {
        let mut held = Held {
            builds: 0,
            resources: Resources::NONE,
        };
        for entry in self.entries().values().filter(|entry| !entry.is_over) {
            held.builds += 1;
            held.resources = held.resources.with(entry.resources);
        }
        held
    }

    /// The attempts that run now, to be compared with what the store says later.
    pub(super) fn fences(&self) -> Vec<Fence> {
        let entries = self.entries();
        entries.values().map(|entry| entry.fence.clone()).collect()
    }

    /// Stops the builds that the store wants to be stopped, and those of `known` that it gave to
    /// somebody else. `extended` says since when and for how long the others are this worker's, if the
    /// answer says anything about that.
    pub(super) fn follow(
        &self,
        known: &[Fence],
        held: &[HeldLease],
        extended: Option<(Moment, Duration)>,
    ) {
        let entries = self.entries();
        for fence in known {
            // What was asked of an attempt that has ended since says nothing of the one that follows it.
            let entry = entries.get(&fence.build.uuid);
            let Some(entry) = entry.filter(|entry| entry.fence == *fence) else {
                continue;
            };
            let Some(lease) = held.iter().find(|lease| lease.fence == *fence) else {
                // The lease of what is over goes with its outcome.
                if !entry.is_over {
                    entry.lose();
                }
                continue;
            };
            if let Some((asked, life)) = extended {
                entry.permit.confirm(asked, life);
            }
            let build = &fence.build;
            if lease.is_stopping && !entry.is_over && !entry.stop.is_cancelled() {
                tracing::info!(build.id = %build, "build {build} is to be stopped");
                entry.stop.cancel();
            }
        }
    }

    /// A panic elsewhere leaves the map whole: nothing in here can.
    fn entries(&self) -> MutexGuard<'_, HashMap<Uuid, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::BuildId;

    fn fence(attempt: u32) -> Fence {
        Fence {
            build: BuildId::new("demo".parse().unwrap()),
            attempt,
            agent: "one".to_owned(),
        }
    }

    const SOME: Resources = Resources {
        processors_milli: 2000,
        memory_mib: 4096,
    };

    fn enter<'r>(running: &'r Running, fence: &Fence) -> Slot<'r> {
        let slot = running.enter(fence, SOME, &Permit::always());
        slot.expect("no other attempt has a place")
    }

    #[test]
    fn attempts_at_a_build_have_a_place_one_after_the_other() {
        let running = Running::default();
        let old = fence(1);
        let new = Fence {
            attempt: 2,
            ..old.clone()
        };
        let slot = enter(&running, &old);
        assert!(running.enter(&new, SOME, &Permit::always()).is_none());
        let known = running.fences();
        drop(slot);
        let slot = enter(&running, &new);
        // The store was asked of the old one, and answers when it has ended.
        let held = HeldLease {
            fence: new,
            is_stopping: false,
            has_started: false,
        };
        running.follow(&known, &[held], None);
        assert!(!slot.stop.is_cancelled());
        assert!(slot.permit.holds());
    }

    #[test]
    fn a_place_is_free_again_when_its_build_is_over() {
        let running = Running::default();
        let first = enter(&running, &fence(1));
        let second = enter(&running, &fence(1));
        let held = running.held();
        assert_eq!((held.builds, held.resources.memory_mib), (2, 8192));
        drop(first);
        assert_eq!(running.held().resources, SOME);
        second.over();
        assert_eq!(running.held().resources, Resources::NONE);
        assert_eq!(running.fences().len(), 1, "its lease is needed");
        drop(second);
        assert!(running.fences().is_empty());
        assert_eq!(running.held().resources, Resources::NONE);
    }

    #[test]
    fn what_the_store_takes_away_or_wants_stopped_is_stopped() {
        let running = Running::default();
        let (kept, wanted, lost, new) = (fence(1), fence(1), fence(1), fence(1));
        let slots = [&kept, &wanted, &lost].map(|fence| {
            let slot = running.enter(fence, SOME, &Permit::unconfirmed());
            slot.unwrap()
        });
        let known = running.fences();
        // It was leased after the store was asked.
        let newer = enter(&running, &new);
        let held = [(&kept, false), (&wanted, true)].map(|(fence, is_stopping)| HeldLease {
            fence: fence.clone(),
            is_stopping,
            has_started: true,
        });
        let hour = Duration::from_hours(1);
        running.follow(&known, &held, Some((Moment::now(), hour)));
        let stopped = slots.each_ref().map(|slot| slot.stop.is_cancelled());
        assert_eq!(stopped, [false, true, true]);
        let may_write = slots.each_ref().map(|slot| slot.permit.holds());
        assert_eq!(may_write, [true, true, false]);
        assert!(!newer.stop.is_cancelled());
    }

    #[test]
    fn an_older_attempt_is_stopped_when_a_newer_one_is_held() {
        let running = Running::default();
        let old = fence(1);
        let slot = enter(&running, &old);
        let newer = HeldLease {
            fence: Fence {
                attempt: 2,
                ..old.clone()
            },
            is_stopping: false,
            has_started: false,
        };
        running.follow(&[old], &[newer], None);
        assert!(slot.stop.is_cancelled());
    }
}
