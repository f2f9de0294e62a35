//! Which files a set of patterns takes from a source as it is now.

use std::path::Path;

use buildspec_parser::plan::{Globs, Taker};
use executor::globs::{self, Pattern};
use serde::Serialize;
use walkdir::WalkDir;

/// A set of patterns and the files it takes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FilesPreview {
    /// What takes the files, such as `artifacts` or `reports/unit`.
    pub taker: String,
    /// Directory the patterns are relative to.
    pub base_directory: String,
    /// The patterns, each with what it takes.
    pub patterns: Vec<PatternPreview>,
}

/// A pattern and the files it takes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PatternPreview {
    /// The pattern as it is written.
    pub pattern: String,
    /// The files it takes, relative to the base directory, sorted.
    pub files: Vec<String>,
    /// Why that is not known before the build, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
}

/// Looks for the files of a set. `value` gives the variables that are known before the build.
pub(super) fn preview<'v>(
    set: &Globs<'_>,
    source: &Path,
    value: &dyn Fn(&str) -> Option<&'v str>,
) -> FilesPreview {
    let base = set.base_directory.unwrap_or(".");
    let bases = base_directories(&globs::expand(base, value), source);
    let excluded = set
        .exclude
        .iter()
        .map(|pattern| globs::expand(pattern, value))
        .collect::<Vec<_>>();
    let patterns = set.patterns.iter().map(|pattern| {
        let unset = globs::variables(pattern)
            .into_iter()
            .chain(globs::variables(base))
            .find(|name| value(name).is_none());
        let expanded = globs::expand(pattern, value);
        let mut preview = PatternPreview {
            pattern: (*pattern).to_owned(),
            files: Vec::new(),
            unknown: None,
        };
        if let Some(name) = unset {
            preview.unknown = Some(format!("{name} is set by the build"));
        } else if expanded.starts_with('/') && !Path::new(&expanded).starts_with(source) {
            preview.unknown = Some("it is a path of the container".to_owned());
        } else {
            preview.files = bases
                .iter()
                .flat_map(|base| files(base, &expanded, &excluded))
                .collect();
            preview.files.sort();
        }
        preview
    });
    FilesPreview {
        taker: match set.taker {
            Taker::Artifacts => "artifacts".to_owned(),
            Taker::SecondaryArtifacts(identifier) => {
                format!("artifacts/secondary-artifacts/{identifier}")
            }
            Taker::Report(name) => format!("reports/{name}"),
            Taker::Cache => "cache".to_owned(),
        },
        base_directory: base.to_owned(),
        patterns: patterns.collect(),
    }
}

fn base_directories(base: &str, source: &Path) -> Vec<std::path::PathBuf> {
    if !globs::is_glob(base) {
        return vec![source.join(base)];
    }
    let Ok(pattern) = Pattern::new(base, &source.to_string_lossy()) else {
        return Vec::new();
    };
    let directories = WalkDir::new(source)
        .min_depth(1)
        .sort_by_file_name()
        .into_iter()
        .filter_map(Result::ok);
    directories
        .filter(|entry| entry.file_type().is_dir())
        .map(walkdir::DirEntry::into_path)
        .filter(|path| {
            path.strip_prefix(source)
                .is_ok_and(|relative| pattern.is_match(relative))
        })
        .collect()
}

fn files(base: &Path, pattern: &str, excluded: &[String]) -> Vec<String> {
    let read = |text: &str| Pattern::new(text, &base.to_string_lossy()).ok();
    let Some(wanted) = read(pattern) else {
        return Vec::new();
    };
    let excluded = excluded
        .iter()
        .filter_map(|text| read(text))
        .collect::<Vec<_>>();
    let entries = WalkDir::new(base).into_iter().filter_map(Result::ok);
    entries
        .filter(|entry| entry.path().is_file())
        .filter_map(|entry| Some(entry.path().strip_prefix(base).ok()?.to_owned()))
        .filter(|path| {
            wanted.is_match(path) && !excluded.iter().any(|pattern| pattern.is_match(path))
        })
        .map(|path| path.to_string_lossy().into_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn taken(base: Option<&str>, pattern: &str, exclude: &[&str]) -> PatternPreview {
        let source = tempfile::tempdir().unwrap();
        for file in ["a/x.o", "a/x.c", "b/y.c", ".hidden"] {
            let path = source.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let set = Globs {
            taker: Taker::Artifacts,
            base_directory: base,
            patterns: vec![pattern],
            exclude: exclude.to_vec(),
            discard_paths: false,
        };
        let value = |name: &str| (name == "DIR").then_some("b");
        preview(&set, source.path(), &value).patterns.remove(0)
    }

    #[test]
    fn the_files_are_those_a_build_would_take_from_the_same_tree() {
        assert_eq!(
            taken(None, "**/*", &["**/*.o"]).files,
            [".hidden", "a/x.c", "b/y.c"]
        );
        assert_eq!(taken(Some("[ab]"), "*.c", &[]).files, ["x.c", "y.c"]);
        assert_eq!(taken(Some("$DIR"), "*", &[]).files, ["y.c"]);
    }

    #[test]
    fn what_only_the_build_can_know_is_said() {
        assert!(
            taken(None, "$LATER/*", &[])
                .unknown
                .unwrap()
                .contains("LATER")
        );
        assert!(taken(None, "/root/.m2/**/*", &[]).unknown.is_some());
    }
}
