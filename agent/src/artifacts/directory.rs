//! Artifacts in a directory of this machine.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use walkdir::WalkDir;

use super::StoreError;

/// Moves a collected artifact from the channel into `directory`, which is made if needed, and gives
/// the paths of its files relative to it, sorted. Files of the same name are replaced.
///
/// The collected tree comes out of a container: only plain files and directories are taken, and no
/// link in it is followed.
pub fn store_in_directory(collected: &Path, directory: &Path) -> Result<Vec<String>, StoreError> {
    let mut files = Vec::new();
    for entry in WalkDir::new(collected).sort_by_file_name() {
        let entry = entry?;
        let Ok(relative) = entry.path().strip_prefix(collected) else {
            continue;
        };
        let to = if relative.as_os_str().is_empty() {
            directory.to_owned()
        } else {
            directory.join(relative)
        };
        let stored = if entry.file_type().is_dir() {
            fs::create_dir_all(&to)
        } else if entry.file_type().is_file() {
            files.push(relative.to_string_lossy().into_owned());
            move_file(entry.path(), &to)
        } else {
            return Err(StoreError::NotAFile {
                path: entry.into_path(),
            });
        };
        stored.map_err(|source| StoreError::File {
            from: entry.path().to_owned(),
            to,
            source,
        })?;
    }
    Ok(files)
}

/// Moves the archive of an artifact from the channel to `path`, whose directory is made if needed. A
/// file of that name is replaced. Like other artifacts, it can be read by everybody who can reach it.
pub fn store_as_file(archive: &Path, path: &Path) -> Result<(), StoreError> {
    if !archive
        .symlink_metadata()
        .is_ok_and(|found| found.is_file())
    {
        return Err(StoreError::NotAFile {
            path: archive.to_owned(),
        });
    }
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| fs::set_permissions(archive, Permissions::from_mode(0o644)))
        .and_then(|()| move_file(archive, path))
        .map_err(|source| StoreError::File {
            from: archive.to_owned(),
            to: path.to_owned(),
            source,
        })
}

/// Renames where source and target lie on one file system and the directory permits it.
fn move_file(from: &Path, to: &Path) -> io::Result<()> {
    if fs::rename(from, to).is_ok() {
        return Ok(());
    }
    // Not written through what is there: it may be a link to somewhere else.
    match fs::remove_file(to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::copy(from, to).map(drop)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn files_are_stored_with_their_paths_and_replace_older_ones() {
        let root = tempfile::tempdir().unwrap();
        let (collected, directory) = (root.path().join("0"), root.path().join("out"));
        fs::create_dir_all(collected.join("sub")).unwrap();
        fs::create_dir_all(&directory).unwrap();
        fs::write(collected.join("sub/b"), "new").unwrap();
        fs::write(collected.join("a"), "new").unwrap();
        fs::write(directory.join("a"), "old").unwrap();
        assert_eq!(
            store_in_directory(&collected, &directory).unwrap(),
            ["a", "sub/b"]
        );
        assert_eq!(fs::read_to_string(directory.join("a")).unwrap(), "new");
    }

    #[test]
    fn a_link_in_what_was_collected_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let collected = root.path().join("0");
        fs::create_dir(&collected).unwrap();
        symlink("/etc/shadow", collected.join("innocent")).unwrap();
        let refused = store_in_directory(&collected, &root.path().join("out"));
        assert!(matches!(refused, Err(StoreError::NotAFile { .. })));
    }
}
