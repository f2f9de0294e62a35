//! Where things are in the container.

use std::env;
use std::io;
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
    /// What opens the sources of the build, for its git; in memory too.
    pub(crate) fn git_credentials(&self) -> PathBuf {
        self.state.join("git-credentials.json")
    }

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

    /// The places of the build whose program this process is: it lies in `readonly/bin`.
    pub(crate) fn of_this_program() -> io::Result<Self> {
        let program = env::current_exe()?;
        let root = program.ancestors().nth(4).unwrap_or(Path::new("/"));
        Ok(Self::below(root))
    }

    /// The executor's program, for processes of the build.
    pub(crate) fn program(&self) -> PathBuf {
        self.readonly.join("bin/executor")
    }

    /// The socket of the debug session.
    pub(crate) fn session(&self) -> PathBuf {
        self.state.join("session.sock")
    }
}
