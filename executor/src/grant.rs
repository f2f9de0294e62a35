//! Lets a user other than root work on the sources.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd;
use walkdir::WalkDir;

use crate::places::Places;
use crate::sys::Identity;

/// Gives a user all sources of the build, and the way to them (buildspec reference, run-as: the
/// user is granted permission to read and run). Links are given, not what they lead to.
pub(crate) fn sources(places: &Places, source: &Path, identity: &Identity) -> io::Result<()> {
    for directory in source
        .ancestors()
        .filter(|path| path.starts_with(&places.output))
    {
        let mode = fs::metadata(directory)?.permissions().mode();
        if mode & 0o001 == 0 {
            fs::set_permissions(directory, Permissions::from_mode(mode | 0o001))?;
        }
    }
    for entry in WalkDir::new(top(places, source)) {
        // What went away since, or is too deep to be named, is left.
        let Ok(entry) = entry else { continue };
        let owned = entry
            .metadata()
            .is_ok_and(|metadata| metadata.uid() == identity.user.as_raw());
        if owned {
            continue;
        }
        match unistd::fchownat(
            nix::fcntl::AT_FDCWD,
            entry.path(),
            Some(identity.user),
            Some(identity.group),
            nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW,
        ) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The directory of all sources: the one directly below the output directory.
fn top(places: &Places, source: &Path) -> PathBuf {
    let below = source.strip_prefix(&places.output).ok();
    match below.and_then(|path| path.components().next()) {
        Some(first) => places.output.join(first),
        None => source.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use nix::unistd::{Gid, Uid};

    use super::*;

    #[test]
    fn the_way_to_the_sources_is_opened_and_no_more() {
        let root = tempfile::tempdir().unwrap();
        let places = Places::below(root.path());
        let source = places.output.join("src1/src");
        fs::create_dir_all(&source).unwrap();
        fs::write(source.join("file"), "").unwrap();
        std::os::unix::fs::symlink("/nowhere", source.join("link")).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        for path in [root.path(), &places.output, &places.output.join("src1")] {
            fs::set_permissions(path, Permissions::from_mode(0o700)).unwrap();
        }
        let own = Identity {
            user: Uid::effective(),
            group: Gid::effective(),
            groups: Vec::new(),
        };
        sources(&places, &source, &own).unwrap();
        assert_eq!(mode(&places.output), 0o701);
        assert_eq!(mode(&places.output.join("src1")), 0o701);
        assert_eq!(mode(root.path()), 0o700);
        assert_eq!(top(&places, &source), places.output.join("src1"));
        assert_eq!(top(&places, Path::new("/mounted")), Path::new("/mounted"));
    }
}
