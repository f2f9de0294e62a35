//! Expected texts that are files of this repository.

use std::env;
use std::fs;
use std::path::Path;

/// Compares a text with the file `e2e/golden/<name>`. With `UPDATE_SNAPSHOTS` set (`make
/// snapshots`) the file is written instead, and what changed is for the review to see.
pub fn assert_matches_golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("e2e/golden")
        .join(name);
    if env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&path, text).expect("a golden file can be written");
    }
    let expected = fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{} can be read: {error}", path.display()));
    assert!(
        text == expected,
        "the text differs from {}; accept it with `make snapshots`\n--- expected\n{expected}--- found\n{text}",
        path.display()
    );
}
