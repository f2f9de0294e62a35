//! Removes directory trees that a build has made: as deep and as wide as it liked, with links
//! that lead elsewhere and directories that forbid everything.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{self, OFlag};
use nix::sys::stat::{self, FchmodatFlags, Mode};
use nix::unistd::{self, UnlinkatFlags};

/// How many names are held at a time.
const BATCH: usize = 1024;

/// Removes a file or a whole directory. What is not there counts as removed. A link is removed,
/// and what it leads to stays. After an error part of the tree is gone.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !metadata.is_dir() {
        return fs::remove_file(path);
    }
    let mut top = Top {
        directory: fcntl::open(path, DIRECTORY, Mode::empty())?,
        moved: 0,
    };
    loop {
        let names = batch(&top.directory)?;
        if names.is_empty() {
            return fs::remove_dir(path);
        }
        for name in names {
            top.remove(&name)?;
        }
    }
}

/// How directories are opened.
const DIRECTORY: OFlag = OFlag::O_DIRECTORY
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_CLOEXEC);

/// The directory that is removed. Directories found deeper are moved up into it before their own
/// content is looked at, so that no depth needs more than two open directories.
struct Top {
    directory: OwnedFd,
    moved: u64,
}

impl Top {
    fn remove(&mut self, name: &CString) -> nix::Result<()> {
        if remove_entry(&self.directory, name)? {
            return Ok(());
        }
        let inner = self.open(name)?;
        loop {
            let names = batch(&inner)?;
            if names.is_empty() {
                return unlink(&self.directory, name, UnlinkatFlags::RemoveDir);
            }
            for name in names {
                if !remove_entry(&inner, &name)? {
                    self.take(&inner, &name)?;
                }
            }
        }
    }

    fn open(&self, name: &CString) -> nix::Result<OwnedFd> {
        allow(&self.directory, name);
        fcntl::openat(&self.directory, name.as_c_str(), DIRECTORY, Mode::empty())
    }

    /// Moves a directory up.
    fn take(&mut self, from: &OwnedFd, name: &CString) -> nix::Result<()> {
        allow(from, name);
        loop {
            self.moved += 1;
            let place = format!(".removed-{}", self.moved);
            match fcntl::renameat(from, name.as_c_str(), &self.directory, place.as_str()) {
                Err(Errno::EEXIST | Errno::ENOTEMPTY | Errno::ENOTDIR) => {}
                result => return result,
            }
        }
    }
}

/// Removes anything but a directory with something in it; tells whether it did.
fn remove_entry(directory: &OwnedFd, name: &CString) -> nix::Result<bool> {
    match unlink(directory, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) => return Ok(true),
        Err(Errno::EISDIR | Errno::EPERM) => {}
        Err(error) => return Err(error),
    }
    match unlink(directory, name, UnlinkatFlags::RemoveDir) {
        Ok(()) => Ok(true),
        Err(Errno::EEXIST | Errno::ENOTEMPTY) => Ok(false),
        Err(error) => Err(error),
    }
}

fn unlink(directory: &OwnedFd, name: &CString, flag: UnlinkatFlags) -> nix::Result<()> {
    match unistd::unlinkat(directory, name.as_c_str(), flag) {
        Err(Errno::ENOENT) => Ok(()),
        result => result,
    }
}

/// Lets the owner into a directory. Where that fails, so does what comes next.
fn allow(parent: &OwnedFd, name: &CString) {
    let _ = stat::fchmodat(
        parent,
        name.as_c_str(),
        Mode::S_IRWXU,
        FchmodatFlags::FollowSymlink,
    );
}

/// Some names in a directory; none when it is empty.
fn batch(directory: &OwnedFd) -> nix::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::openat(directory, ".", DIRECTORY, Mode::empty())?.iter() {
        let name = entry?.file_name().to_owned();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name);
        }
        if names.len() == BATCH {
            break;
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_tree_is_removed_and_links_are_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let (tree, kept) = (directory.path().join("tree"), directory.path().join("kept"));
        fs::create_dir_all(tree.join("a/b/.removed-1")).unwrap();
        fs::create_dir(&kept).unwrap();
        fs::write(kept.join("file"), "x").unwrap();
        fs::write(tree.join("a/b/.removed-1/file"), "x").unwrap();
        fs::write(tree.join(".removed-1"), "x").unwrap();
        symlink(&kept, tree.join("a/link")).unwrap();
        for closed in ["a/b/.removed-1", "a/b", "a", ""] {
            fs::set_permissions(tree.join(closed), fs::Permissions::from_mode(0o500)).unwrap();
        }
        fs::set_permissions(&tree, fs::Permissions::from_mode(0o700)).unwrap();
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
        assert!(kept.join("file").exists());
        remove_tree(&tree).unwrap();
    }

    #[test]
    fn a_link_or_file_by_itself_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        fs::write(&file, "x").unwrap();
        symlink(directory.path(), &link).unwrap();
        remove_tree(&link).unwrap();
        assert!(file.exists());
        remove_tree(&file).unwrap();
        assert!(!file.exists());
    }

    #[test]
    fn no_tree_is_too_deep_or_too_wide() {
        let directory = tempfile::tempdir().unwrap();
        let tree = directory.path().join("tree");
        fs::create_dir(&tree).unwrap();
        let mut inner = fcntl::open(&tree, DIRECTORY, Mode::empty()).unwrap();
        for _ in 0..5000 {
            stat::mkdirat(&inner, "deeper", Mode::S_IRWXU).unwrap();
            inner = fcntl::openat(&inner, "deeper", DIRECTORY, Mode::empty()).unwrap();
        }
        for index in 0..=BATCH {
            fs::write(tree.join(index.to_string()), "").unwrap();
        }
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
    }
}
