//! Sources: where one comes from goes in, a directory for the container comes out.

pub mod archive;
pub mod certificates;
pub mod codecommit;
mod copy;
mod credential;
pub mod git;
pub mod layout;
mod refusal;
pub mod s3;
pub mod stored;

use std::io;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

pub use copy::copy_tree;
pub use credential::{Credential, CredentialKind, UnusableCredential};
pub use layout::{Origin, Placed};
pub use refusal::{Refusal, SourceFailure};

/// Why a source could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file or directory could not be copied.
    #[error("cannot copy {} to {}", from.display(), to.display())]
    Copy {
        /// What was copied.
        from: PathBuf,
        /// Where it should have gone.
        to: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A directory of the source could not be listed.
    #[error("cannot read the source")]
    Walk(#[from] walkdir::Error),
    /// The author of the build has something to mend.
    #[error("{0}")]
    Refused(Refusal),
    /// A file of the source could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// AWS is out of reach.
    #[error("{0}")]
    Aws(String),
    /// What is stored for the host cannot be had, and not for a reason that the author could mend.
    #[error("the source credential cannot be had")]
    Credential(#[source] anyhow::Error),
    /// git, or a file of ours beside it, failed.
    #[error(transparent)]
    Git(git::GitError),
    /// The build was stopped while the source was fetched.
    #[error("stopped")]
    Stopped,
}

impl From<git::GitError> for SourceError {
    fn from(error: git::GitError) -> Self {
        match error {
            git::GitError::Stopped => Self::Stopped,
            error => Self::Git(error),
        }
    }
}

/// Copies a directory of this machine into the workspace.
pub async fn fetch_directory(
    from: &Path,
    to: &Path,
    stop: &CancellationToken,
) -> Result<(), SourceError> {
    let (from, to, stop) = (from.to_owned(), to.to_owned(), stop.clone());
    let copied = tokio::task::spawn_blocking(move || copy_tree(&from, &to, &stop));
    copied
        .await
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}
