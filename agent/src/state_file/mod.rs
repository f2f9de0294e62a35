//! Small files that say where something stands: a value in, a file that is never seen half written.
//!
//! They survive the death of the process that writes them. They are not flushed to the disk's
//! surface: what they speak of, a build on this machine, does not survive the machine either.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// More is not read of a state file, in bytes.
const LIMIT_BYTES: u64 = 64 * 1024 * 1024;

/// Why a state file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateFileError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It holds something else, which an agent of another version may have written.
    #[error("cannot understand {}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// Reads a value; `None` if there is no file.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StateFileError> {
    let cannot = |source| StateFileError::Read {
        path: path.to_owned(),
        source,
    };
    match fs::metadata(path) {
        Ok(metadata) if metadata.len() > LIMIT_BYTES => {
            return Err(cannot(io::Error::other("the file is too large")));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot(error)),
    }
    let bytes = fs::read(path).map_err(cannot)?;
    let value = serde_json::from_slice(&bytes);
    value.map(Some).map_err(|source| StateFileError::Malformed {
        path: path.to_owned(),
        source,
    })
}

/// Writes a value in the place of the one before, readable by the file's owner only.
pub fn write(path: &Path, value: &impl Serialize) -> Result<(), StateFileError> {
    let draft = path.with_extension("draft");
    let written = serde_json::to_vec(value)
        .map_err(io::Error::from)
        .and_then(|bytes| {
            OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&draft)?
                .write_all(&bytes)
        })
        .and_then(|()| fs::rename(&draft, path));
    written.map_err(|source| StateFileError::Write {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_value_is_read_as_it_was_written_and_by_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.json");
        assert_eq!(read::<u32>(&path).unwrap(), None);
        write(&path, &1_u32).unwrap();
        write(&path, &2_u32).unwrap();
        assert_eq!(read::<u32>(&path).unwrap(), Some(2));
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_of_something_else_is_an_error_that_names_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.json");
        fs::write(&path, "{").unwrap();
        let error = read::<u32>(&path).unwrap_err();
        assert!(error.to_string().contains("state.json"), "{error}");
    }
}
