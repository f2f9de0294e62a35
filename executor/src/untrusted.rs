//! Reads and writes files at places where a build may have put something else: a link, a pipe
//! without another end, a file without an end.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Flags with which no open follows a link or waits.
const CAREFUL: i32 = libc::O_NOFOLLOW | libc::O_NONBLOCK;

/// Reads a regular file, at most `limit` bytes of it.
pub(crate) fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    // The files of an image may be links.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    let mut bytes = Vec::new();
    regular(file)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Opens a regular file for writing, and makes it if it is missing. What is in it stays.
pub(crate) fn open(path: &Path, mode: u32) -> io::Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(mode)
        .custom_flags(CAREFUL)
        .open(path)?;
    regular(file)
}

/// Writes a new file in place of whatever is there. A process that reads the old one goes on
/// reading the old one.
pub(crate) fn replace(path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?
        .write_all(bytes)
}

fn regular(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::from_raw_os_error(libc::EINVAL))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use nix::sys::stat::Mode;

    use super::*;

    #[test]
    fn what_is_no_file_is_refused_without_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
        let link = directory.path().join("link");
        symlink("elsewhere", &link).unwrap();
        assert!(read(&pipe, 10).is_err());
        for path in [&pipe, &link] {
            assert!(open(path, 0o600).is_err(), "{}", path.display());
            replace(path, 0o600, b"text").unwrap();
            assert_eq!(read(path, 2).unwrap(), b"te", "{}", path.display());
        }
        assert!(!directory.path().join("elsewhere").exists());
    }
}
