//! The executor, embedded in this program by `build.rs`.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::DirectoryError;

const EXECUTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/executor"));

/// Hash of the executor's bytes, so that agents of two versions can share a data directory.
const EXECUTOR_HASH: &str = env!("EXECUTOR_HASH");

/// Puts the executor into the data directory if it is not there yet, and gives its path.
pub(super) fn install(root: &Path) -> Result<PathBuf, DirectoryError> {
    let path = root.join(format!("executor-{EXECUTOR_HASH}"));
    if path.exists() {
        return Ok(path);
    }
    // Written under another name first: nobody must ever see half a program.
    let draft = root.join(format!("executor-{EXECUTOR_HASH}.{}", Uuid::new_v4()));
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o755)
        .open(&draft)
        .and_then(|mut file| file.write_all(EXECUTOR).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&draft, &path));
    if let Err(error) = written {
        let _ = fs::remove_file(&draft);
        return Err(DirectoryError::new("write executor", &path)(error));
    }
    Ok(path)
}
