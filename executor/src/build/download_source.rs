//! What is left of `DOWNLOAD_SOURCE` when the container runs: runtimes, and the announcements
//! that close the phase.

use std::io;

use executor::protocol::{CommandList, Phase, RuntimeSelection, Status};

use super::Build;
use super::commands::{ListEnd, Place, execution_error};
use crate::reason;
use crate::supervisor::{Fault, Run};
use crate::untrusted;

/// CodeBuild's words (user guide, "Runtime versions").
const RUNTIMES_NOT_SUPPORTED: &str = "Skipping install of runtimes. Runtime version selection is \
    not supported by this build image";

impl Build<'_> {
    /// Ends `DOWNLOAD_SOURCE`, which the agent has begun.
    pub(super) fn download_source(&mut self) -> Result<Status, Fault> {
        self.warn_of_short_secrets()?;
        self.give_up_needless_mounter();
        self.keep_git_credentials()?;
        let mut end = self.entrypoint()?;
        if matches!(end, ListEnd::Succeeded) {
            end = self.runtimes()?;
        }
        if matches!(end, ListEnd::Succeeded) {
            end = self.announce()?;
        }
        self.give_up_mounter();
        let (status, context) = end.outcome();
        self.supervisor
            .log
            .phase_ended(Phase::DownloadSource, status, context)
            .map_err(Fault::Spool)?;
        Ok(status)
    }

    /// Puts the credentials where `git-credential-helper` finds them, in memory. Every user of the
    /// build may ask it, so every user may read them.
    fn keep_git_credentials(&mut self) -> Result<(), Fault> {
        let credentials = std::mem::take(&mut self.plan.git_credentials);
        if credentials.is_empty() {
            return Ok(());
        }
        let kept = serde_json::to_vec(&credentials)
            .map_err(io::Error::from)
            .and_then(|bytes| untrusted::replace(&self.places.git_credentials(), 0o644, &bytes));
        match kept {
            Ok(()) => Ok(()),
            Err(error) => self.line(&format!(
                "git-credential-helper is not available: {}",
                reason::text(&error)
            )),
        }
    }

    /// Runs the image's entrypoint to its end. What it has started, a daemon, lives on.
    fn entrypoint(&mut self) -> Result<ListEnd, Fault> {
        let entrypoint = std::mem::take(&mut self.plan.entrypoint);
        let Some((program, arguments)) = entrypoint.split_first() else {
            return Ok(ListEnd::Succeeded);
        };
        let shown = self.supervisor.log.mask(&entrypoint.join(" "));
        self.line(&format!("Running entrypoint {shown}"))?;
        let mut command = self.shell.plain(program);
        command.args(arguments);
        let run = self.supervisor.run(command, None)?;
        self.supervisor.log.end_of_output().map_err(Fault::Spool)?;
        let reason = match run {
            Run::Ended(exit, _) if exit.is_success() => return Ok(ListEnd::Succeeded),
            Run::Ended(exit, _) => exit.to_string(),
            Run::NotStarted(error) => format!("fork/exec {program}: {}", reason::text(&error)),
            Run::Cut(ending, ..) => return Ok(ListEnd::Cut(ending)),
        };
        Ok(ListEnd::Failed(execution_error(&shown, &reason)))
    }

    fn runtimes(&mut self) -> Result<ListEnd, Fault> {
        let Some(runtimes) = self.plan.runtimes.take() else {
            self.line(RUNTIMES_NOT_SUPPORTED)?;
            return Ok(ListEnd::Succeeded);
        };
        if runtimes.is_empty() {
            self.line("No runtime version selected in buildspec.")?;
        }
        for runtime in &runtimes {
            let end = self.select(runtime)?;
            if !matches!(end, ListEnd::Succeeded) {
                return Ok(end);
            }
        }
        Ok(ListEnd::Succeeded)
    }

    fn select(&mut self, runtime: &RuntimeSelection) -> Result<ListEnd, Fault> {
        let RuntimeSelection { name, version, .. } = runtime;
        let reason = if runtime.manual {
            "manual selections"
        } else {
            "the requirements of other runtimes"
        };
        self.line(&format!(
            "Selecting '{name}' runtime version '{version}' based on {reason}..."
        ))?;
        let place = Place {
            phase: Phase::DownloadSource,
            list: CommandList::Commands,
            attempt: 0,
            run_as: None,
        };
        self.shell.set_version(runtime.version_variable.as_deref());
        let end = self.commands(place, &runtime.commands);
        self.shell.set_version(None);
        end
    }

    fn announce(&mut self) -> Result<ListEnd, Fault> {
        let phases = self.plan.phases.iter().filter(|phase| phase.in_buildspec);
        let counts: Vec<String> = phases
            .map(|phase| format!(" {}: {} commands", phase.phase.name(), phase.commands.len()))
            .collect();
        self.line(&format!(
            "Moving to directory {}",
            self.plan.source_directory
        ))?;
        if let Some(ending) = self.restore_cache()? {
            return Ok(ListEnd::Cut(ending));
        }
        self.line("Registering with agent")?;
        self.line(&format!("Phases found in YAML: {}", counts.len()))?;
        counts.iter().try_for_each(|count| self.line(count))?;
        Ok(ListEnd::Succeeded)
    }

    fn warn_of_short_secrets(&mut self) -> Result<(), Fault> {
        match self.supervisor.log.unmasked_secrets() {
            0 => Ok(()),
            1 => self.line("1 secret value is too short to be masked in this log"),
            count => self.line(&format!(
                "{count} secret values are too short to be masked in this log"
            )),
        }
    }
}
