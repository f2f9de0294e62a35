//! Holds the agent's modules in their order: arrows point down, never up or sideways.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The floors, from the top; modules of one floor do not know each other. `model` is open to all.
const FLOORS: [&[&str]; 7] = [
    &["cli"],
    &["api", "events", "intake", "worker"],
    &["store"],
    &["build"],
    &[
        "artifacts",
        "cache",
        "data_directory",
        "docker",
        "images",
        "logs",
        "pipeline",
        "reports",
        "runtimes",
        "secrets",
        "source",
        "vault",
    ],
    &["config", "credentials", "state_file"],
    &["model"],
];

#[test]
fn modules_know_only_what_is_below_them() {
    let floors: BTreeMap<&str, usize> = FLOORS
        .iter()
        .enumerate()
        .flat_map(|(floor, modules)| modules.iter().map(move |module| (*module, floor)))
        .collect();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for file in rust_files(&source) {
        let relative = file.strip_prefix(&source).unwrap();
        // What stands in no folder is the crate's own root.
        let [module, _, ..] = relative
            .iter()
            .filter_map(|part| part.to_str())
            .collect::<Vec<_>>()[..]
        else {
            continue;
        };
        let own = *floors
            .get(module)
            .unwrap_or_else(|| panic!("{module}/ has no floor: give it one here"));
        let text = fs::read_to_string(&file).unwrap();
        for known in text.split("crate::").skip(1) {
            let known: String = known
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            if known != module && floors.get(known.as_str()).is_none_or(|floor| *floor <= own) {
                wrong.push(format!("{} knows {known}", relative.display()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "arrows that do not point down:\n{}",
        wrong.join("\n")
    );
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("the source is there");
    entries
        .map(|entry| entry.expect("the source is readable").path())
        .flat_map(|path| {
            if path.is_dir() {
                rust_files(&path)
            } else {
                vec![path]
            }
        })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}
