//! `executor confine`: a daemon of the agent's own, shut in like a build, but with what it needs to run
//! containers.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use crate::{cgroups, reason, routes};

/// Cuts the container off from instance metadata and neighbours, and becomes the program.
pub(crate) fn confine(program: &str, arguments: &[&str]) -> ExitCode {
    let confined = routes::cut_off_instance_metadata()
        .and_then(|()| routes::cut_off_neighbours())
        .and_then(|()| cgroups::make_writable());
    if let Err(error) = confined {
        return crate::say(
            std::io::stderr(),
            &format!("executor: cannot shut the container in: {error}"),
            1,
        );
    }
    let error = Command::new(program).args(arguments).exec();
    let reason = reason::text(&error);
    crate::say(
        std::io::stderr(),
        &format!("executor: cannot run {program}: {reason}"),
        1,
    )
}
