//! Where things are in the container.

use std::path::{Path, PathBuf};

/// The directories the executor uses. A test puts all of them below a directory of its own.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// The channel to the agent.
    pub(crate) channel: PathBuf,
    /// Where commands start before they go to their directory.
    pub(crate) readonly: PathBuf,
    /// Below it lie the sources.
    pub(crate) output: PathBuf,
    /// Script and state of the shell; in memory, because there are secrets in it.
    pub(crate) state: PathBuf,
    /// The kept caches of the project, if the agent has mounted them.
    pub(crate) local_cache: PathBuf,
}

impl Places {
    /// The places below a root directory, which is `/` in a container.
    pub(crate) fn below(root: &Path) -> Self {
        let codebuild = root.join("codebuild");
        Self {
            channel: codebuild.join("channel"),
            readonly: codebuild.join("readonly"),
            output: codebuild.join("output"),
            state: codebuild.join("output/tmp"),
            local_cache: codebuild.join("local-cache"),
        }
    }
}
