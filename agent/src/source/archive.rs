//! Source archives: a ZIP file that nobody vetted goes in, a tree of files comes out.
//!
//! Every name stays below the target: absolute paths, `..` and names that pass through a link are
//! refused. Links are made last, and only those that lead to somewhere in the tree. The sizes that
//! the archive claims are not believed: what is really unpacked is counted.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use tokio_util::sync::CancellationToken;
use zip::ZipArchive;
use zip::read::ZipFile;

/// More entries no source archive may have.
const MOST_ENTRIES: u64 = 1_000_000;

/// Bytes of an archive that may become so many bytes of files, once they are more than
/// [`RATIO_FREE_BYTES`].
const LARGEST_RATIO: u64 = 200;

/// What may be unpacked whatever the ratio is: small archives of much the same text are common.
const RATIO_FREE_BYTES: u64 = 1024 * 1024 * 1024;

/// How much of an archive's end is searched for the record that ends it, in bytes: a comment of 64 KiB
/// may follow it.
const END_BYTES: u64 = 66 * 1024;

/// Longest target of a link, in bytes.
const LONGEST_LINK: u64 = 4096;

/// How much of a file is unpacked between two looks at whether the build was stopped, in bytes.
const STEP_BYTES: u64 = 1024 * 1024;

/// Kind of a file among the bits of its mode, and the kind of a link.
const KIND: u32 = 0o170_000;
const KIND_LINK: u32 = 0o120_000;

/// Why an archive was not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It is no ZIP file, or a damaged one.
    #[error("the source archive is not a valid ZIP file: {0}")]
    Malformed(String),
    /// It has more in it than a source may have.
    #[error("the source archive holds too much: {0}")]
    TooLarge(String),
    /// A name or a link in it leads elsewhere.
    #[error("the source archive holds {name:?}, which {why}")]
    Entry {
        /// The name in the archive.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// It could not be read, or a file of it not written.
    #[error("cannot unpack {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The build was stopped.
    #[error("stopped")]
    Stopped,
}

/// Unpacks the ZIP file `archive` into the directory `to`, which exists and is empty, up to
/// `limit_bytes` of files.
pub fn unpack(
    archive: &Path,
    to: &Path,
    limit_bytes: u64,
    stop: &CancellationToken,
) -> Result<(), ArchiveError> {
    let at = |source| ArchiveError::File {
        path: archive.to_owned(),
        source,
    };
    let mut file = File::open(archive).map_err(at)?;
    let size = file.metadata().map_err(at)?.len();
    match entries(&mut file, size).map_err(at)? {
        None => return Err(ArchiveError::Malformed("it has no directory".to_owned())),
        Some(entries) if entries > MOST_ENTRIES => {
            return Err(ArchiveError::TooLarge(format!("{entries} entries")));
        }
        Some(_) => {}
    }
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(malformed)?;
    let mut unpacking = Unpacking {
        to,
        stop,
        left_bytes: limit_bytes.min(RATIO_FREE_BYTES.max(size.saturating_mul(LARGEST_RATIO))),
        directories: BTreeMap::new(),
        links: BTreeMap::new(),
    };
    for index in 0..zip.len() {
        unpacking.entry(zip.by_index(index).map_err(malformed)?)?;
    }
    unpacking.finish()
}

fn malformed(error: zip::result::ZipError) -> ArchiveError {
    match error {
        zip::result::ZipError::Io(error) => ArchiveError::Malformed(error.to_string()),
        error => ArchiveError::Malformed(error.to_string()),
    }
}

struct Unpacking<'a> {
    to: &'a Path,
    stop: &'a CancellationToken,
    left_bytes: u64,
    /// Modes of directories, set at the end: one without write permission could not be filled.
    directories: BTreeMap<PathBuf, u32>,
    /// Links and their targets, made at the end: nothing is written through one.
    links: BTreeMap<PathBuf, PathBuf>,
}

impl Unpacking<'_> {
    fn entry(&mut self, mut entry: ZipFile<'_, impl Read>) -> Result<(), ArchiveError> {
        if self.stop.is_cancelled() {
            return Err(ArchiveError::Stopped);
        }
        let name = entry.name().map_err(malformed)?.into_owned();
        let wrong = |why| ArchiveError::Entry {
            name: name.clone(),
            why,
        };
        let relative = inside(&name).ok_or_else(|| wrong("is no path inside of it"))?;
        let mode = entry.unix_mode();
        let is_link = mode.is_some_and(|mode| mode & KIND == KIND_LINK);
        if entry.is_dir() {
            self.directories
                .insert(relative.clone(), mode.unwrap_or(0o755));
            return self.make_directory(&relative);
        }
        if relative.as_os_str().is_empty() {
            return Err(wrong("has no name"));
        }
        self.make_directory(relative.parent().unwrap_or(Path::new("")))?;
        if is_link {
            let mut target = String::new();
            let read = entry
                .by_ref()
                .take(LONGEST_LINK)
                .read_to_string(&mut target);
            read.map_err(|_| wrong("is a link to nowhere"))?;
            let target = PathBuf::from(target);
            if !leads_inside(&relative, &target) {
                return Err(wrong("is a link that leads out of it"));
            }
            self.links.insert(relative, target);
            return Ok(());
        }
        self.file(&mut entry, &relative, mode)
    }

    fn file(
        &mut self,
        entry: &mut impl Read,
        relative: &Path,
        mode: Option<u32>,
    ) -> Result<(), ArchiveError> {
        let path = self.to.join(relative);
        let at = |error| cannot(&path, error);
        // Whoever wrote the archive may have put a name into it twice; as with other programs, the
        // last one counts. Owners can write their files, and none is set-user-id.
        let mode = mode.map_or(0o644, |mode| mode & 0o777 | 0o600);
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&path)
            .map_err(at)?;
        loop {
            if self.stop.is_cancelled() {
                return Err(ArchiveError::Stopped);
            }
            let step = STEP_BYTES.min(self.left_bytes.saturating_add(1));
            let copied = io::copy(&mut entry.take(step), &mut file);
            let copied = copied.map_err(|error| match error.kind() {
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                    ArchiveError::Malformed(error.to_string())
                }
                _ => at(error),
            })?;
            if copied > self.left_bytes {
                return Err(ArchiveError::TooLarge(
                    "its files are larger than a source may be, or much larger than the archive"
                        .to_owned(),
                ));
            }
            self.left_bytes -= copied;
            if copied == 0 {
                break;
            }
        }
        // The mode above is subject to this process's mask.
        file.set_permissions(Permissions::from_mode(mode))
            .map_err(at)
    }

    fn make_directory(&self, relative: &Path) -> Result<(), ArchiveError> {
        let path = self.to.join(relative);
        fs::create_dir_all(&path).map_err(|error| cannot(&path, error))
    }

    fn finish(self) -> Result<(), ArchiveError> {
        for (relative, target) in &self.links {
            let path = self.to.join(relative);
            symlink(target, &path).map_err(|error| cannot(&path, error))?;
        }
        for (relative, mode) in self.directories.iter().rev() {
            let path = self.to.join(relative);
            let mode = Permissions::from_mode(mode & 0o777 | 0o700);
            fs::set_permissions(&path, mode).map_err(|error| cannot(&path, error))?;
        }
        Ok(())
    }
}

/// What is in the way at a path of the tree can only have come out of the archive.
fn cannot(path: &Path, source: io::Error) -> ArchiveError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::AlreadyExists
        | io::ErrorKind::IsADirectory
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::InvalidFilename => ArchiveError::Entry {
            name: path.display().to_string(),
            why: "is in the way of another entry, or too long a name",
        },
        _ => ArchiveError::File { path, source },
    }
}

/// How many entries an archive says it has, from the record at its end; `None` if there is none. They
/// are counted before they are read: each takes memory.
fn entries(file: &mut File, size: u64) -> io::Result<Option<u64>> {
    const RECORD: &[u8] = b"PK\x05\x06";
    const LARGE_RECORD: &[u8] = b"PK\x06\x06";
    let mut end = Vec::new();
    file.seek(SeekFrom::Start(size.saturating_sub(END_BYTES)))?;
    file.take(END_BYTES).read_to_end(&mut end)?;
    file.rewind()?;
    let find = |record: &[u8]| end.windows(record.len()).rposition(|found| found == record);
    let number = |at: usize, bytes: usize| -> Option<u64> {
        let digits = end.get(at..at + bytes)?.iter().rev();
        Some(digits.fold(0, |number, byte| number << 8 | u64::from(*byte)))
    };
    let large = find(LARGE_RECORD).and_then(|at| number(at + 32, 8));
    let small = find(RECORD).and_then(|at| number(at + 10, 2));
    Ok(small.map(|small| small.max(large.unwrap_or(0))))
}

/// The path that a name in an archive, or the rest of a key in a bucket, has below a directory; `None`
/// if it has none. A name that only differs from an ordinary one by `./` is taken.
pub(super) fn inside(name: &str) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for part in Path::new(name).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    (!name.contains('\0') && name.len() <= 4096).then_some(path)
}

/// Whether a link leads to somewhere in the tree whatever else is in it: up by real directories only,
/// then down.
fn leads_inside(link: &Path, target: &Path) -> bool {
    let mut depth = link.components().count().saturating_sub(1);
    let mut goes_down = false;
    for part in target.components() {
        match part {
            Component::Normal(_) => goes_down = true,
            Component::CurDir => {}
            Component::ParentDir if goes_down || depth == 0 => return false,
            Component::ParentDir => depth -= 1,
            Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    !target.as_os_str().is_empty()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    enum Put<'a> {
        File(&'a str, &'a [u8], u32),
        Link(&'a str, &'a str),
        Directory(&'a str, u32),
    }

    fn archive(path: &Path, entries: &[Put<'_>]) {
        let mut zip = ZipWriter::new(File::create(path).unwrap());
        let options = |mode| SimpleFileOptions::default().unix_permissions(mode);
        for entry in entries {
            match entry {
                Put::File(name, content, mode) => {
                    zip.start_file(*name, options(*mode)).unwrap();
                    zip.write_all(content).unwrap();
                }
                Put::Link(name, target) => {
                    zip.add_symlink(*name, *target, options(0o777)).unwrap();
                }
                Put::Directory(name, mode) => {
                    zip.add_directory(*name, options(*mode)).unwrap();
                }
            }
        }
        zip.finish().unwrap();
    }

    fn unpacked(entries: &[Put<'_>], limit: u64) -> (tempfile::TempDir, Result<(), ArchiveError>) {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a.zip");
        archive(&path, entries);
        let to = root.path().join("to");
        fs::create_dir(&to).unwrap();
        let result = unpack(&path, &to, limit, &CancellationToken::new());
        (root, result)
    }

    #[test]
    fn files_keep_their_modes_and_links_that_lead_inside() {
        let (root, result) = unpacked(
            &[
                Put::Directory("ro/", 0o555),
                Put::File("ro/run.sh", b"#!/bin/sh", 0o4755),
                Put::File("./a/b.txt", b"old", 0o644),
                Put::File("a/b.txt", b"new", 0o444),
                Put::Link("a/up", "../ro/run.sh"),
                Put::Link("self", "."),
            ],
            1000,
        );
        result.unwrap();
        let to = root.path().join("to");
        let mode = |path: &str| fs::metadata(to.join(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode("ro/run.sh"), 0o755);
        assert_eq!(mode("a/b.txt"), 0o644);
        assert_eq!(mode("ro"), 0o755);
        assert_eq!(fs::read(to.join("a/b.txt")).unwrap(), b"new");
        assert_eq!(fs::read(to.join("a/up")).unwrap(), b"#!/bin/sh");
    }

    #[test]
    fn nothing_leads_out_of_the_tree() {
        for (label, entries) in [
            ("parent", vec![Put::File("../x", b"x", 0o644)]),
            ("inner parent", vec![Put::File("a/../../x", b"x", 0o644)]),
            ("absolute", vec![Put::File("/tmp/x", b"x", 0o644)]),
            ("link to the root", vec![Put::Link("l", "/")]),
            ("link upwards", vec![Put::Link("a/l", "../..")]),
            (
                "link through a link",
                vec![Put::Link("a/s", "../b"), Put::Link("l", "a/s/../..")],
            ),
            (
                "file through a link",
                vec![Put::Link("l", "a"), Put::File("l/x", b"x", 0o644)],
            ),
            (
                "file over a link",
                vec![Put::Link("l", "a"), Put::File("./l", b"x", 0o644)],
            ),
            (
                "file below a file",
                vec![Put::File("f", b"x", 0o644), Put::File("f/x", b"x", 0o644)],
            ),
        ] {
            let (root, result) = unpacked(&entries, 1000);
            assert!(result.is_err(), "{label}");
            let mut names: Vec<_> = fs::read_dir(root.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect();
            names.sort();
            assert_eq!(names, ["a.zip", "to"], "{label}");
        }
    }

    #[test]
    fn a_bomb_is_stopped_by_what_comes_out_of_it() {
        let zeros = vec![0; 1 << 20];
        let (root, result) = unpacked(
            &[Put::File("a", &zeros, 0o644), Put::File("b", &zeros, 0o644)],
            1_500_000,
        );
        assert!(
            matches!(result, Err(ArchiveError::TooLarge(_))),
            "{result:?}"
        );
        let size: u64 = ["a", "b"]
            .iter()
            .filter_map(|name| fs::metadata(root.path().join("to").join(name)).ok())
            .map(|file| file.len())
            .sum();
        assert!(size <= 1_500_001, "{size}");
    }

    #[test]
    fn what_is_no_archive_is_told_as_such() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a.zip");
        for bytes in [&b""[..], b"PK\x05\x06", b"no archive at all"] {
            fs::write(&path, bytes).unwrap();
            let result = unpack(&path, root.path(), 1000, &CancellationToken::new());
            assert!(
                matches!(result, Err(ArchiveError::Malformed(_))),
                "{result:?}"
            );
        }
    }

    #[test]
    fn links_are_judged_by_where_they_lie() {
        for (link, target, expected) in [
            ("l", "a/b", true),
            ("l", "./a", true),
            ("d/l", "../a", true),
            ("d/l", "../../a", false),
            ("l", "a/..", false),
            ("l", "", false),
            ("l", "/a", false),
        ] {
            assert_eq!(
                leads_inside(Path::new(link), Path::new(target)),
                expected,
                "{link} {target}"
            );
        }
    }
}
