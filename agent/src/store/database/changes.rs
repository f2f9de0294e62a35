//! Wake-up calls between those who queue builds, those who run them, those who stop them and those who tell
//! others of them; and who words what is told.

use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::watch;

use crate::store::Herald;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Topic {
    /// A build may be leased that could not before.
    Work,
    /// Somebody asked for a running build to be stopped.
    Stop,
    /// There is something to be told of a build.
    Outbox,
}

impl Topic {
    /// All of them.
    const ALL: [Self; 3] = [Self::Work, Self::Stop, Self::Outbox];

    /// Its name on the wire.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Stop => "stop",
            Self::Outbox => "outbox",
        }
    }
}

/// Where wake-up calls arrive. Each receiver is marked as changed by a call; calls that nobody has
/// waited for yet become one. A call can get lost with the connection of a database: whoever waits
/// looks from time to time on his own.
#[derive(Debug, Clone)]
pub struct Changes {
    /// Something may be leased that could not before.
    pub work: watch::Receiver<()>,
    /// A running build is to be stopped.
    pub stops: watch::Receiver<()>,
    /// There is something to be told of a build.
    pub outbox: watch::Receiver<()>,
}

/// Where wake-up calls come from.
#[derive(Debug, Clone)]
pub(in crate::store) struct Signals {
    work: watch::Sender<()>,
    stops: watch::Sender<()>,
    outbox: watch::Sender<()>,
}

impl Default for Signals {
    fn default() -> Self {
        Self {
            work: watch::Sender::new(()),
            stops: watch::Sender::new(()),
            outbox: watch::Sender::new(()),
        }
    }
}

impl Signals {
    /// Wakes who waits for this.
    pub(super) fn wake(&self, topic: Topic) {
        match topic {
            Topic::Work => self.work.send_replace(()),
            Topic::Stop => self.stops.send_replace(()),
            Topic::Outbox => self.outbox.send_replace(()),
        }
    }

    /// Wakes who waits for what another process calls by its name; what it does not know may be
    /// anything.
    pub(super) fn wake_by_name(&self, name: &str) {
        let is_known = Topic::ALL.iter().any(|topic| topic.name() == name);
        for topic in Topic::ALL {
            if name == topic.name() || !is_known {
                self.wake(topic);
            }
        }
    }

    /// Wakes everybody: calls may have been missed.
    pub(super) fn wake_all(&self) {
        for topic in Topic::ALL {
            self.wake(topic);
        }
    }

    /// Where calls from now on arrive.
    pub(super) fn subscribe(&self) -> Changes {
        Changes {
            work: self.work.subscribe(),
            stops: self.stops.subscribe(),
            outbox: self.outbox.subscribe(),
        }
    }
}

/// Who words what happens to builds, for the transactions that begin from now on.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct Heralds(Arc<RwLock<Option<Arc<dyn Herald>>>>);

impl Heralds {
    /// Puts one in the place of the one before.
    pub(in crate::store) fn set(&self, herald: Arc<dyn Herald>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(herald);
    }

    /// The present one, if there is one.
    pub(super) fn present(&self) -> Option<Arc<dyn Herald>> {
        let present = self.0.read().unwrap_or_else(PoisonError::into_inner);
        present.clone()
    }
}
