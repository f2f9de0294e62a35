//! Caches where nothing can be mounted: everything is copied.

use std::fs;
use std::path::Path;

use executor::protocol::{CacheMeta, CachePlace, CachePlan, Event, Plan, channel};

use crate::harness::{Outcome, Root};

fn plan(root: &Root, commands: &[&str], paths: &[&str]) -> Plan {
    let mut plan = root.build_plan(commands);
    plan.cache = Some(CachePlan {
        paths: paths.iter().map(ToString::to_string).collect(),
        key: None,
        fallback_keys: Vec::new(),
        restores: true,
        saves: true,
        place: CachePlace::Local,
        source_in_place: false,
        limit_bytes: 1000,
    });
    plan
}

fn root() -> Root {
    let root = Root::new();
    fs::create_dir(root.channel().join(channel::CACHE)).unwrap();
    root
}

/// What the agent does with the cache that a build leaves.
fn keep(root: &Root, outcome: &Outcome) {
    let saved = outcome.events().find_map(|event| match event {
        Event::CacheSaved { entry, .. } => Some(entry.clone()),
        _ => None,
    });
    let name = saved.unwrap_or_else(|| panic!("a cache is saved:\n{}", outcome.log()));
    let store = root.path("codebuild/local-cache");
    fs::create_dir_all(&store).unwrap();
    let place = store.join(name);
    fs::rename(root.channel().join(channel::CACHE), &place).unwrap();
    fs::write(place.join(channel::CACHE_LOCK), "").unwrap();
    executor::kept::note(&place).unwrap();
}

/// Another build on the same machine.
fn next(root: &Root) {
    for path in [root.source(), root.channel()] {
        fs::remove_dir_all(path).unwrap();
    }
    for path in [
        root.source(),
        root.channel().join(channel::SPOOL),
        root.channel().join(channel::CACHE),
    ] {
        fs::create_dir_all(path).unwrap();
    }
}

#[test]
fn what_cannot_be_mounted_is_copied_and_the_sources_files_stay() {
    let root = root();
    let commands = [
        "mkdir -p a/b/empty && echo cached > a/own && ln -s own a/link && chmod 700 a/b && echo x > a/b/x",
    ];
    let first = root.run(plan(&root, &commands, &["a"]));
    keep(&root, &first);
    next(&root);
    root.write("a/own", "mine\n");
    let second = root.run(plan(&root, &["cat a/own a/link a/b/x; ls a/b"], &["a"]));
    let log = second.log();
    assert!(
        log.contains("0 directories mounted, 6 file(s) copied"),
        "{log}"
    );
    assert!(log.contains("mine\nmine\nx\nempty\nx\n"), "{log}");
}

#[test]
fn what_no_path_takes_does_not_come_back() {
    let root = root();
    let first = root.run(plan(&root, &["mkdir a && touch a/1.o"], &["a/*.o"]));
    keep(&root, &first);
    let store = fs::read_dir(root.path("codebuild/local-cache")).unwrap();
    let entry = store.flatten().next().unwrap().path();
    let tree = entry.join(channel::CACHE_TREE).join("source");
    fs::write(tree.join("a/evil.sh"), "").unwrap();
    fs::write(tree.join("buildspec.yml"), "").unwrap();
    next(&root);
    let second = root.run(plan(&root, &["find . -type f"], &["a/*.o"]));
    let log = second.log();
    for path in ["a/evil.sh", "buildspec.yml"] {
        let line =
            format!("Skipping cache entry: path \"{path}\" is not within allowed cache paths");
        assert!(log.contains(&line), "{log}");
        assert!(!log.contains(&format!("./{path}\n")), "{log}");
    }
    assert!(log.contains("./a/1.o\n"), "{log}");
}

#[test]
fn a_cache_is_described_and_holds_no_rights() {
    let root = root();
    let commands = ["mkdir a && echo x > a/x && chmod 6755 a/x"];
    let first = root.run(plan(&root, &commands, &["a"]));
    keep(&root, &first);
    let store = fs::read_dir(root.path("codebuild/local-cache")).unwrap();
    let entry = store.flatten().next().unwrap().path();
    let meta = fs::read(entry.join(channel::CACHE_META)).unwrap();
    let meta: CacheMeta = serde_json::from_slice(&meta).unwrap();
    assert_eq!((meta.key, meta.files, meta.bytes), (None, 2, 2));
    assert_eq!(mode(&entry.join("tree/source/a/x")), 0o755);
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_key_that_is_empty_makes_no_cache() {
    let root = root();
    let mut plan = plan(&root, &["mkdir a && touch a/x"], &["a"]);
    plan.cache.as_mut().unwrap().key = Some("$UNSET".to_owned());
    let log = root.run(plan).log();
    assert!(
        log.contains("Skip cache due to: the cache key cannot be evaluated or is empty"),
        "{log}"
    );
    assert!(!log.contains("Saved local cache"), "{log}");
}

#[test]
fn a_cache_larger_than_the_limit_is_not_kept() {
    let root = root();
    let log = root
        .run(plan(&root, &["mkdir a && truncate -s 1001 a/x"], &["a"]))
        .log();
    let line = "Skip saving cache due to: 1001 bytes are more than the limit of 1000";
    assert!(log.contains(line), "{log}");
}
