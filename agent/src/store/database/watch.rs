//! Watches the file in which SQLite logs what is written: other processes that use the store cannot call
//! this one.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent};

use super::Signals;

/// Writes within so many milliseconds are one call: one transaction is many writes.
const TOGETHER_MILLIS: u8 = 20;

/// A file being watched, by a thread that ends with this value. It is woken by writes of this process as
/// well, which costs a look.
#[derive(Debug)]
pub(super) struct Watch {
    end: Arc<EventFd>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Nothing can be wrong with a counter of our own.
        let _ = self.end.write(1);
    }
}

impl Watch {
    /// Watches the log of a database file.
    pub(super) fn start(database: &Path, signals: Signals) -> io::Result<Self> {
        let database = std::path::absolute(database)?;
        let mut log = database.file_name().unwrap_or_default().to_owned();
        log.push("-wal");
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        // The log comes and goes; its directory stays.
        let directory = database.parent().unwrap_or(Path::new("/"));
        inotify.add_watch(directory, AddWatchFlags::IN_MODIFY)?;
        let end = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC)?);
        let told = Arc::clone(&end);
        let watch = move || {
            let is_log = |event: &InotifyEvent| event.name.as_ref() == Some(&log);
            while !is_over(&told, Some(&inotify), PollTimeout::NONE) {
                let events = inotify.read_events().unwrap_or_default();
                if !events.iter().any(is_log) {
                    continue;
                }
                signals.wake_all();
                if is_over(&told, None, TOGETHER_MILLIS.into()) {
                    break;
                }
            }
        };
        thread::Builder::new()
            .name("store-watch".to_owned())
            .spawn(watch)?;
        Ok(Self { end })
    }
}

/// Waits for events or for the end; tells whether it is the end.
fn is_over(end: &EventFd, events: Option<&Inotify>, limit: PollTimeout) -> bool {
    let end = PollFd::new(end.as_fd(), PollFlags::POLLIN);
    let events = events.map(|events| PollFd::new(events.as_fd(), PollFlags::POLLIN));
    let mut watched: Vec<PollFd<'_>> = [Some(end), events].into_iter().flatten().collect();
    let waited = poll(&mut watched, limit);
    let interrupted = matches!(waited, Err(nix::Error::EINTR));
    let ends = watched.first().and_then(PollFd::any).unwrap_or(false);
    ends || (waited.is_err() && !interrupted)
}
