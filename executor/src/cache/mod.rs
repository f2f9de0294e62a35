//! Caches: files named by patterns go into a directory outside of the build, and come back.
//!
//! A cached tree has two parts, `source` with paths relative to the source directory and `root` with
//! absolute ones. Nothing here knows where the directory lies or how a build is told of it.

mod archive;
mod collect;
mod gzip;
pub(crate) mod restore;
mod store;
mod transfer;

use std::path::{Path, PathBuf};

use executor::globs::{self, Pattern};

pub(crate) use self::archive::{Unpacking, pack, unpack};
pub(crate) use self::collect::{Collection, collect, collect_stored};
pub(crate) use self::store::{Found, Hit, Store, through};
pub(crate) use self::transfer::{Existing, Transfer, TransferError, transfer};

/// Directories of the container that are no files of the build.
const CLOSED: [&str; 4] = ["proc", "sys", "dev", "codebuild"];

/// What a path is relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// The source directory.
    Source,
    /// The root directory.
    Root,
}

impl Part {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Source, Self::Root];

    /// Its directory in a cached tree.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Root => "root",
        }
    }
}

/// One entry of `cache/paths`.
#[derive(Debug)]
pub(crate) struct CachePath {
    /// What it is relative to.
    pub(crate) part: Part,
    /// The entry itself, the same in every build: relative to its part.
    pub(crate) text: String,
    /// Which files.
    pattern: Pattern,
}

/// Why an entry of `cache/paths` is not cached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PathError {
    /// `..` in a path says nothing about where its files come back.
    #[error(transparent)]
    Pattern(#[from] globs::PatternError),
    /// It would take what belongs to the system or to the runner.
    #[error("it takes files that do not belong to the build")]
    Closed,
}

impl CachePath {
    /// Reads an entry with its variables replaced. `source` is the source directory below the root.
    pub(crate) fn new(entry: &str, source: &Path) -> Result<Self, PathError> {
        let (part, base) = match entry.strip_prefix('/') {
            Some(_) if !Path::new(entry).starts_with(source) => (Part::Root, Path::new("/")),
            _ => (Part::Source, source),
        };
        // A directory that is named as such.
        let entry = entry.strip_suffix('/').unwrap_or(entry);
        let base = base.to_string_lossy();
        let relative = entry
            .strip_prefix(&*base)
            .unwrap_or(entry)
            .trim_start_matches('/');
        let path = Self {
            part,
            text: format!("{}/{relative}", part.name()),
            pattern: Pattern::new(if relative.is_empty() { "." } else { relative }, &base)?,
        };
        if part == Part::Root {
            let first = path.directory().components().next();
            let first = first.map(|first| first.as_os_str().to_owned());
            if first.is_none_or(|first| CLOSED.iter().any(|closed| first == *closed)) {
                return Err(PathError::Closed);
            }
        }
        Ok(path)
    }

    /// The directory below which all that it takes lies, or the one file or directory it names.
    pub(crate) fn directory(&self) -> &Path {
        Path::new(match &self.pattern {
            Pattern::Literal(path) => path.as_str(),
            Pattern::Glob(glob) => glob.directory(),
        })
    }

    /// Whether it takes a whole directory.
    pub(crate) fn is_whole(&self) -> bool {
        match &self.pattern {
            Pattern::Literal(_) => true,
            Pattern::Glob(glob) => {
                glob.depth().is_none()
                    && ["x", "x/.y"]
                        .iter()
                        .all(|below| glob.is_match(&self.directory().join(below)))
            }
        }
    }

    /// Whether it takes something at `path`.
    pub(crate) fn takes(&self, path: &Path) -> bool {
        match &self.pattern {
            Pattern::Literal(literal) => path.starts_with(literal),
            Pattern::Glob(glob) => glob.is_match(path),
        }
    }
}

/// Where the parts of a tree lie.
#[derive(Debug, Clone)]
pub(crate) struct Bases {
    /// The source directory.
    pub(crate) source: PathBuf,
    /// The root directory.
    pub(crate) root: PathBuf,
}

impl Bases {
    /// The parts of a cached tree.
    pub(crate) fn of_tree(tree: &Path) -> Self {
        Self {
            source: tree.join(Part::Source.name()),
            root: tree.join(Part::Root.name()),
        }
    }

    /// The directory of one part.
    pub(crate) fn of(&self, part: Part) -> &Path {
        match part {
            Part::Source => &self.source,
            Part::Root => &self.root,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(entry: &str) -> Result<CachePath, PathError> {
        CachePath::new(entry, Path::new("/codebuild/output/src1/src"))
    }

    #[test]
    fn a_path_is_of_the_source_or_of_the_container() {
        for (entry, part, directory, is_whole) in [
            ("node_modules/**/*", Part::Source, "node_modules", true),
            ("./node_modules/", Part::Source, "node_modules", true),
            ("/codebuild/output/src1/src/a/**/*", Part::Source, "a", true),
            ("**/node_modules/**/*", Part::Source, "", false),
            ("/codebuild/output/src1/src", Part::Source, "", true),
            ("/root/.m2/**/*", Part::Root, "root/.m2", true),
            ("/root/.m2/**", Part::Root, "root/.m2", true),
            ("/root/.m2/*", Part::Root, "root/.m2", false),
            ("/root/.m2/**/*.jar", Part::Root, "root/.m2", false),
            ("/opt/file", Part::Root, "opt/file", true),
        ] {
            let path = path(entry).unwrap();
            assert_eq!(path.part, part, "{entry}");
            assert_eq!(path.directory(), Path::new(directory), "{entry}");
            assert_eq!(path.is_whole(), is_whole, "{entry}");
        }
    }

    #[test]
    fn what_is_not_the_builds_is_not_cached() {
        for entry in [
            "/",
            "/**/*",
            "/*",
            "/proc/**/*",
            "/codebuild/readonly/bin",
            "/dev",
        ] {
            assert_eq!(path(entry).unwrap_err(), PathError::Closed, "{entry}");
        }
        for entry in ["../x", "/root/../etc/**/*"] {
            assert!(matches!(path(entry), Err(PathError::Pattern(_))), "{entry}");
        }
    }
}
