//! A collection as one compressed tar archive, and back. An archive that comes back may have been made by
//! anybody: nothing in it reaches further than the cached paths.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};
use std::thread;

use flate2::bufread::MultiGzDecoder;
use tar::{Archive, Builder, EntryType, Header};

use super::collect::{Collection, Item, Kind, MODE, MOST_ITEMS};
use super::gzip::{self, ParallelGzip};
use super::transfer::{create_file, finish_directory, finish_file, make_directories, make_link};
use super::{Bases, CachePath, Existing, Part, TransferError};

/// How much is read or written between two looks around, in bytes.
const STEP_BYTES: usize = 1024 * 1024;

/// Longest name in an archive, in bytes.
const LONGEST_NAME: u64 = 64 * 1024;

/// Paths outside of the cached ones that are remembered.
const MOST_OUTSIDE: usize = 1000;

/// Packs a collection into `target`. `look` is asked every now and then whether to go on.
pub(crate) fn pack<C>(
    collection: &Collection,
    from: &Bases,
    target: File,
    mut look: impl FnMut() -> Result<(), C>,
) -> Result<(), TransferError<C>> {
    let cannot_write = |error| TransferError::Copy(PathBuf::from("archive"), error);
    let (sender, jobs) = gzip::jobs();
    thread::scope(|scope| {
        let stream = ParallelGzip::start(scope, sender, &jobs, target);
        let mut archive = Builder::new(stream);
        for ((part, path), item) in &collection.items {
            let name = Path::new(part.name()).join(path);
            let mut header = header(item);
            let added = match &item.kind {
                Kind::Directory => archive.append_data(&mut header, name, io::empty()),
                Kind::Link(link) => archive.append_link(&mut header, name, link),
                Kind::File(size) => {
                    let source = from.of(*part).join(path);
                    let opened = open(&source).map_err(|error| copy(path, error))?;
                    let mut reader = Looking::new(opened.take(*size), &mut look);
                    let added = archive.append_data(&mut header, name, &mut reader);
                    reader.finish(*size).map_err(|cut| cut.of(path))?;
                    added
                }
            };
            added.map_err(|error| copy(path, error))?;
            look().map_err(TransferError::Cut)?;
        }
        let stream = archive.into_inner().map_err(cannot_write)?;
        stream.finish().map(drop).map_err(cannot_write)
    })
}

fn copy<C>(path: &Path, error: io::Error) -> TransferError<C> {
    TransferError::Copy(path.to_owned(), error)
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
}

fn header(item: &Item) -> Header {
    let mut header = Header::new_gnu();
    let (kind, size) = match item.kind {
        Kind::Directory => (EntryType::Directory, 0),
        Kind::File(size) => (EntryType::Regular, size),
        Kind::Link(_) => (EntryType::Symlink, 0),
    };
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(item.mode);
    header.set_uid(item.owner.0.into());
    header.set_gid(item.owner.1.into());
    header.set_mtime(u64::try_from(item.modified.0).unwrap_or(0));
    header
}

/// Reads in steps, with a look around before each.
struct Looking<'a, R, L, C> {
    reader: R,
    look: &'a mut L,
    read: u64,
    cut: Option<C>,
}

/// Why something was not read whole.
enum NotWhole<C> {
    Cut(C),
    Changed,
}

impl<C> NotWhole<C> {
    fn of(self, path: &Path) -> TransferError<C> {
        match self {
            Self::Cut(cut) => TransferError::Cut(cut),
            Self::Changed => copy(
                path,
                io::Error::other("it became smaller while it was read"),
            ),
        }
    }
}

impl<'a, R, L, C> Looking<'a, R, L, C> {
    fn new(reader: R, look: &'a mut L) -> Self {
        Self {
            reader,
            look,
            read: 0,
            cut: None,
        }
    }

    /// Whether all of it was read.
    fn finish(self, size: u64) -> Result<(), NotWhole<C>> {
        match self.cut {
            Some(cut) => Err(NotWhole::Cut(cut)),
            None if self.read < size => Err(NotWhole::Changed),
            None => Ok(()),
        }
    }
}

impl<R: Read, L: FnMut() -> Result<(), C>, C> Read for Looking<'_, R, L, C> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let before = self.read / STEP_BYTES as u64;
        let read = self.reader.read(buffer)?;
        self.read += read as u64;
        if self.read / STEP_BYTES as u64 > before
            && let Err(cut) = (self.look)()
        {
            self.cut = Some(cut);
            return Err(io::Error::other("it was given up"));
        }
        Ok(read)
    }
}

/// Where an archive goes.
#[derive(Debug)]
pub(crate) struct Unpacking<'a> {
    /// The parts of the container.
    pub(crate) bases: &'a Bases,
    /// What may come back.
    pub(crate) paths: &'a [CachePath],
    /// More bytes are not unpacked.
    pub(crate) limit_bytes: u64,
}

/// What is done after the files, and what was left out.
#[derive(Default)]
struct Later {
    directories: BTreeMap<PathBuf, Item>,
    links: Vec<(Part, PathBuf, Item)>,
    outside: Vec<PathBuf>,
}

/// Unpacks an archive: files of the source stay as they are, those of the image are replaced. Gives the paths
/// that were left because no cached path takes them.
pub(crate) fn unpack<C>(
    source: File,
    unpacking: &Unpacking<'_>,
    mut look: impl FnMut() -> Result<(), C>,
) -> Result<Vec<PathBuf>, TransferError<C>> {
    let unreadable = |error| TransferError::Copy(PathBuf::from("archive"), error);
    let mut archive = Archive::new(MultiGzDecoder::new(BufReader::new(source)));
    let mut later = Later::default();
    let (mut long_name, mut long_link) = (None, None);
    let mut spent = 0_u64;
    // Raw: the library would read a name of any length into memory.
    for (count, entry) in archive.entries().map_err(unreadable)?.raw(true).enumerate() {
        look().map_err(TransferError::Cut)?;
        let mut entry = entry.map_err(unreadable)?;
        spent = spent.saturating_add(entry.size());
        if spent > unpacking.limit_bytes.saturating_add(LONGEST_NAME) || count > 3 * MOST_ITEMS {
            let limit = unpacking.limit_bytes;
            let text = format!("it unpacks to more than {limit} bytes or {MOST_ITEMS} files");
            return Err(unreadable(io::Error::other(text)));
        }
        match entry.header().entry_type() {
            EntryType::GNULongName => long_name = Some(long(&mut entry).map_err(unreadable)?),
            EntryType::GNULongLink => long_link = Some(long(&mut entry).map_err(unreadable)?),
            kind => {
                let name = long_name
                    .take()
                    .unwrap_or_else(|| entry.path_bytes().into_owned());
                let link = long_link.take();
                let link = link.or_else(|| Some(entry.link_name_bytes()?.into_owned()));
                let item = item(entry.header(), kind, link);
                let Some((part, path, item)) = unpacking.accept(&name, item, &mut later) else {
                    continue;
                };
                unpacking.put(
                    (part, &path),
                    item,
                    &mut later,
                    Looking::new(entry, &mut look),
                )?;
            }
        }
    }
    unpacking.finish(later)
}

/// The text of a long name. A zero ends it.
fn long(entry: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut name = Vec::new();
    entry.take(LONGEST_NAME).read_to_end(&mut name)?;
    if name.last() == Some(&0) {
        name.pop();
    }
    Ok(name)
}

/// `None` for what is neither a file nor a directory nor a link.
fn item(header: &Header, kind: EntryType, link: Option<Vec<u8>>) -> Option<Item> {
    let number = |number: io::Result<u64>| u32::try_from(number.ok()?).ok();
    Some(Item {
        kind: match kind {
            EntryType::Directory => Kind::Directory,
            EntryType::Regular => Kind::File(header.size().ok()?),
            EntryType::Symlink => Kind::Link(OsStr::from_bytes(&link?).into()),
            _ => return None,
        },
        mode: header.mode().ok()? & MODE,
        owner: (number(header.uid())?, number(header.gid())?),
        modified: (i64::try_from(header.mtime().ok()?).ok()?, 0),
    })
}

/// The part and the path in it; `None` for a name that leads elsewhere.
fn place(name: &[u8]) -> Option<(Part, PathBuf)> {
    let name = Path::new(OsStr::from_bytes(name));
    let part = Part::ALL
        .into_iter()
        .find(|part| name.starts_with(part.name()))?;
    let path = name.strip_prefix(part.name()).ok()?;
    let is_inside = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    (is_inside && !path.as_os_str().is_empty()).then(|| (part, path.to_owned()))
}

impl Unpacking<'_> {
    /// What may come back: an item of a known kind at a cached path.
    fn accept(
        &self,
        name: &[u8],
        item: Option<Item>,
        later: &mut Later,
    ) -> Option<(Part, PathBuf, Item)> {
        let place = place(name).filter(|(part, path)| {
            let mut paths = self.paths.iter();
            paths.any(|allowed| allowed.part == *part && allowed.takes(path))
        });
        match (place, item) {
            (Some((part, path)), Some(item)) => Some((part, path, item)),
            (_, Some(item)) if item.kind == Kind::Directory => None,
            _ => {
                if later.outside.len() < MOST_OUTSIDE {
                    later.outside.push(OsStr::from_bytes(name).into());
                }
                None
            }
        }
    }

    fn put<R: Read, L: FnMut() -> Result<(), C>, C>(
        &self,
        (part, path): (Part, &Path),
        item: Item,
        later: &mut Later,
        mut content: Looking<'_, R, L, C>,
    ) -> Result<(), TransferError<C>> {
        let target = self.bases.of(part).join(path);
        let cannot = |error| copy(path, error);
        match item.kind {
            Kind::Directory => {
                if make_directories(&target).map_err(cannot)? {
                    later.directories.insert(target, item);
                }
            }
            Kind::Link(_) => later.links.push((part, path.to_owned(), item)),
            Kind::File(size) => {
                let Some(mut file) = create_file(&target, existing(part)).map_err(cannot)? else {
                    return Ok(());
                };
                let copied = io::copy(&mut content, &mut file);
                content.finish(size).map_err(|cut| cut.of(path))?;
                copied.map_err(cannot)?;
                finish_file(&file, &target, &item).map_err(cannot)?;
            }
        }
        Ok(())
    }

    /// Makes the links, now that nothing can be written through them, and finishes the directories from the
    /// leaves up.
    fn finish<C>(&self, later: Later) -> Result<Vec<PathBuf>, TransferError<C>> {
        for (part, path, item) in later.links {
            let Kind::Link(link) = &item.kind else {
                continue;
            };
            let target = self.bases.of(part).join(&path);
            make_link(link, &target, &item, existing(part)).map_err(|error| copy(&path, error))?;
        }
        for (target, item) in later.directories.into_iter().rev() {
            finish_directory(&target, &item).map_err(|error| copy(&target, error))?;
        }
        Ok(later.outside)
    }
}

fn existing(part: Part) -> Existing {
    match part {
        Part::Source => Existing::Stays,
        Part::Root => Existing::IsReplaced,
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::super::collect;
    use super::*;

    fn paths(entries: &[&str]) -> Vec<CachePath> {
        let source = Path::new("/src");
        let path = |entry: &&str| CachePath::new(entry, source).unwrap();
        entries.iter().map(path).collect()
    }

    fn bases(root: &Path) -> Bases {
        fs::create_dir_all(root.join("source")).unwrap();
        Bases::of_tree(root)
    }

    fn unpack_into(archive: &Path, bases: &Bases, limit: u64) -> Result<Vec<PathBuf>, String> {
        let unpacking = Unpacking {
            bases,
            paths: &paths(&["a/**/*"]),
            limit_bytes: limit,
        };
        let file = File::open(archive).unwrap();
        unpack(file, &unpacking, || Ok::<_, Infallible>(())).map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn what_is_packed_comes_back_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let from = bases(&directory.path().join("from"));
        let long = format!("a/{}/{}", "d".repeat(120), "f".repeat(200));
        fs::create_dir_all(from.source.join(&long).parent().unwrap()).unwrap();
        fs::write(from.source.join(&long), "x".repeat(3_000_000)).unwrap();
        fs::create_dir(from.source.join("a/empty")).unwrap();
        fs::write(from.source.join("a/run"), "run").unwrap();
        fs::set_permissions(from.source.join("a/run"), fs::Permissions::from_mode(0o750)).unwrap();
        symlink("l".repeat(150), from.source.join("a/link")).unwrap();
        let collection = collect(&paths(&["a/**/*"]), &from, || true).unwrap();
        let archive = directory.path().join("archive");
        let target = File::create(&archive).unwrap();
        pack(&collection, &from, target, || Ok::<_, Infallible>(())).unwrap();
        let to = bases(&directory.path().join("to"));
        assert!(unpack_into(&archive, &to, u64::MAX).unwrap().is_empty());
        let again = collect(&paths(&["a/**/*"]), &to, || true).unwrap();
        assert_eq!(again.digest(), collection.digest());
        assert_eq!(fs::read(to.source.join(&long)).unwrap().len(), 3_000_000);
        let refused = unpack_into(&archive, &bases(&directory.path().join("small")), 2_000_000);
        assert!(refused.unwrap_err().contains("more than 2000000 bytes"));
    }

    #[test]
    fn a_hostile_archive_reaches_nothing_but_the_cached_paths() {
        let directory = tempfile::tempdir().unwrap();
        let archive = directory.path().join("archive");
        let encoder = flate2::write::GzEncoder::new(
            File::create(&archive).unwrap(),
            flate2::Compression::fast(),
        );
        let mut builder = Builder::new(encoder);
        let mut add = |name: &str, kind: EntryType, link: &str| {
            let mut header = Header::new_gnu();
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.as_gnu_mut().unwrap().linkname[..link.len()].copy_from_slice(link.as_bytes());
            header.set_entry_type(kind);
            header.set_size(0);
            header.set_mode(0o6777);
            header.set_uid(nix::unistd::Uid::effective().as_raw().into());
            header.set_gid(nix::unistd::Gid::effective().as_raw().into());
            header.set_mtime(1);
            header.set_cksum();
            builder.append(&header, io::empty()).unwrap();
        };
        add("source/../../escaped", EntryType::Regular, "");
        add("/source/a/absolute", EntryType::Regular, "");
        add("source/a/../b", EntryType::Regular, "");
        add("source/b/outside", EntryType::Regular, "");
        add("elsewhere/a/x", EntryType::Regular, "");
        add("source/a/device", EntryType::Char, "");
        add("source/a/pipe", EntryType::Fifo, "");
        add("source/a/hard", EntryType::Link, "/etc/shadow");
        add("source/a/way", EntryType::Symlink, "../../..");
        add("source/a/way/through", EntryType::Regular, "");
        add("source/a/good", EntryType::Regular, "");
        builder.into_inner().unwrap().finish().unwrap();
        let to = bases(&directory.path().join("to"));
        let outside = unpack_into(&archive, &to, u64::MAX).unwrap();
        assert_eq!(outside.len(), 8, "{outside:?}");
        let found = collect(&paths(&["/src"]), &to, || true).unwrap();
        let names: Vec<&Path> = found.items.keys().map(|(_, path)| path.as_path()).collect();
        assert_eq!(
            names,
            ["a", "a/good", "a/way", "a/way/through"].map(Path::new)
        );
        let metadata = fs::symlink_metadata(to.source.join("a/way")).unwrap();
        assert!(metadata.is_dir(), "the name was a directory first");
        let mode = fs::metadata(to.source.join("a/good"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o777);
    }
}
