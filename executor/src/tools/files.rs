//! The files that patterns take.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use executor::globs::Pattern;

use super::ToolError;
use crate::walk;

/// The files below `base` that any of the patterns takes, relative to it, in order. Rules as for
/// artifacts.
pub(super) fn matching(base: &Path, patterns: &[String]) -> Result<BTreeSet<PathBuf>, ToolError> {
    let mut files = BTreeSet::new();
    for text in patterns {
        let pattern = Pattern::new(text, &base.to_string_lossy())
            .map_err(|error| ToolError::Pattern(text.clone(), error))?;
        match pattern {
            Pattern::Glob(glob) => files.extend(walk::found(base, &glob, None, Path::is_file)),
            Pattern::Literal(path) if base.join(&path).is_file() => {
                files.insert(path.into());
            }
            Pattern::Literal(_) => {}
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_once_in_order_and_nothing_outside() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("b/c")).unwrap();
        for file in ["z.js", "b/x.js", "b/c/y.js", "b/y.txt"] {
            std::fs::write(root.path().join(file), "").unwrap();
        }
        let matching = |patterns: &[&str]| {
            let patterns: Vec<String> = patterns.iter().map(ToString::to_string).collect();
            matching(root.path(), &patterns)
        };
        let found = matching(&["**/*.js", "b/*", "none", "./z.js"]).unwrap();
        let expected = ["b/c/y.js", "b/x.js", "b/y.txt", "z.js"];
        assert_eq!(found, expected.into_iter().map(PathBuf::from).collect());
        assert!(matching(&["../*"]).is_err());
    }
}
