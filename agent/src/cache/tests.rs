use std::time::Duration;

use executor::protocol::{CacheMeta, entry_name, version_hash};
use tempfile::TempDir;

use super::*;

const KIB: u64 = 1024;

struct Data {
    directory: TempDir,
    caches: LocalCache,
    scope: Scope,
}

fn data(limit_bytes: u64) -> Data {
    let directory = tempfile::tempdir().unwrap();
    let caches = LocalCache::new(directory.path(), limit_bytes);
    let scope = caches.scope("project").unwrap();
    Data {
        directory,
        caches,
        scope,
    }
}

fn name(key: Option<&str>) -> String {
    entry_name(&version_hash(&[]), key)
}

impl Data {
    /// A cache as the executor leaves it, with one file.
    fn stage(&self, content: &str, bytes: u64) -> PathBuf {
        let staged = self.directory.path().join(Uuid::new_v4().to_string());
        let tree = staged.join(channel::CACHE_TREE);
        fs::create_dir_all(&tree).unwrap();
        fs::write(tree.join("file"), content).unwrap();
        let meta = CacheMeta {
            key: None,
            version: version_hash(&[]),
            files: 1,
            bytes,
            digest: String::new(),
            created_micros: 0,
        };
        let meta = serde_json::to_vec(&meta).unwrap();
        fs::write(staged.join(channel::CACHE_META), meta).unwrap();
        staged
    }

    fn keep(&self, key: Option<&str>, content: &str, bytes: u64) -> Kept {
        let staged = self.stage(content, bytes);
        self.caches.keep(&self.scope, &name(key), &staged).unwrap()
    }

    fn content(&self, key: Option<&str>) -> Option<String> {
        let entry = self.scope.directory().join(name(key));
        fs::read_to_string(entry.join(channel::CACHE_TREE).join("file")).ok()
    }

    /// Uses a cache as a build does.
    fn hold(&self, key: Option<&str>) -> Flock<File> {
        let path = self
            .scope
            .directory()
            .join(name(key))
            .join(channel::CACHE_LOCK);
        Flock::lock(File::open(path).unwrap(), FlockArg::LockShared).unwrap()
    }

    fn set_used(&self, key: Option<&str>, seconds: u64) {
        let path = self.scope.directory().join(name(key)).join(USED);
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        File::open(path).unwrap().set_modified(time).unwrap();
    }
}

#[test]
fn a_cache_with_a_key_is_never_changed_and_one_without_is_replaced() {
    let data = data(u64::MAX);
    assert_eq!(data.keep(Some("k"), "one", 1), Kept::Stored);
    assert_eq!(data.keep(Some("k"), "two", 1), Kept::AlreadyThere);
    assert_eq!(data.content(Some("k")).unwrap(), "one");
    assert_eq!(data.keep(None, "one", 1), Kept::Stored);
    assert_eq!(data.keep(None, "two", 1), Kept::Stored);
    assert_eq!(data.content(None).unwrap(), "two");
    let trash = data.caches.trash().unwrap();
    assert_eq!(trash.len(), 1);
    assert!(trash[0].remove().unwrap());
    assert_eq!(data.caches.entries().unwrap().len(), 2);
}

#[test]
fn a_cache_in_use_is_replaced_and_stays_until_it_is_not() {
    let data = data(0);
    data.keep(None, "one", 1);
    let held = data.hold(None);
    data.keep(None, "two", 1);
    assert!(data.caches.trash().unwrap().is_empty(), "it is in use");
    drop(held);
    assert_eq!(data.caches.trash().unwrap().len(), 1);
    let held = data.hold(None);
    for entry in data.caches.excess().unwrap() {
        assert!(!data.caches.discard(&entry).unwrap());
    }
    assert!(data.caches.discard_oldest().unwrap().is_none());
    assert_eq!(data.content(None).unwrap(), "two", "it is in use");
    drop(held);
    assert!(data.caches.discard_oldest().unwrap().is_some());
    assert!(data.content(None).is_none());
}

#[test]
fn caches_that_were_not_used_for_the_longest_time_go_first() {
    let data = data(10 * KIB);
    for (key, bytes, used) in [("a", 4, 30), ("b", 4, 10), ("c", 4, 20), ("d", 2, 40)] {
        data.keep(Some(key), key, bytes * KIB);
        data.set_used(Some(key), used);
    }
    let excess = |data: &Data| -> Vec<PathBuf> {
        let entries = data.caches.excess().unwrap();
        entries.into_iter().map(|entry| entry.path).collect()
    };
    let place = |key| data.scope.directory().join(name(Some(key)));
    assert_eq!(excess(&data), [place("b")]);
    data.scope.touch(&name(Some("b"))).unwrap();
    assert_eq!(excess(&data), [place("c")]);
    for entry in data.caches.excess().unwrap() {
        data.caches.discard(&entry).unwrap();
    }
    assert!(excess(&data).is_empty());
    assert_eq!(data.content(Some("c")), None);
    assert!(data.content(Some("b")).is_some());
}

#[test]
fn projects_do_not_see_each_others_caches() {
    let data = data(u64::MAX);
    data.keep(None, "one", 1);
    let other = data.caches.scope("other").unwrap();
    assert!(!other.directory().join(name(None)).exists());
    let same = data.caches.scope("project").unwrap();
    assert!(same.directory().join(name(None)).exists());
}

#[test]
fn an_invalidated_cache_is_found_by_nobody() {
    let data = data(u64::MAX);
    data.keep(None, "one", 1);
    data.keep(Some("k"), "one", 1);
    data.caches.invalidate(&data.scope).unwrap();
    assert_eq!(data.content(None), None);
    assert_eq!(data.content(Some("k")), None);
    assert_eq!(data.caches.trash().unwrap().len(), 2);
}

#[test]
fn a_name_that_leads_elsewhere_is_refused() {
    let data = data(u64::MAX);
    let staged = data.stage("x", 1);
    for name in ["../../builds", "..", "", "a/b"] {
        let kept = data.caches.keep(&data.scope, name, &staged);
        assert!(matches!(kept, Err(CacheError::Name(_))), "{name}");
        assert!(data.scope.touch(name).is_err(), "{name}");
    }
}

#[test]
fn a_cache_that_a_crash_may_have_damaged_is_replaced_even_with_a_key() {
    let data = data(u64::MAX);
    data.keep(Some("k"), "one", 1);
    let entry = data.scope.directory().join(name(Some("k")));
    fs::write(entry.join("boot"), "another run of the machine").unwrap();
    assert_eq!(data.keep(Some("k"), "two", 1), Kept::Stored);
    assert_eq!(data.content(Some("k")).unwrap(), "two");
}
