//! Brings a cached tree back: by mounts where that is possible, in no time, and by copying elsewhere.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::{Bases, CachePath, Existing, Part, Transfer, TransferError, collect_stored, transfer};
use crate::mounts::{Mounter, Overlay};

/// A directory that was mounted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mounted {
    part: Part,
    directory: PathBuf,
}

/// What was copied.
#[derive(Debug)]
pub(crate) struct Copied {
    /// Number of files, links and directories.
    pub(crate) items: u64,
    /// Files that no cached path takes; they were left.
    pub(crate) outside: Vec<PathBuf>,
}

/// Mounts as much of a tree as can be mounted. The build sees files of the tree as its own: what it
/// changes goes into directories below `work`, or into the source directory.
///
/// The source directory as a whole becomes the upper layer over the cached tree. So the source's own
/// files win, and cached directories are directories like others, which a build can remove or replace.
/// Elsewhere each cached directory is a mount, with the image's files below the cached ones.
pub(crate) fn mount(
    mounter: Option<&Mounter>,
    tree: &Bases,
    bases: &Bases,
    paths: &[CachePath],
    work: &Path,
) -> Vec<Mounted> {
    let mut done = Vec::new();
    let Some(mounter) = mounter else {
        return done;
    };
    // A build that has made it already gets its cache copied.
    if DirBuilder::new().mode(0o700).create(work).is_err() {
        return done;
    }
    let takes_source = paths.iter().any(|path| path.part == Part::Source);
    if takes_source && tree.source.is_dir() && mount_source(mounter, tree, bases, work).is_ok() {
        done.push(Mounted {
            part: Part::Source,
            directory: PathBuf::new(),
        });
    }
    for path in paths {
        let directory = path.directory();
        let is_mountable = path.part == Part::Root
            && path.is_whole()
            && is_directory(&tree.root.join(directory))
            && !is_mounted(&done, Part::Root, directory);
        let place = work.join(done.len().to_string());
        if is_mountable && mount_root(mounter, tree, bases, (directory, &place)).is_ok() {
            done.push(Mounted {
                part: Part::Root,
                directory: directory.to_owned(),
            });
        }
    }
    done
}

fn mount_source(mounter: &Mounter, tree: &Bases, bases: &Bases, work: &Path) -> io::Result<()> {
    let work = work.join("source");
    fs::create_dir(&work)?;
    mounter.mount(Overlay {
        lower: vec![tree.source.clone()],
        upper: bases.source.clone(),
        work,
        target: bases.source.clone(),
    })
}

fn mount_root(
    mounter: &Mounter,
    tree: &Bases,
    bases: &Bases,
    (directory, place): (&Path, &Path),
) -> io::Result<()> {
    let target = bases.root.join(directory);
    fs::create_dir_all(&target)?;
    let (upper, work) = (place.join("upper"), place.join("work"));
    fs::create_dir(place)?;
    fs::create_dir(&upper)?;
    fs::create_dir(&work)?;
    // The upper directory is what the build sees as the cached one itself.
    let cached = tree.root.join(directory);
    fs::set_permissions(&upper, fs::metadata(&cached)?.permissions())?;
    let is_empty = fs::read_dir(&target)?.next().is_none();
    let image = (!is_empty).then(|| target.clone());
    mounter.mount(Overlay {
        lower: [cached].into_iter().chain(image).collect(),
        upper,
        work,
        target,
    })
}

/// Copies what was not mounted. Files of the source stay as they are, those of the image are replaced.
pub(crate) fn copy_rest<C>(
    mounted: &[Mounted],
    tree: &Bases,
    bases: &Bases,
    paths: &[CachePath],
    mut look: impl FnMut() -> Result<(), C>,
) -> Result<Copied, TransferError<C>> {
    let mut copied = Copied {
        items: 0,
        outside: Vec::new(),
    };
    let has_rest = |path: &CachePath| {
        let directory = path.directory();
        !is_mounted(mounted, path.part, directory)
            && fs::symlink_metadata(tree.of(path.part).join(directory)).is_ok()
    };
    // To walk through what is mounted would take the time that mounting saves.
    let parts = Part::ALL.into_iter().filter(|part| {
        let mut paths = paths.iter().filter(|path| path.part == *part);
        paths.any(has_rest)
    });
    let mut cut = Ok(());
    let collected = collect_stored(tree, parts, || {
        cut = look();
        cut.is_ok()
    });
    cut.map_err(TransferError::Cut)?;
    let Some(mut collection) = collected else {
        return Err(TransferError::Copy(
            PathBuf::from("."),
            io::Error::from_raw_os_error(libc::E2BIG),
        ));
    };
    collection.remove_unless(|part, path| !is_mounted(mounted, part, path));
    copied.outside = collection.remove_unless(|part, path| {
        paths
            .iter()
            .any(|allowed| allowed.part == part && allowed.takes(path))
    });
    copied.items = collection.len();
    let transferred = Transfer {
        collection: &collection,
        from: tree,
        to: bases,
        existing: |part| match part {
            Part::Source => Existing::Stays,
            Part::Root => Existing::IsReplaced,
        },
    };
    transfer(&transferred, look)?;
    Ok(copied)
}

fn is_mounted(mounted: &[Mounted], part: Part, path: &Path) -> bool {
    mounted
        .iter()
        .any(|mounted| mounted.part == part && path.starts_with(&mounted.directory))
}

/// Whether it is a directory itself and no link to one.
fn is_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}
