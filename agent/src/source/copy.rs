//! Copies a tree of files, as cheaply as the file system can.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;
use walkdir::{DirEntry, WalkDir};

use super::SourceError;

/// Copies what is in `from` into `to`, which is made. Modes, times of files and symbolic links are
/// kept as they are; sockets, pipes and devices are left out. Blocks are shared where the file
/// system can do that.
pub fn copy_tree(from: &Path, to: &Path, stop: &CancellationToken) -> Result<(), SourceError> {
    // The workspace may lie inside the source (a data directory in the working tree).
    let inside = |entry: &DirEntry| {
        !(entry.file_type().is_dir() && to.starts_with(entry.path()) && entry.depth() > 0)
    };
    let mut directories = Vec::new();
    for entry in WalkDir::new(from).into_iter().filter_entry(inside) {
        if stop.is_cancelled() {
            return Err(SourceError::Stopped);
        }
        let entry = entry?;
        let target = match entry.path().strip_prefix(from) {
            Ok(relative) if relative.as_os_str().is_empty() => to.to_owned(),
            Ok(relative) => to.join(relative),
            Err(_) => continue,
        };
        let copied = copy_entry(&entry, &target);
        copied.map_err(|source| SourceError::Copy {
            from: entry.path().to_owned(),
            to: target.clone(),
            source,
        })?;
        if entry.file_type().is_dir() {
            directories.push((entry, target));
        }
    }
    // Last and from the leaves up: a directory without write permission could not be filled.
    for (entry, target) in directories.into_iter().rev() {
        let permissions = entry.metadata()?.permissions();
        fs::set_permissions(&target, permissions).map_err(|source| SourceError::Copy {
            from: entry.into_path(),
            to: target,
            source,
        })?;
    }
    Ok(())
}

fn copy_entry(entry: &DirEntry, target: &PathBuf) -> io::Result<()> {
    let kind = entry.file_type();
    if kind.is_dir() {
        fs::create_dir_all(target)
    } else if kind.is_symlink() {
        symlink(fs::read_link(entry.path())?, target)
    } else if kind.is_file() {
        // The kernel shares the blocks where source and target lie on one file system that can.
        fs::copy(entry.path(), target)?;
        let modified = entry.metadata()?.modified()?;
        fs::File::open(target)?.set_modified(modified)
    } else {
        tracing::debug!(path = %entry.path().display(), "left out {}: not a file", entry.path().display());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn a_copy_has_the_modes_times_and_links_of_its_source() {
        let root = tempfile::tempdir().unwrap();
        let (from, to) = (root.path().join("from"), root.path().join("deep/to"));
        fs::create_dir_all(from.join("sub")).unwrap();
        fs::write(from.join("sub/run.sh"), "x").unwrap();
        fs::set_permissions(from.join("sub/run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
        let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        fs::File::open(from.join("sub/run.sh"))
            .unwrap()
            .set_modified(old)
            .unwrap();
        symlink("../outside", from.join("link")).unwrap();
        fs::set_permissions(from.join("sub"), fs::Permissions::from_mode(0o555)).unwrap();

        copy_tree(&from, &to, &CancellationToken::new()).unwrap();

        let copy = fs::metadata(to.join("sub/run.sh")).unwrap();
        assert_eq!(copy.permissions().mode() & 0o777, 0o755);
        assert_eq!(copy.modified().unwrap(), old);
        assert_eq!(
            fs::read_link(to.join("link")).unwrap(),
            Path::new("../outside")
        );
        assert_eq!(
            fs::metadata(to.join("sub")).unwrap().permissions().mode() & 0o777,
            0o555
        );
        for directory in [from.join("sub"), to.join("sub")] {
            fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    #[test]
    fn a_workspace_inside_the_source_is_not_copied_into_itself() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a"), "x").unwrap();
        let to = root.path().join("data/builds/1/output");
        copy_tree(root.path(), &to, &CancellationToken::new()).unwrap();
        assert!(to.join("a").exists());
        assert!(!to.join("data").exists());
    }

    #[test]
    fn a_stopped_copy_ends_at_once() {
        let root = tempfile::tempdir().unwrap();
        let stop = CancellationToken::new();
        stop.cancel();
        let stopped = copy_tree(root.path(), &root.path().join("to"), &stop);
        assert!(matches!(stopped, Err(SourceError::Stopped)));
    }
}
