//! Whether a kept cache can be trusted after a crash of the machine.
//!
//! A cache is kept by a rename, which reaches the disk before a gigabyte of contents does. To wait for them would
//! hold up every build that keeps one. So a cache notes in which run of the machine it was kept, and counts in
//! that one only, until it is known to be on disk.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Changes with every start of the machine.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// File with the run of the machine in which the cache was kept.
const KEPT: &str = "boot";

/// File that is there once the contents are on disk.
const SYNCED: &str = "synced";

/// Notes in a cache's directory in which run of the machine it is kept.
pub fn note(directory: &Path) -> io::Result<()> {
    fs::write(directory.join(KEPT), fs::read(BOOT)?)
}

/// Notes that all of a cache is on disk.
pub fn note_synced(directory: &Path) -> io::Result<()> {
    File::create(directory.join(SYNCED)).map(drop)
}

/// Whether all of a cache is known to be on disk.
pub fn is_synced(directory: &Path) -> bool {
    directory.join(SYNCED).exists()
}

/// Whether the contents of a cache are what was kept.
pub fn is_whole(directory: &Path) -> bool {
    let is_of_this_run = || {
        let kept = fs::read(directory.join(KEPT)).ok()?;
        Some(kept == fs::read(BOOT).ok()?)
    };
    is_synced(directory) || is_of_this_run() == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_of_another_run_of_the_machine_counts_only_if_it_reached_the_disk() {
        let directory = tempfile::tempdir().unwrap();
        assert!(!is_whole(directory.path()));
        note(directory.path()).unwrap();
        assert!(is_whole(directory.path()));
        fs::write(directory.path().join(KEPT), "another").unwrap();
        assert!(!is_whole(directory.path()));
        note_synced(directory.path()).unwrap();
        assert!(is_whole(directory.path()));
    }
}
