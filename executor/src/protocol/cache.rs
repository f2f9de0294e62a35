//! What a build caches, and what lies beside cached files.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Changes when entries of older agents cannot be used any more.
const FORMAT: u8 = 1;

/// Digits of a hash in the name of an entry.
const HASH_DIGITS: usize = 32;

/// What one build caches (buildspec reference, cache).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CachePlan {
    /// Files, directories and patterns, absolute or relative to the source directory; may hold
    /// variables.
    pub paths: Vec<String>,
    /// Key, evaluated by the shell in the build's environment; none for the one cache of a project.
    pub key: Option<String>,
    /// Beginnings of other keys, evaluated likewise, tried in order.
    pub fallback_keys: Vec<String>,
    /// Whether a cache is looked for before the build.
    pub restores: bool,
    /// Whether one is kept after it.
    pub saves: bool,
    /// Where caches lie.
    pub place: CachePlace,
    /// Whether the source is a directory of the user's own, in which everything stays anyway: paths in
    /// it are neither restored nor saved.
    pub source_in_place: bool,
    /// A cache of more bytes is not kept.
    pub limit_bytes: u64,
}

/// Where the caches of a build lie (API, `ProjectCache`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CachePlace {
    /// Nowhere, for this reason.
    Nowhere(String),
    /// On this machine. The entries are mounted at [`MOUNT`](super::channel::LOCAL_CACHE).
    Local,
    /// Out of reach: the agent brings and takes archives through the channel.
    Remote,
}

/// Which cache a build wants; the file [`QUERY`](super::channel::CACHE_QUERY) in the channel, because secrets may
/// stand in a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CacheQuery {
    /// Hash of the paths, see [`version_hash`].
    pub version: String,
    /// The key; none for the one cache of a project.
    pub key: Option<String>,
    /// Beginnings of other keys, to be tried in order.
    pub fallback_keys: Vec<String>,
    /// A larger cache is not wanted, in bytes.
    pub limit_bytes: u64,
}

/// What became of a [`CacheQuery`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CacheAnswer {
    /// The archive lies in the channel.
    Hit {
        /// What is known of it.
        meta: CacheMeta,
        /// The beginning by which it was found; none if it has the key itself.
        fallback_key: Option<String>,
    },
    /// There is none.
    Miss,
    /// It cannot be told, for this reason.
    Unavailable(String),
}

/// What is known of a kept cache; the file [`META`](super::channel::CACHE_META) beside its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CacheMeta {
    /// Its key; none for the one cache of a project.
    pub key: Option<String>,
    /// Hash of the paths, see [`version_hash`].
    pub version: String,
    /// Number of files, links and directories.
    pub files: u64,
    /// Size of the files together.
    pub bytes: u64,
    /// Hash over names, sizes, modes and times: two caches with the same one are the same.
    pub digest: String,
    /// When it was kept, in microseconds since 1970 UTC.
    pub created_micros: u64,
}

/// The version of a cache: a hash over the list of its paths. The same key with other paths is another
/// cache (user guide, "Cache key").
pub fn version_hash(paths: &[String]) -> String {
    let mut hash = Sha256::new();
    hash.update([FORMAT]);
    for path in paths {
        hash.update((path.len() as u64).to_le_bytes());
        hash.update(path);
    }
    digits(&hash.finalize())
}

/// The name under which a cache lies among those of its project.
pub fn entry_name(version: &str, key: Option<&str>) -> String {
    match key {
        Some(key) => format!("{version}.key-{}", digits(&Sha256::digest(key))),
        None => format!("{version}.unkeyed"),
    }
}

/// Whether a text can be the name of an entry, and if so, whether that entry has a key.
pub fn is_keyed_entry(name: &str) -> Option<bool> {
    let is_hash =
        |text: &str| text.len() == HASH_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let (_, rest) = name
        .split_once('.')
        .filter(|(version, _)| is_hash(version))?;
    match rest.strip_prefix("key-") {
        Some(hash) if is_hash(hash) => Some(true),
        None if rest == "unkeyed" => Some(false),
        _ => None,
    }
}

fn digits(hash: &[u8]) -> String {
    let mut text = String::with_capacity(HASH_DIGITS);
    for byte in &hash[..HASH_DIGITS / 2] {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_depends_on_every_path_and_on_where_one_ends() {
        let version = |paths: &[&str]| {
            let paths: Vec<String> = paths.iter().map(ToString::to_string).collect();
            version_hash(&paths)
        };
        assert_eq!(version(&["a", "b"]), version(&["a", "b"]));
        assert_ne!(version(&["a", "b"]), version(&["b", "a"]));
        assert_ne!(version(&["ab"]), version(&["a", "b"]));
    }

    #[test]
    fn names_of_entries_are_recognised_and_nothing_else_is() {
        let version = version_hash(&[]);
        let keyed = entry_name(&version, Some("../../etc"));
        assert_eq!(is_keyed_entry(&keyed), Some(true));
        assert_eq!(is_keyed_entry(&entry_name(&version, None)), Some(false));
        for name in [
            "",
            "..",
            "x.unkeyed",
            &format!("{version}.key-/.."),
            &version,
        ] {
            assert_eq!(is_keyed_entry(name), None, "{name}");
        }
    }
}
