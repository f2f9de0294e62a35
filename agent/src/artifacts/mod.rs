//! Artifacts: what the executor collected goes in, stored artifacts come out.

mod directory;
mod s3;

use std::io;
use std::path::PathBuf;

pub use directory::{store_as_file, store_in_directory};
pub use s3::{Encryption, ObjectAttributes, S3Store};

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
    /// A collected file cannot be read.
    #[error("cannot read artifact file {}", path.display())]
    Read {
        /// The collected file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A bucket did not take a file.
    #[error("cannot upload s3://{bucket}/{key}: {reason}")]
    Upload {
        /// The bucket.
        bucket: String,
        /// The object's key.
        key: String,
        /// AWS's words.
        reason: String,
    },
    /// Somebody stopped the build.
    #[error("stopped")]
    Stopped,
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
