//! The builds that run now.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::store::{Fence, HeldLease, Resources};

/// The builds that run now.
#[derive(Debug, Default)]
pub(super) struct Running(Mutex<HashMap<Uuid, Entry>>);

#[derive(Debug)]
struct Entry {
    fence: Fence,
    resources: Resources,
    stop: CancellationToken,
    is_over: bool,
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
}

impl Slot<'_> {
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
    /// Takes a place.
    pub(super) fn enter(&self, fence: &Fence, resources: Resources) -> Slot<'_> {
        let stop = CancellationToken::new();
        let entry = Entry {
            fence: fence.clone(),
            resources,
            stop: stop.clone(),
            is_over: false,
        };
        self.entries().insert(fence.build.uuid, entry);
        Slot {
            running: self,
            build: fence.build.uuid,
            stop,
        }
    }

    /// Whether an attempt at a build runs.
    pub(super) fn has(&self, build: Uuid) -> bool {
        self.entries().contains_key(&build)
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
    /// somebody else.
    pub(super) fn follow(&self, known: &[Fence], held: &[HeldLease]) {
        let entries = self.entries();
        for fence in known {
            // What is over has nothing left to stop, and its lease goes with its outcome.
            let entry = entries.get(&fence.build.uuid);
            let Some(entry) = entry.filter(|entry| !entry.is_over) else {
                continue;
            };
            let lease = held.iter().find(|lease| lease.fence == *fence);
            let build = &fence.build;
            match lease {
                None if !entry.stop.is_cancelled() => {
                    let attempt = fence.attempt;
                    tracing::warn!(
                        build.id = %build,
                        "the lease of build {build}, attempt {attempt}, was lost: it is stopped here"
                    );
                    entry.stop.cancel();
                }
                Some(lease) if lease.is_stopping && !entry.stop.is_cancelled() => {
                    tracing::info!(build.id = %build, "build {build} is to be stopped");
                    entry.stop.cancel();
                }
                _ => {}
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

    #[test]
    fn a_place_is_free_again_when_its_build_is_over() {
        let running = Running::default();
        let first = running.enter(&fence(1), SOME);
        let second = running.enter(&fence(1), SOME);
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
        let slots = [&kept, &wanted, &lost].map(|fence| running.enter(fence, SOME));
        let known = running.fences();
        // It was leased after the store was asked.
        let newer = running.enter(&new, SOME);
        let held = [(&kept, false), (&wanted, true)].map(|(fence, is_stopping)| HeldLease {
            fence: fence.clone(),
            is_stopping,
            has_started: true,
        });
        running.follow(&known, &held);
        let stopped = slots.map(|slot| slot.stop.is_cancelled());
        assert_eq!(stopped, [false, true, true]);
        assert!(!newer.stop.is_cancelled());
    }

    #[test]
    fn an_older_attempt_is_stopped_when_a_newer_one_is_held() {
        let running = Running::default();
        let old = fence(1);
        let slot = running.enter(&old, SOME);
        let newer = HeldLease {
            fence: Fence {
                attempt: 2,
                ..old.clone()
            },
            is_stopping: false,
            has_started: false,
        };
        running.follow(&[old], &[newer]);
        assert!(slot.stop.is_cancelled());
    }
}
