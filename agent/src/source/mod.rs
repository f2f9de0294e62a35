//! Sources: where one comes from goes in, a directory for the container comes out.

mod copy;

use std::io;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

pub use copy::copy_tree;

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
    /// The build was stopped while the source was fetched.
    #[error("stopped")]
    Stopped,
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
