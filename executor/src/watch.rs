//! Waiting: for orders, signals, the end of the build's time, and the build's output.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use executor::protocol::{CacheAnswer, Order, OrderError, Plan, RoleCredentials, Status};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::control::Control;
use crate::pauses::Pauses;
use crate::processes::Processes;

/// Longer time limits are cut to this, so that no clock overflows.
const LONGEST_BUILD: Duration = Duration::from_hours(24 * 365);

/// Why a build is ended before it has ended by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Its time is up.
    TimedOut,
    /// The agent said so.
    Stopped,
    /// The engine ends the container: it is being stopped itself, or somebody stops the container.
    Killed,
}

impl Ending {
    /// The status of the build and of the phase it is in.
    pub(crate) fn status(self) -> Status {
        match self {
            Self::TimedOut => Status::TimedOut,
            Self::Stopped => Status::Stopped,
            Self::Killed => Status::Fault,
        }
    }
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoPlan {
    /// The build was stopped before it began.
    #[error("stopped before a plan came")]
    Stopped,
    /// The first order makes no sense.
    #[error(transparent)]
    Order(OrderError),
    /// The system failed.
    #[error("cannot wait for a plan")]
    Wait(#[source] io::Error),
}

/// Everything that can happen from outside, in one place, so that it is noticed wherever the
/// executor waits.
#[derive(Debug)]
pub(crate) struct Watch {
    signals: SignalFd,
    control: Control,
    processes: Processes,
    deadline: Option<Instant>,
    ending: Option<Ending>,
    children_changed: bool,
    orders: Vec<Result<Order, OrderError>>,
    pauses: Option<Pauses>,
    renewed: Option<RoleCredentials>,
    cache_answer: Option<CacheAnswer>,
}

impl Watch {
    /// Starts to watch. From now on signals arrive here only.
    pub(crate) fn new(control: Control, processes: Processes) -> io::Result<Self> {
        let mask: SigSet = [
            Signal::SIGCHLD,
            Signal::SIGTERM,
            Signal::SIGINT,
            Signal::SIGHUP,
            Signal::SIGQUIT,
        ]
        .into_iter()
        .collect();
        mask.thread_block()?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        Ok(Self {
            signals: SignalFd::with_flags(&mask, flags)?,
            control,
            processes,
            deadline: None,
            ending: None,
            children_changed: true,
            orders: Vec::new(),
            pauses: None,
            renewed: None,
            cache_answer: None,
        })
    }

    /// Waits for the plan. The time of the build runs from here.
    pub(crate) fn plan(&mut self) -> Result<Plan, NoPlan> {
        loop {
            self.wait(None, None).map_err(NoPlan::Wait)?;
            let mut orders = std::mem::take(&mut self.orders).into_iter();
            match orders.next() {
                Some(Ok(Order::Start(plan))) => {
                    let limit = Duration::from_millis(plan.timeout_millis).min(LONGEST_BUILD);
                    self.deadline = Some(Instant::now() + limit);
                    self.obey(orders);
                    return Ok(*plan);
                }
                Some(Ok(Order::Stop)) => return Err(NoPlan::Stopped),
                Some(Err(error)) => return Err(NoPlan::Order(error)),
                // An answer before there was a question.
                Some(Ok(Order::Cache(_) | Order::Resume(_) | Order::Renew(_))) | None => {}
            }
            if self.ending.is_some() {
                return Err(NoPlan::Stopped);
            }
        }
    }

    /// From now on also watches for processes that want to pause the build.
    pub(crate) fn allow_pauses(&mut self, pauses: Pauses) {
        self.pauses = Some(pauses);
    }

    /// The pauses, where the build may be paused.
    pub(crate) fn pauses(&mut self) -> Option<&mut Pauses> {
        self.pauses.as_mut()
    }

    /// Why the build is to be ended, once it is.
    pub(crate) fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// Credentials that have arrived since this was asked last.
    pub(crate) fn take_renewed(&mut self) -> Option<RoleCredentials> {
        self.renewed.take()
    }

    /// Whether children have ended since this was asked last.
    pub(crate) fn take_children_changed(&mut self) -> bool {
        std::mem::take(&mut self.children_changed)
    }

    /// Looks whether something has happened, without waiting.
    pub(crate) fn look(&mut self) -> io::Result<()> {
        self.wait(None, Some(Instant::now())).map(drop)
    }

    /// Waits until something happens, `output` can be read, or it is `until`. Tells whether
    /// `output` can be read.
    pub(crate) fn wait(
        &mut self,
        output: Option<BorrowedFd<'_>>,
        until: Option<Instant>,
    ) -> io::Result<bool> {
        let deadline = self.deadline.filter(|_| self.ending.is_none());
        let until = [until, deadline].into_iter().flatten().min();
        let mut sources: Vec<PollFd<'_>> = output
            .into_iter()
            .chain([self.signals.as_fd()])
            .chain(self.control.sources())
            .chain(self.pauses.iter().flat_map(Pauses::sources))
            .map(|source| PollFd::new(source, PollFlags::POLLIN))
            .collect();
        match nix::poll::poll(&mut sources, timeout(until)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready: Vec<bool> = sources
            .iter()
            .map(|source| source.any().unwrap_or(true))
            .collect();
        let (output_ready, others) = ready.split_at(usize::from(output.is_some()));
        if others.first() == Some(&true) {
            self.take_signals();
        }
        if others.iter().skip(1).any(|ready| *ready) {
            self.take_orders();
            self.pauses().into_iter().for_each(Pauses::take);
        }
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            self.ending.get_or_insert(Ending::TimedOut);
        }
        Ok(output_ready == [true])
    }

    fn take_signals(&mut self) {
        while let Ok(Some(signal)) = self.signals.read_signal() {
            if signal.ssi_signo == Signal::SIGCHLD as u32 {
                self.children_changed = true;
            } else if self.processes == Processes::Descendants || signal.ssi_pid == 0 {
                // Senders outside of the container have no process id in it. A build that sends
                // a signal to the executor does not end itself.
                self.ending.get_or_insert(Ending::Killed);
            }
        }
    }

    fn take_orders(&mut self) {
        let orders = self.control.take_orders();
        if self.deadline.is_none() {
            self.orders.extend(orders);
        } else {
            self.obey(orders);
        }
    }

    /// Once a build runs it can be stopped, resumed, answered and given new credentials. What else
    /// arrives is left: a build is not lost because an agent that joined it again said something wrong.
    fn obey(&mut self, orders: impl IntoIterator<Item = Result<Order, OrderError>>) {
        for order in orders {
            match order {
                Ok(Order::Stop) => {
                    self.ending.get_or_insert(Ending::Stopped);
                }
                Ok(Order::Resume(resume)) => {
                    self.pauses()
                        .into_iter()
                        .for_each(|pauses| pauses.obey(resume));
                }
                Ok(Order::Renew(credentials)) => self.renewed = Some(*credentials),
                Ok(Order::Cache(answer)) => self.cache_answer = Some(answer),
                Ok(Order::Start(_)) | Err(_) => {}
            }
        }
    }

    /// The answer about a cache, once it has come.
    pub(crate) fn take_cache_answer(&mut self) -> Option<CacheAnswer> {
        self.cache_answer.take()
    }
}

/// The time to wait for poll, rounded up so that it does not wake too early.
fn timeout(until: Option<Instant>) -> PollTimeout {
    let Some(until) = until else {
        return PollTimeout::NONE;
    };
    let millis = until
        .saturating_duration_since(Instant::now())
        .as_micros()
        .div_ceil(1000);
    PollTimeout::try_from(millis.min(60_000)).unwrap_or(PollTimeout::MAX)
}
