//! Mounts made after the build was shut in.
//!
//! Where a cache goes is known only after commands of the build have run, when this process has given up
//! the capability to mount for good. Capabilities belong to threads: one thread keeps it, waits for
//! exactly these requests, and ends before the first phase. No process of the build can reach a thread
//! of the container's first process: it is closed to debuggers, and no signal from inside ends it.

use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};

use nix::fcntl::{self, OFlag};
use nix::mount::{self, MntFlags, MsFlags};
use nix::sys::signal::{SigSet, SigmaskHow};
use nix::sys::stat::Mode;

/// With these, a directory of the cache can be renamed and given away without being copied. Kernels or
/// file systems without them refuse the mount.
const FAST: &str = "redirect_dir=on,metacopy=on,";

/// Directories seen as one: reading falls through from `upper` to the first of `lower` that has the
/// name, writing happens in `upper` only.
#[derive(Debug)]
pub(crate) struct Overlay {
    /// What is read, the first one on top.
    pub(crate) lower: Vec<PathBuf>,
    /// What is written.
    pub(crate) upper: PathBuf,
    /// An empty directory beside `upper`.
    pub(crate) work: PathBuf,
    /// Where it is seen.
    pub(crate) target: PathBuf,
}

type Request = (Overlay, SyncSender<io::Result<()>>);

/// The thread that can mount.
#[derive(Debug)]
pub(crate) struct Mounter {
    requests: Sender<Request>,
    thread: JoinHandle<()>,
}

impl Mounter {
    /// Starts the thread, with the capabilities that the caller has now. When it ends, it takes `hidden`
    /// out of the container's sight.
    pub(crate) fn start(hidden: PathBuf) -> io::Result<Self> {
        // A signal that this thread could take would not reach the one that watches for it.
        let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        let (requests, waiting) = channel();
        let thread = thread::Builder::new()
            .name("mounter".to_owned())
            .spawn(move || serve(&waiting, &hidden));
        before.thread_set_mask()?;
        Ok(Self {
            requests,
            thread: thread?,
        })
    }

    /// Makes a mount.
    pub(crate) fn mount(&self, overlay: Overlay) -> io::Result<()> {
        let (answer, done) = sync_channel(1);
        let gone = || io::Error::other("the mounting thread has ended");
        self.requests.send((overlay, answer)).map_err(|_| gone())?;
        done.recv().unwrap_or_else(|_| Err(gone()))
    }

    /// Ends the thread, and with it the last capability to mount.
    pub(crate) fn finish(self) {
        drop(self.requests);
        // A panic in it has left nothing to undo.
        drop(self.thread.join());
    }
}

fn serve(requests: &Receiver<Request>, hidden: &Path) {
    while let Ok((overlay, answer)) = requests.recv() {
        // Who asked waits.
        drop(answer.send(mount(&overlay)));
    }
    // What was mounted from it stays. If it cannot be hidden, it can still only be read.
    let _ = mount::umount2(hidden, MntFlags::MNT_DETACH);
}

fn mount(overlay: &Overlay) -> io::Result<()> {
    // Through descriptors: a path may hold characters that mean something in mount options.
    let lower = overlay.lower.iter().map(|path| open(path));
    let lower = lower.collect::<io::Result<Vec<_>>>()?;
    let (upper, work) = (open(&overlay.upper)?, open(&overlay.work)?);
    let names: Vec<String> = lower.iter().map(name).collect();
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        names.join(":"),
        name(&upper),
        name(&work)
    );
    let mount = |options: &str| {
        let kind = Some("overlay");
        mount::mount(kind, &overlay.target, kind, MsFlags::empty(), Some(options))
    };
    Ok(mount(&format!("{FAST}{options}")).or_else(|_| mount(&options))?)
}

fn open(path: &Path) -> io::Result<std::os::fd::OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    Ok(fcntl::open(path, flags, Mode::empty())?)
}

fn name(descriptor: &impl AsRawFd) -> String {
    format!("/proc/self/fd/{}", descriptor.as_raw_fd())
}
