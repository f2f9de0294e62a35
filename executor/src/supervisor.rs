//! Runs one process after the other, with eyes and ears open: output, signals, orders, time.

use std::io;
use std::process::Command;
use std::time::{Duration, Instant};

use executor::protocol::{CacheAnswer, CommandUsage, Continuation, Exit};
use nix::sys::signal::Signal;

use crate::credentials::Credentials;
use crate::log::Log;
use crate::output::OutputPipe;
use crate::pauses::Pauses;
use crate::processes::Processes;
use crate::sys::{self, EndedChild, Identity, Wait};
use crate::watch::{Ending, Watch};

/// Time between two looks whether the spool's readers have made room.
const ROOM_INTERVAL: Duration = Duration::from_millis(20);

/// Time between two rounds of SIGKILL.
const KILL_INTERVAL: Duration = Duration::from_millis(10);

/// The longest the executor waits for processes that were killed: one that hangs in the kernel
/// is left to the engine, which removes the container.
const KILL_LIMIT: Duration = Duration::from_millis(900);

/// Time between two attempts to start a process while there are too many.
const START_INTERVAL: Duration = Duration::from_millis(20);

/// The longest the executor waits for there to be fewer processes.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// Most that is read after the end of a command to see whether its last bytes begin a secret.
const SECRET_TAIL_BYTES: usize = 64 * 1024;

/// The executor itself cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// Log and events can no longer be written, usually because the host's disk is full.
    #[error("cannot write the spool")]
    Spool(#[source] io::Error),
    /// The system does not let it wait for or read the output.
    #[error("cannot read the output of the build")]
    Output(#[source] io::Error),
}

/// How a run has ended.
#[derive(Debug)]
pub(crate) enum Run {
    /// By itself.
    Ended(Exit, CommandUsage),
    /// It could not be started.
    NotStarted(io::Error),
    /// It was ended with everything else.
    Cut(Ending, Exit, CommandUsage),
}

/// Runs processes and writes the log.
#[derive(Debug)]
pub(crate) struct Supervisor {
    watch: Watch,
    output: OutputPipe,
    /// The build's log.
    pub(crate) log: Log,
    processes: Processes,
    grace: Duration,
    credentials: Option<Credentials>,
    current: Option<i32>,
    ended: Option<EndedChild>,
}

impl Supervisor {
    /// Puts the parts together. `grace` is the time between SIGTERM and SIGKILL.
    pub(crate) fn new(
        watch: Watch,
        log: Log,
        processes: Processes,
        grace: Duration,
    ) -> io::Result<Self> {
        Ok(Self {
            watch,
            output: OutputPipe::open()?,
            log,
            processes,
            grace,
            credentials: None,
            current: None,
            ended: None,
        })
    }

    /// From now on passes new credentials on to those that are handed out.
    pub(crate) fn hand_out(&mut self, credentials: Credentials) {
        self.credentials = Some(credentials);
    }

    /// Takes credentials that have arrived. They are hidden in the log before anybody can know them.
    fn renew_credentials(&mut self) {
        if let (Some(renewed), Some(credentials)) = (self.watch.take_renewed(), &self.credentials)
            && self.log.hide(renewed.secrets()).is_ok()
        {
            credentials.renew(renewed);
        }
    }

    /// Why the build has to end now, if it has to. Does not wait, unless the readers of the spool
    /// are behind.
    pub(crate) fn look(&mut self) -> Result<Option<Ending>, Fault> {
        self.watch.look().map_err(Fault::Output)?;
        self.renew_credentials();
        while self.watch.ending().is_none() && !self.log.has_room().map_err(Fault::Spool)? {
            self.pump(None)?;
        }
        Ok(self.watch.ending())
    }

    /// Waits for the answer about a cache, or for the end of the build.
    pub(crate) fn cache_answer(&mut self) -> Result<Result<CacheAnswer, Ending>, Fault> {
        loop {
            if let Some(ending) = self.watch.ending() {
                return Ok(Err(ending));
            }
            if let Some(answer) = self.watch.take_cache_answer() {
                return Ok(Ok(answer));
            }
            self.pump(None)?;
        }
    }

    /// Runs one process to its end, or to the end of the build.
    pub(crate) fn run(
        &mut self,
        mut command: Command,
        identity: Option<Identity>,
    ) -> Result<Run, Fault> {
        self.log.take_output_bytes();
        let started = Instant::now();
        self.ended = None;
        let prepared = self.output.writer().and_then(|stdout| {
            command.stdout(stdout).stderr(self.output.writer()?);
            sys::lead_session(&mut command, identity);
            Ok(command)
        });
        let spawned = match prepared {
            Ok(command) => self.start(command)?,
            Err(error) => Err(error),
        };
        match spawned {
            Ok(pid) => self.current = Some(pid),
            // Nothing was started, and everything has to end: the loop below sees to that.
            Err(_) if self.watch.ending().is_some() => {}
            Err(error) => return Ok(Run::NotStarted(error)),
        }
        loop {
            if self.watch.take_children_changed() {
                self.reap_all();
            }
            let is_paused = self.attend()?;
            // A breakpoint in the background holds the build as well.
            if self.ended.is_some() && !is_paused {
                self.drain()?;
                let (exit, usage) = self.usage(started);
                return Ok(Run::Ended(exit, usage));
            }
            if let Some(ending) = self.watch.ending() {
                self.end_all(self.grace)?;
                self.attend()?;
                let (exit, usage) = self.usage(started);
                return Ok(Run::Cut(ending, exit, usage));
            }
            let until = self.watch.pauses().and_then(|pauses| pauses.until());
            self.pump(until)?;
        }
    }

    /// Starts a process. While the build has as many as it may have, as after a command that left
    /// many in the background, it is tried again for a while, as shells do.
    fn start(&mut self, mut command: Command) -> Result<io::Result<i32>, Fault> {
        let patience = Instant::now() + START_PATIENCE;
        loop {
            match sys::spawn(&mut command) {
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock
                        && self.watch.ending().is_none()
                        && Instant::now() < patience =>
                {
                    // Those that have ended count until they are reaped.
                    self.reap_all();
                    self.pump(Some(Instant::now() + START_INTERVAL))?;
                }
                spawned => return Ok(spawned),
            }
        }
    }

    /// Runs a process that waits, in the state of a command that has failed, for somebody to decide
    /// how the build goes on. Gives the decision, or why the build has to end.
    pub(crate) fn hold(
        &mut self,
        command: Command,
        identity: Option<Identity>,
    ) -> Result<Result<Continuation, Ending>, Fault> {
        let before = self.set_holding(true);
        let run = self.run(command, identity)?;
        let paused = self.set_holding(false) > before;
        if let Run::Cut(ending, ..) = run {
            return Ok(Err(ending));
        }
        if !paused {
            let line = "Cannot pause here: the state of the command is gone";
            self.log.line(line).map_err(Fault::Spool)?;
        }
        let decision = self.watch.pauses().and_then(|pauses| pauses.decision());
        Ok(Ok(decision.unwrap_or(Continuation::GiveUp)))
    }

    /// Gives the number of pauses so far.
    fn set_holding(&mut self, is_holding: bool) -> u32 {
        self.watch.pauses().map_or(0, |pauses| {
            pauses.set_holding(is_holding);
            pauses.count()
        })
    }

    /// The pauses, where the build may be paused.
    pub(crate) fn pauses(&mut self) -> Option<&mut Pauses> {
        self.watch.pauses()
    }

    /// Begins and ends pauses. Tells whether the build is paused.
    fn attend(&mut self) -> Result<bool, Fault> {
        let Some(pauses) = self.watch.pauses() else {
            return Ok(false);
        };
        pauses
            .attend(self.current, &mut self.log)
            .map_err(Fault::Spool)?;
        Ok(pauses.is_paused())
    }

    /// Ends every process of the build: SIGTERM, `grace`, SIGKILL until nobody is left.
    pub(crate) fn end_all(&mut self, grace: Duration) -> Result<(), Fault> {
        if self.reap_all() {
            return self.drain();
        }
        self.processes.signal(Signal::SIGTERM);
        let patience = Instant::now() + grace;
        while !self.reap_all() && Instant::now() < patience {
            self.pump(Some(patience))?;
        }
        let limit = Instant::now() + KILL_LIMIT;
        while !self.reap_all() && Instant::now() < limit {
            self.processes.signal(Signal::SIGKILL);
            self.pump(Some(Instant::now() + KILL_INTERVAL))?;
        }
        self.drain()
    }

    /// Ends every process at once, when nothing can be written any more.
    pub(crate) fn kill_all(&mut self) {
        let limit = Instant::now() + KILL_LIMIT;
        while !self.reap_all() && Instant::now() < limit {
            self.processes.signal(Signal::SIGKILL);
            let next = Instant::now() + KILL_INTERVAL;
            if self.watch.wait(None, Some(next)).is_err() {
                return;
            }
        }
    }

    /// Waits for anything, and takes the output that is there as long as there is room for it.
    fn pump(&mut self, until: Option<Instant>) -> Result<(), Fault> {
        let has_room = self.log.has_room().map_err(Fault::Spool)?;
        let source = has_room.then(|| self.output.reader());
        let next_look = (!has_room).then(|| Instant::now() + ROOM_INTERVAL);
        let until = [until, next_look].into_iter().flatten().min();
        let has_output = self.watch.wait(source, until).map_err(Fault::Output)?;
        self.renew_credentials();
        if has_output {
            self.read(usize::MAX)?;
        }
        Ok(())
    }

    /// Takes what a command has left in the pipe. More may come from processes in the background
    /// at any time; that is not waited for.
    fn drain(&mut self) -> Result<(), Fault> {
        let mut left = self.output.waiting();
        while left > 0 {
            let read = self.read(left)?;
            if read == 0 {
                break;
            }
            left -= read;
        }
        // The end of what was taken may lie in the middle of a secret that is there already.
        let mut tail = SECRET_TAIL_BYTES;
        while tail > 0 && self.log.is_holding() && self.output.waiting() > 0 {
            let read = self.read(tail.min(4096))?;
            if read == 0 {
                break;
            }
            tail -= read;
        }
        Ok(())
    }

    fn read(&mut self, limit: usize) -> Result<usize, Fault> {
        let bytes = self.output.read(limit).map_err(Fault::Output)?;
        self.log.output(bytes).map_err(Fault::Spool)?;
        Ok(bytes.len())
    }

    /// Takes the children that have ended; tells whether none is left.
    fn reap_all(&mut self) -> bool {
        loop {
            match sys::wait_any() {
                Wait::Ended(child) if Some(child.pid) == self.current => {
                    self.current = None;
                    self.ended = Some(child);
                }
                // A process whose parent is gone.
                Wait::Ended(_) => {}
                Wait::Running => return false,
                Wait::NoChildren => return true,
            }
        }
    }

    fn usage(&mut self, started: Instant) -> (Exit, CommandUsage) {
        let child = self.ended.take();
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let usage = CommandUsage {
            wall_millis: millis(started.elapsed()),
            processor_millis: child.as_ref().map_or(0, |child| millis(child.processor)),
            peak_memory_bytes: child.as_ref().map_or(0, |child| child.peak_memory_bytes),
            logged_bytes: self.log.take_output_bytes(),
        };
        // One that could not even be killed counts as killed.
        let exit = child.map_or(Exit::Signal(libc::SIGKILL), |child| child.exit);
        (exit, usage)
    }
}
