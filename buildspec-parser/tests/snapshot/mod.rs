//! Compares text with a file of the crate, or writes the file.

use std::path::Path;

/// Fails unless the file holds `actual`; with `UPDATE_SNAPSHOTS` set, writes it.
pub(crate) fn assert_matches(file: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if update() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, actual).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        actual == expected,
        "{} is not current; UPDATE_SNAPSHOTS=1 writes it. It would be:\n{actual}",
        path.display()
    );
}

#[expect(
    clippy::disallowed_methods,
    reason = "the variable steers the test run itself, not the code under test"
)]
fn update() -> bool {
    std::env::var("UPDATE_SNAPSHOTS").is_ok()
}
