//! Artifacts: what the executor collected goes in, stored artifacts come out.

mod directory;

use std::io;
use std::path::PathBuf;

pub use directory::{store_as_file, store_in_directory};

/// Why an artifact was not stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A collected file cannot be read, or its copy not written.
    #[error("cannot store artifact file {} as {}", from.display(), to.display())]
    File {
        /// The collected file.
        from: PathBuf,
        /// Where it should have gone.
        to: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What was collected holds something that no collector makes: it was tampered with.
    #[error("{} is neither a file nor a directory", path.display())]
    NotAFile {
        /// The strange entry.
        path: PathBuf,
    },
    /// What was collected cannot be listed.
    #[error("cannot read the collected artifact")]
    Walk(#[from] walkdir::Error),
}
