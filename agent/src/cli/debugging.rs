//! What `run` does for a person who wants to look into the build.

use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use executor::protocol::{Continuation, Event, Pause, PauseReason};
use tokio::signal::unix::Signal;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::exit::{Failure, tell};
use super::terminal;
use crate::build::{PausedBuild, Tools};
use crate::logs::LogSink;
use crate::model::{Build, BuildRequest};

/// How long a build is kept after a failure, where nothing else is said.
const GRACE: &str = "30m";

/// The longest a build is kept: no build runs longer (API, `BuildTimeOut`).
const LONGEST_GRACE: Duration = Duration::from_hours(36);

#[derive(Debug, Args)]
pub(super) struct DebugArgs {
    /// Enable a debug session: `codebuild-breakpoint` pauses the build
    #[arg(long)]
    debug_session: bool,
    /// When a command fails, pause for so long, such as 90s, 30m or 2h, to `attach` and `resume`
    /// [default: 30m]
    #[arg(
        long,
        value_name = "DURATION",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = GRACE,
        value_parser = duration
    )]
    keep_on_failure: Option<Duration>,
    /// When a command fails, open a shell in its place; `exit 0` runs the command once more, any other
    /// exit code lets the failure stand. With --debug-session, at breakpoints too
    #[arg(long, conflicts_with = "json")]
    shell_on_failure: bool,
}

impl DebugArgs {
    /// Puts into the request what was asked for.
    pub(super) fn apply(&self, request: &mut BuildRequest) -> Result<(), Failure> {
        if self.shell_on_failure && !terminal::is_there() {
            return Err(Failure::usage(anyhow::anyhow!(
                "--shell-on-failure needs a terminal on standard input and output"
            )));
        }
        request.debug_session |= self.debug_session;
        let whole_build = self.shell_on_failure.then_some(request.timeout);
        request.keep_on_failure = self.keep_on_failure.or(whole_build);
        Ok(())
    }

    /// Whether a shell is opened without being asked for.
    pub(super) fn opens_shell(&self) -> bool {
        self.shell_on_failure
    }
}

/// Reads a length of time: a number and `s`, `m` or `h`.
fn duration(text: &str) -> Result<Duration, String> {
    let unit = |text: &str| match text {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        _ => None,
    };
    let read = text.split_at_checked(text.len().saturating_sub(1));
    let seconds = read.and_then(|(number, last)| {
        let number: u64 = number.parse().ok()?;
        number.checked_mul(unit(last)?)
    });
    let duration = seconds.map(Duration::from_secs);
    duration
        .filter(|duration| (1..=LONGEST_GRACE.as_secs()).contains(&duration.as_secs()))
        .ok_or_else(|| {
            "expected a number and a unit, such as 90s, 30m or 2h, of 36 hours at most".to_owned()
        })
}

/// Passes a build's log on and watches for its pauses.
pub(super) struct PauseWatch {
    sink: Box<dyn LogSink>,
    pauses: watch::Sender<Option<Pause>>,
}

impl PauseWatch {
    /// Watches what passes to `sink`; the receiver has the pause that lasts.
    pub(super) fn new(sink: Box<dyn LogSink>) -> (Self, watch::Receiver<Option<Pause>>) {
        let (pauses, watched) = watch::channel(None);
        (Self { sink, pauses }, watched)
    }
}

impl LogSink for PauseWatch {
    fn log(&mut self, time_micros: u64, bytes: &[u8]) -> io::Result<()> {
        self.sink.log(time_micros, bytes)
    }

    fn event(&mut self, time_micros: u64, event: &Event) -> io::Result<()> {
        let shown = self.sink.event(time_micros, event);
        match event {
            Event::Paused(pause) => drop(self.pauses.send_replace(Some(pause.clone()))),
            Event::Resumed { .. } => drop(self.pauses.send_replace(None)),
            _ => {}
        }
        shown
    }

    fn finished(&mut self, build: &Build) -> io::Result<()> {
        self.sink.finished(build)
    }
}

/// What looks after the pauses of one build.
#[derive(Debug)]
pub(super) struct Company<'a> {
    /// The pause that lasts.
    pub(super) pauses: watch::Receiver<Option<Pause>>,
    /// The agent's tools.
    pub(super) tools: &'a Tools,
    /// Stops the build.
    pub(super) stop: &'a CancellationToken,
    /// The data directory, where it was named on the command line: other commands need its name too.
    pub(super) data_directory: Option<PathBuf>,
    /// Whether a shell is opened at once.
    pub(super) opens_shell: bool,
}

impl Company<'_> {
    /// Says at each pause what can be done, or opens a shell; sees to Ctrl-C. Never ends.
    pub(super) async fn keep(&self, interrupts: Signal) -> Infallible {
        let (never, _) = tokio::join!(self.attend(), self.heed(interrupts));
        never
    }

    async fn attend(&self) -> Infallible {
        let mut pauses = self.pauses.clone();
        loop {
            if pauses.changed().await.is_err() {
                // The build is over; whoever waits for its end is told elsewhere.
                return std::future::pending().await;
            }
            let Some(pause) = pauses.borrow_and_update().clone() else {
                continue;
            };
            self.tell(&pause);
            if self.opens_shell
                && let Err(error) = self.shell(&pause).await
            {
                Failure::fault(error).report();
                // Nobody is there who could say it, and it may have been said elsewhere.
                let _ = self.give_up(&pause).await;
            }
        }
    }

    /// Opens a shell; its exit code decides how the build goes on, unless somebody else has decided
    /// since.
    async fn shell(&self, pause: &Pause) -> anyhow::Result<()> {
        let paused = PausedBuild::find(&self.tools.data, Some(&pause.build))?;
        let code = terminal::run_shell(&self.tools.engine, &paused).await?;
        let is_current = self
            .pauses
            .borrow()
            .as_ref()
            .is_some_and(|current| current.number == pause.number);
        if !is_current {
            return Ok(());
        }
        let with = if code == 0 {
            Continuation::Next
        } else {
            Continuation::GiveUp
        };
        Ok(paused.resume(with).await?)
    }

    /// Ctrl-C stops the build; while it is paused after a failure, it ends the pause instead, and the
    /// build ends as it would have.
    async fn heed(&self, mut interrupts: Signal) -> Infallible {
        while interrupts.recv().await.is_some() {
            let pause = self.pauses.borrow().clone();
            let failure = pause.filter(|pause| pause.reason == PauseReason::Failure);
            let given_up = match failure {
                Some(pause) => self.give_up(&pause).await.is_ok(),
                None => false,
            };
            if !given_up {
                self.stop.cancel();
            }
        }
        std::future::pending().await
    }

    async fn give_up(&self, pause: &Pause) -> anyhow::Result<()> {
        let paused = PausedBuild::find(&self.tools.data, Some(&pause.build))?;
        Ok(paused.resume(Continuation::GiveUp).await?)
    }

    /// Says where the build is paused and what can be done.
    fn tell(&self, pause: &Pause) {
        let place = pause.place.describe();
        let Pause { build, reason, .. } = pause;
        tell(match reason {
            PauseReason::Breakpoint => {
                format!("build {build} is paused at a breakpoint in {place}")
            }
            PauseReason::Failure => format!("build {build} is paused after the failure of {place}"),
        });
        if self.opens_shell {
            tell(match reason {
                PauseReason::Breakpoint => {
                    "  `exit 0` lets the build go on, `exit 1` makes the breakpoint fail"
                }
                PauseReason::Failure => {
                    "  `exit 0` runs the command once more, `exit 1` lets the failure stand"
                }
            });
            return;
        }
        let data = self.data_directory.as_ref();
        let data = data.map(|path| format!(" --data-directory {}", path.display()));
        let data = data.unwrap_or_default();
        tell(format_args!(
            "  look:  buildspec-agent attach {build}{data}"
        ));
        tell(format_args!(
            "  go on: buildspec-agent resume {build}{data}"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_has_a_unit_and_a_limit() {
        for (text, seconds) in [
            ("1s", Some(1)),
            ("90s", Some(90)),
            ("30m", Some(1800)),
            ("36h", Some(129_600)),
            ("37h", None),
            ("0s", None),
            ("30", None),
            ("m", None),
            ("", None),
            ("-1s", None),
            ("1ä", None),
            ("99999999999999999999h", None),
        ] {
            let read = duration(text).ok();
            assert_eq!(read, seconds.map(Duration::from_secs), "{text}");
        }
    }
}
