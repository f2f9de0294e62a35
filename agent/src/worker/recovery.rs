//! Builds whose agent died and that can go on.

use std::time::Duration;

use uuid::Uuid;

use crate::build::{self, Tools};
use crate::data_directory::{BuildDirectory, DirectoryError};

/// How long a build that can be taken up is left for somebody to do so, since anything last happened
/// to it.
pub const GRACE: Duration = Duration::from_hours(24);

/// A build that can be taken up, held so that nobody else does.
#[derive(Debug)]
pub struct Recoverable {
    /// The build.
    pub build: Uuid,
    /// Its directory.
    pub directory: BuildDirectory,
}

/// Finds the builds of this data directory that nobody looks after and that can be
/// [taken up](build::recover), and holds them.
pub fn recoverable(tools: &Tools) -> Result<Vec<Recoverable>, DirectoryError> {
    let mut found = Vec::new();
    for build in tools.data.builds()? {
        found.extend(recoverable_build(tools, build)?);
    }
    Ok(found)
}

/// One build, held, if nobody looks after it and it can be taken up.
pub fn recoverable_build(
    tools: &Tools,
    build: Uuid,
) -> Result<Option<Recoverable>, DirectoryError> {
    let directory = tools.data.take_over_build(build)?;
    let directory = directory.filter(build::is_recoverable);
    Ok(directory.map(|directory| Recoverable { build, directory }))
}

/// Whether a build in this directory waits to be taken up, and not for too long.
pub fn is_awaited(directory: &BuildDirectory) -> bool {
    let idle = directory.last_change().and_then(|time| time.elapsed().ok());
    build::is_recoverable(directory) && idle.is_none_or(|idle| idle < GRACE)
}
