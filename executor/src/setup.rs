//! What the executor does once, before anything of the build runs.

use std::env;
use std::io;
use std::os::unix::net::UnixListener;

use caps::{CapSet, Capability};
use nix::sys::prctl;

use crate::cgroups;
use crate::channel::Channel;
use crate::mounts::Mounter;
use crate::places::Places;
use crate::routes;
use crate::shell;

/// How far the build is shut in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Confinement {
    /// A container: the channel is hidden, instance metadata cut off, capabilities are dropped.
    Container(Neighbours),
    /// A privileged container, which keeps its capabilities.
    Privileged,
    /// No container at all; for tests.
    None,
}

/// The other members of the container's network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Neighbours {
    /// Somebody chose the network for this build: it may speak to them.
    Reachable,
    /// The network is everybody's: they are cut off.
    CutOff,
}

/// A step of the set-up failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step}")]
pub(crate) struct SetupError {
    step: &'static str,
    source: io::Error,
}

fn failed<E: Into<io::Error>>(step: &'static str) -> impl FnOnce(E) -> SetupError {
    move |error| SetupError {
        step,
        source: error.into(),
    }
}

/// Opens the channel and listens on its socket.
pub(crate) fn open_channel(places: &Places) -> Result<(Channel, UnixListener), SetupError> {
    // Processes of the build may not look into this one, although they run as the same user.
    prctl::set_dumpable(false).map_err(failed("close the executor to other processes"))?;
    let channel = Channel::open(&places.channel).map_err(failed("open the channel"))?;
    let listener = Channel::listen(&places.channel).map_err(failed("make the control socket"))?;
    Ok((channel, listener))
}

/// Shuts the build in, and goes where commands start. Gives what can still mount caches, if there are any.
pub(crate) fn confine(
    places: &Places,
    confinement: Confinement,
) -> Result<Option<Mounter>, SetupError> {
    if confinement == Confinement::None {
        prctl::set_child_subreaper(true).map_err(failed("adopt the processes of the build"))?;
    } else {
        Channel::hide(&places.channel).map_err(failed("hide the channel"))?;
        routes::cut_off_instance_metadata().map_err(failed("cut off the instance metadata"))?;
    }
    if confinement == Confinement::Privileged {
        // Without them, only containers inside the container cannot be had.
        let _ = cgroups::make_writable();
    }
    if confinement == Confinement::Container(Neighbours::CutOff) {
        routes::cut_off_neighbours().map_err(failed("cut off the neighbours on the network"))?;
    }
    let has_caches = confinement != Confinement::None && places.local_cache.is_dir();
    let mounter = has_caches.then(|| Mounter::start(places.local_cache.clone()));
    let mounter = mounter.transpose();
    let mounter = mounter.map_err(failed("start the thread that mounts caches"))?;
    if let Confinement::Container(_) = confinement {
        drop_capabilities(&[Capability::CAP_SYS_ADMIN, Capability::CAP_NET_ADMIN])
            .map_err(io::Error::other)
            .map_err(failed("drop capabilities"))?;
    }
    shell::make_state_directory(places).map_err(failed("make the directory for state"))?;
    env::set_current_dir(&places.readonly).map_err(failed("enter the directory of programs"))?;
    Ok(mounter)
}

/// Gives capabilities up, in this order, for this thread and all that it will ever start.
pub(crate) fn drop_capabilities(
    capabilities: &[Capability],
) -> Result<(), caps::errors::CapsError> {
    for capability in capabilities {
        for set in [
            CapSet::Ambient,
            CapSet::Bounding,
            CapSet::Inheritable,
            CapSet::Effective,
            CapSet::Permitted,
        ] {
            caps::drop(None, set, *capability)?;
        }
    }
    Ok(())
}
