//! The life of the executor: set-up, plan, build, exit code.

use std::env;
use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use executor::masking::{Encodings, Masker, MaskingError};
use executor::protocol::{DebugPlan, Plan, Secret, channel};

use crate::build::{Build, Surroundings};
use crate::channel::Channel;
use crate::control::Control;
use crate::log::{Log, SpoolStart};
use crate::pauses::Pauses;
use crate::places::Places;
use crate::processes::Processes;
use crate::session::Session;
use crate::setup::{self, Confinement, SetupError};
use crate::supervisor::{Fault, Supervisor};
use crate::watch::{NoPlan, Watch};

/// Why the executor gives up.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error("cannot watch for orders and signals")]
    Watch(#[source] io::Error),
    #[error(transparent)]
    Plan(NoPlan),
    #[error(transparent)]
    Masking(#[from] MaskingError),
    #[error("cannot start the spool")]
    StartSpool(#[source] io::Error),
    #[error("cannot open the debug session")]
    OpenSession(#[source] io::Error),
    #[error("cannot open the pipe for output")]
    OpenPipe(#[source] io::Error),
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Failure {
    fn exit_code(&self) -> i32 {
        match self {
            Self::Plan(NoPlan::Order(_)) | Self::Masking(_) => channel::EXIT_ORDER,
            Self::StartSpool(_) | Self::Fault(Fault::Spool(_)) => channel::EXIT_SPOOL,
            _ => channel::EXIT_SETUP,
        }
    }
}

/// Runs one build from the start of the container to its end.
pub(crate) fn live(root: PathBuf, confinement: Confinement) -> ExitCode {
    let places = Places::below(&root);
    // Without the channel there is nobody to tell.
    let Ok((channel, listener)) = setup::open_channel(&places) else {
        return code(channel::EXIT_SETUP);
    };
    let ended = Control::new(listener)
        .map_err(Failure::Watch)
        .and_then(|control| build(root, places, &channel, control, confinement));
    match ended {
        Ok(()) | Err(Failure::Plan(NoPlan::Stopped)) => ExitCode::SUCCESS,
        Err(failure) => {
            // The exit code still tells what kind of failure it was.
            drop(channel.leave_failure(&chain(&failure)));
            code(failure.exit_code())
        }
    }
}

fn build(
    root: PathBuf,
    places: Places,
    channel: &Channel,
    control: Control,
    confinement: Confinement,
) -> Result<(), Failure> {
    let mounter = setup::confine(&places, confinement)?;
    let processes = match confinement {
        Confinement::None => Processes::Descendants,
        Confinement::Container(_) | Confinement::Privileged => Processes::Container,
    };
    let mut watch = Watch::new(control, processes).map_err(Failure::Watch)?;
    let plan = watch.plan().map_err(Failure::Plan)?;
    let mut log = start_log(&plan, channel)?;
    if let Some(debug) = plan.debug.clone() {
        let pauses = pauses(debug, &places, channel).map_err(Failure::OpenSession)?;
        watch.allow_pauses(pauses);
    }
    let grace = Duration::from_millis(plan.grace_millis);
    if plan.docker_hint.is_some() {
        log.watch_for_docker();
    }
    let supervisor = Supervisor::new(watch, log, processes, grace).map_err(Failure::OpenPipe)?;
    let surroundings = Surroundings {
        root,
        places,
        channel,
        mounter,
    };
    Ok(Build::new(plan, surroundings, supervisor, env::vars_os()).run()?)
}

fn pauses(plan: DebugPlan, places: &Places, channel: &Channel) -> io::Result<Pauses> {
    Ok(Pauses::new(
        plan,
        Session::listen(places)?,
        channel.try_clone()?,
    ))
}

fn start_log(plan: &Plan, channel: &Channel) -> Result<Log, Failure> {
    let encodings = if plan.mask_encodings {
        Encodings::Common
    } else {
        Encodings::Plain
    };
    let secrets = plan.secrets.iter().map(Secret::expose);
    let masker = Masker::new(secrets, encodings)?;
    let start = SpoolStart {
        first_segment: plan.first_segment,
        first_sequence: plan.first_sequence,
        segment_limit: plan.segment_limit,
    };
    let spool = channel.spool().map_err(Failure::StartSpool)?;
    Log::start(spool, start, masker).map_err(Failure::StartSpool)
}

/// An error and all its causes in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn code(code: i32) -> ExitCode {
    u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from)
}
