//! Removes what containers have left on the host, for an agent that is not root there.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// Removes files and whole directories. What is not there counts as removed; links are removed
/// and not followed.
pub(crate) fn remove(paths: &[&str]) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for path in paths {
        if let Err(error) = remove_one(Path::new(path)) {
            // If nobody can read it, the exit code still tells.
            drop(writeln!(io::stderr(), "cannot remove {path}: {error}"));
            code = ExitCode::FAILURE;
        }
    }
    code
}

fn remove_one(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn trees_are_removed_and_links_are_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let (tree, kept) = (directory.path().join("tree"), directory.path().join("kept"));
        fs::create_dir_all(tree.join("a/b")).unwrap();
        fs::create_dir(&kept).unwrap();
        fs::write(kept.join("file"), "x").unwrap();
        symlink(&kept, tree.join("link")).unwrap();
        remove_one(&tree).unwrap();
        assert!(!tree.exists());
        assert!(kept.join("file").exists());
        remove_one(&tree).unwrap();
    }
}
