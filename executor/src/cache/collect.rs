//! What there is to cache.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use executor::globs::Pattern;
use sha2::{Digest, Sha256};
use walkdir::WalkDir;

use super::{Bases, CachePath, Part};
use crate::digest::hexadecimal;
use crate::walk::found;

/// More files, links and directories make no cache.
pub(super) const MOST_ITEMS: usize = 1_000_000;

/// Bits of a mode that come back: nobody gains rights by a file that was cached.
pub(super) const MODE: u32 = 0o1777;

/// What kind of thing is cached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A directory.
    Directory,
    /// A file of this size.
    File(u64),
    /// A symbolic link that leads there.
    Link(PathBuf),
}

/// One thing that is cached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    /// Seconds and nanoseconds since 1970.
    pub(super) modified: (i64, i64),
}

impl Item {
    /// `None` for sockets, pipes and devices.
    fn new(path: &Path, metadata: &Metadata) -> io::Result<Option<Self>> {
        let kind = if metadata.is_dir() {
            Kind::Directory
        } else if metadata.is_file() {
            Kind::File(metadata.len())
        } else if metadata.is_symlink() {
            Kind::Link(fs::read_link(path)?)
        } else {
            return Ok(None);
        };
        Ok(Some(Self {
            kind,
            mode: metadata.mode() & MODE,
            owner: (metadata.uid(), metadata.gid()),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }))
    }

    fn size(&self) -> u64 {
        match self.kind {
            Kind::File(size) => size,
            Kind::Directory | Kind::Link(_) => 0,
        }
    }
}

/// Everything that is cached, in order of names, without the directories it lies in.
#[derive(Debug, Default)]
pub(crate) struct Collection {
    pub(super) items: BTreeMap<(Part, PathBuf), Item>,
    /// Size of the files together.
    pub(crate) bytes: u64,
    /// Sockets, pipes and devices, which are left out.
    pub(crate) left_out: u64,
}

impl Collection {
    /// Number of files, links and directories.
    pub(crate) fn len(&self) -> u64 {
        self.items.len() as u64
    }

    /// Takes out what `keep` does not want, and gives it, without the directories.
    pub(crate) fn remove_unless(&mut self, keep: impl Fn(Part, &Path) -> bool) -> Vec<PathBuf> {
        let mut removed = Vec::new();
        let bytes = &mut self.bytes;
        self.items.retain(|(part, path), item| {
            let is_kept = keep(*part, path);
            if !is_kept {
                *bytes -= item.size();
                if item.kind != Kind::Directory {
                    removed.push(path.clone());
                }
            }
            is_kept
        });
        removed
    }

    /// A hash over everything but the content of the files, for which their times stand.
    pub(crate) fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let mut add = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        for ((part, path), item) in &self.items {
            add(part.name().as_bytes());
            add(path.as_os_str().as_bytes());
            add(&item.mode.to_le_bytes());
            add(&item.owner.0.to_le_bytes());
            add(&item.owner.1.to_le_bytes());
            match &item.kind {
                Kind::Directory => add(b"directory"),
                // Archives keep whole seconds.
                Kind::File(size) => {
                    add(&size.to_le_bytes());
                    add(&item.modified.0.to_le_bytes());
                }
                Kind::Link(target) => add(target.as_os_str().as_bytes()),
            }
        }
        hexadecimal(&hash.finalize())
    }

    fn add(&mut self, part: Part, base: &Path, relative: PathBuf) {
        let path = base.join(&relative);
        // What went away since, is gone.
        let Ok(metadata) = fs::symlink_metadata(&path) else {
            return;
        };
        match Item::new(&path, &metadata) {
            Ok(Some(item)) => {
                let size = item.size();
                if self.items.insert((part, relative), item).is_none() {
                    self.bytes = self.bytes.saturating_add(size);
                }
            }
            Ok(None) => self.left_out += 1,
            Err(_) => {}
        }
    }
}

/// Finds what the paths take in the container. `None` if that is more than anybody can want, or if
/// `go_on` says no.
pub(crate) fn collect(
    paths: &[CachePath],
    bases: &Bases,
    mut go_on: impl FnMut() -> bool,
) -> Option<Collection> {
    let mut collection = Collection::default();
    for path in paths {
        let base = bases.of(path.part);
        let names: Box<dyn Iterator<Item = PathBuf> + '_> = match &path.pattern {
            Pattern::Literal(literal) => Box::new(tree(base, &base.join(literal), 0)),
            Pattern::Glob(glob) => Box::new(found(base, glob, None, |_| true)),
        };
        add_all(&mut collection, (path.part, base), names, &mut go_on)?;
    }
    Some(collection)
}

/// Finds everything in these parts of a cached tree.
pub(crate) fn collect_stored(
    tree: &Bases,
    parts: impl IntoIterator<Item = Part>,
    mut go_on: impl FnMut() -> bool,
) -> Option<Collection> {
    let mut collection = Collection::default();
    for part in parts {
        let base = tree.of(part);
        add_all(&mut collection, (part, base), tree_of(base), &mut go_on)?;
    }
    Some(collection)
}

fn tree_of(base: &Path) -> impl Iterator<Item = PathBuf> {
    tree(base, base, 1)
}

/// Everything at and below `top`, relative to `base`. Links are not followed.
fn tree(base: &Path, top: &Path, min_depth: usize) -> impl Iterator<Item = PathBuf> + use<> {
    let base = base.to_owned();
    // What `base` itself is, is not cached.
    let min_depth = if top == base { 1 } else { min_depth };
    WalkDir::new(top)
        .min_depth(min_depth)
        .into_iter()
        .filter_map(Result::ok)
        .filter_map(move |entry| Some(entry.path().strip_prefix(&base).ok()?.to_owned()))
}

fn add_all(
    collection: &mut Collection,
    (part, base): (Part, &Path),
    names: impl Iterator<Item = PathBuf>,
    go_on: &mut impl FnMut() -> bool,
) -> Option<()> {
    for (index, name) in names.enumerate() {
        if (index % 1024 == 0 && !go_on()) || collection.items.len() >= MOST_ITEMS {
            return None;
        }
        collection.add(part, base, name);
    }
    Some(())
}
