//! `executor measure`: whether directories hold more than they may.

use std::path::Path;
use std::process::ExitCode;

use executor::protocol::channel::EXIT_TOO_LARGE;
use walkdir::WalkDir;

use std::os::unix::fs::MetadataExt;

/// Size of the blocks in which the system counts what a file takes, in bytes.
const BLOCK: u64 = 512;

/// Ends with 0 while what is below the directory takes at most `limit_bytes` on disk, otherwise with
/// [`EXIT_TOO_LARGE`]. What cannot be read is not counted.
pub(crate) fn measure(limit_bytes: &str, directory: &str) -> ExitCode {
    let Ok(limit) = limit_bytes.parse::<u64>() else {
        return ExitCode::FAILURE;
    };
    if is_larger(Path::new(directory), limit) {
        ExitCode::from(EXIT_TOO_LARGE)
    } else {
        ExitCode::SUCCESS
    }
}

/// Stops counting as soon as it is known.
fn is_larger(directory: &Path, limit_bytes: u64) -> bool {
    // Layers of images that are mounted would be counted twice.
    let mut left = limit_bytes;
    for entry in WalkDir::new(directory).same_file_system(true) {
        let Some(metadata) = entry.ok().and_then(|entry| entry.metadata().ok()) else {
            continue;
        };
        match left.checked_sub(metadata.blocks() * BLOCK) {
            Some(rest) => left = rest,
            None => return true,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_more_than_the_limit_is_larger() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("a")).unwrap();
        std::fs::write(directory.path().join("a/b"), vec![1; 1 << 20]).unwrap();
        assert!(!is_larger(directory.path(), 4 << 20));
        assert!(is_larger(directory.path(), 1 << 19));
    }
}
