//! Walks through directories of the container.

use std::path::{Path, PathBuf};
use std::time::Instant;

use executor::globs::FileGlob;
use walkdir::WalkDir;

/// What matches `glob` below `base` and is wanted, relative to `base`, in order of names. A link
/// is what it leads to, but no link to a directory is descended into below the directory that the
/// pattern names: links may form loops, and trees of links can be larger than any disk.
///
/// The walk ends at `until`, wherever it is.
pub(crate) fn found<'a>(
    base: &'a Path,
    glob: &'a FileGlob,
    until: Option<Instant>,
    is_wanted: impl Fn(&Path) -> bool + 'a,
) -> impl Iterator<Item = PathBuf> + 'a {
    WalkDir::new(base.join(glob.directory()))
        .min_depth(1)
        .max_depth(glob.depth().unwrap_or(usize::MAX))
        .sort_by_file_name()
        .into_iter()
        .take_while(move |_| until.is_none_or(|until| Instant::now() < until))
        .filter_map(Result::ok)
        .filter_map(move |entry| {
            let relative = entry.path().strip_prefix(base).ok()?;
            (glob.is_match(relative) && is_wanted(entry.path())).then(|| relative.to_owned())
        })
}
