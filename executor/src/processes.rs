//! All processes of the build.

use std::collections::HashMap;
use std::fs;

use nix::sys::signal::{self, Signal};
use nix::unistd::{self, Pid};

/// Which processes belong to the build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Processes {
    /// All that the container has: the executor is its first process.
    Container,
    /// Those that descend from the executor, which is an ordinary process.
    Descendants,
}

impl Processes {
    /// Sends a signal to all of them.
    pub(crate) fn signal(self, signal: Signal) {
        match self {
            // From the first process of a container, -1 is everybody else in the container.
            // That there is nobody left is not an error.
            Self::Container => {
                let _ = signal::kill(Pid::from_raw(-1), signal);
            }
            Self::Descendants => {
                for pid in descendants() {
                    // It may have ended since.
                    let _ = signal::kill(pid, signal);
                }
            }
        }
    }
}

fn descendants() -> Vec<Pid> {
    let parents: HashMap<i32, i32> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, parent(pid)?)))
        .collect();
    let own = unistd::getpid().as_raw();
    let descends = |mut pid: i32| {
        while let Some(parent) = parents.get(&pid) {
            if *parent == own {
                return true;
            }
            pid = *parent;
        }
        false
    };
    parents
        .keys()
        .filter(|pid| descends(**pid))
        .map(|pid| Pid::from_raw(*pid))
        .collect()
}

fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it may hold blanks and parentheses.
    let after_name = stat.rsplit_once(") ")?.1;
    after_name.split(' ').nth(1)?.parse().ok()
}
