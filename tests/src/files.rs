//! Trees of files as values.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Every plain file below a directory: its path relative to it, and its content. Links are not
/// followed. A directory that does not exist has no files.
pub fn read_tree(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    if directory.exists() {
        add(directory, "", &mut files);
    }
    files
}

fn add(directory: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>) {
    let entries = fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("{} can be listed: {error}", directory.display()));
    for entry in entries {
        let entry = entry.expect("a listed entry exists");
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type().expect("an entry has a type");
        if kind.is_dir() {
            add(&entry.path(), &format!("{path}/"), files);
        } else if kind.is_file() {
            let content = fs::read(entry.path())
                .unwrap_or_else(|error| panic!("{} can be read: {error}", entry.path().display()));
            files.insert(path, content);
        }
    }
}
