//! Wake-up calls between those who queue builds, those who run them and those who stop them.

use tokio::sync::watch;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Topic {
    /// A build may be leased that could not before.
    Work,
    /// Somebody asked for a running build to be stopped.
    Stop,
}

impl Topic {
    /// Its name on the wire.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Stop => "stop",
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
}

/// Where wake-up calls come from.
#[derive(Debug, Clone)]
pub(in crate::store) struct Signals {
    work: watch::Sender<()>,
    stops: watch::Sender<()>,
}

impl Default for Signals {
    fn default() -> Self {
        Self {
            work: watch::Sender::new(()),
            stops: watch::Sender::new(()),
        }
    }
}

impl Signals {
    /// Wakes who waits for this.
    pub(super) fn wake(&self, topic: Topic) {
        match topic {
            Topic::Work => self.work.send_replace(()),
            Topic::Stop => self.stops.send_replace(()),
        }
    }

    /// Wakes who waits for what another process calls by its name; what it does not know may be
    /// anything.
    pub(super) fn wake_by_name(&self, name: &str) {
        for topic in [Topic::Work, Topic::Stop] {
            if name == topic.name() || ![Topic::Work, Topic::Stop].iter().any(|t| t.name() == name)
            {
                self.wake(topic);
            }
        }
    }

    /// Where calls from now on arrive.
    pub(super) fn subscribe(&self) -> Changes {
        Changes {
            work: self.work.subscribe(),
            stops: self.stops.subscribe(),
        }
    }
}
