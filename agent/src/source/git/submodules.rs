//! Submodules: the repositories that a tree names, fetched as the tree itself is.
//!
//! `git submodule` is not used: it runs what `.gitmodules` and its settings say. Here a submodule is
//! an address, checked as a source's address is, a commit, and a directory that git has just made
//! empty. It goes through a mirror of its own.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use super::program::{Git, GitError};
use super::url::RepositoryUrl;
use super::workspace::{Link, Workspace, git_file};
use crate::source::Refusal;

/// How much of `.gitmodules` is read, in bytes.
const MODULES_LIMIT_BYTES: u64 = 1024 * 1024;

/// Submodules of submodules are fetched down to this level.
pub(super) const DEEPEST: usize = 10;

/// More submodules no source may have.
pub(super) const MOST: usize = 256;

/// A submodule that is to be fetched.
#[derive(Debug)]
pub(super) struct Submodule {
    /// Its name, under which its git directory lies.
    pub(super) name: String,
    /// Where it comes from.
    pub(super) url: RepositoryUrl,
    /// Its commit.
    pub(super) commit: String,
    /// Where it goes.
    pub(super) workspace: Workspace,
}

/// What `.gitmodules` says of one submodule.
#[derive(Debug, Default, PartialEq, Eq)]
struct Entry {
    path: String,
    url: String,
}

/// Finds the submodules of a tree that was checked out. A [`Refusal`] tells what is wrong with them.
pub(super) async fn of(
    workspace: &Workspace,
    git: &Git,
    url: &RepositoryUrl,
    commit: &str,
    links: &[Link],
) -> Result<Result<Vec<Submodule>, Refusal>, GitError> {
    if links.is_empty() {
        return Ok(Ok(Vec::new()));
    }
    // The file in the tree may be a link to somewhere else; the one in the commit is a text.
    let blob = format!("--blob={commit}:.gitmodules");
    let arguments = ["config", &blob, "--no-includes", "--null", "--list"];
    let text = match git
        .read(&workspace.git_directory, &arguments, MODULES_LIMIT_BYTES)
        .await
    {
        Err(GitError::Failed { .. }) => Vec::new(),
        text => text?,
    };
    let entries = entries(&text);
    let found = links
        .iter()
        .map(|link| submodule(workspace, url, link, &entries));
    Ok(found.collect())
}

fn submodule(
    workspace: &Workspace,
    url: &RepositoryUrl,
    link: &Link,
    entries: &BTreeMap<String, Entry>,
) -> Result<Submodule, Refusal> {
    let Link { path, commit } = link;
    let refused =
        |why: &str| Refusal::Other(format!("Git clone failed: submodule {path:?}: {why}"));
    let entry = entries
        .iter()
        .find(|(_, entry)| entry.path.trim_end_matches('/') == path);
    let Some((name, entry)) = entry.filter(|(_, entry)| !entry.url.is_empty()) else {
        return Err(refused("no url found in .gitmodules"));
    };
    let is_nested = |other: &String| other != name && Path::new(other).starts_with(name);
    if !is_name(name) || entries.keys().any(is_nested) {
        return Err(refused("its name is not valid"));
    }
    let (url, _) = url
        .join(&entry.url)
        .map_err(|error| refused(&error.to_string()))?;
    let tree = workspace.tree.join(path);
    let is_own = || -> std::io::Result<bool> {
        Ok(
            tree.canonicalize()? == workspace.tree.canonicalize()?.join(path)
                && fs::read_dir(&tree)?.next().is_none(),
        )
    };
    if !is_own().unwrap_or(false) {
        return Err(refused("its directory is not empty, or behind a link"));
    }
    Ok(Submodule {
        name: name.clone(),
        url,
        commit: commit.clone(),
        workspace: Workspace {
            git_directory: workspace.git_directory.join("modules").join(name),
            tree,
        },
    })
}

/// Ties a submodule's tree to its git directory, and tells its parent, so that git in the build knows
/// it.
pub(super) fn tie(parent: &Workspace, submodule: &Submodule) -> std::io::Result<()> {
    let Submodule {
        name,
        url,
        workspace,
        ..
    } = submodule;
    let config = parent.git_directory.join("config");
    let mut config = fs::OpenOptions::new().append(true).open(config)?;
    writeln!(
        config,
        "[submodule \"{name}\"]\n\tactive = true\n\turl = \"{url}\""
    )?;
    fs::write(workspace.tree.join(".git"), git_file(workspace))
}

/// A name is a path below `modules`, and a word in a configuration file.
fn is_name(name: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && !part.starts_with('.');
    let is_plain =
        |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | ' ' | '/' | '@');
    name.len() <= 255 && name.split('/').all(is_part) && name.chars().all(is_plain)
}

/// Reads `submodule.<name>.<variable>`, a line break, the value and a zero byte, again and again.
fn entries(text: &[u8]) -> BTreeMap<String, Entry> {
    let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
    for line in String::from_utf8_lossy(text).split('\0') {
        let Some((key, value)) = line.split_once('\n') else {
            continue;
        };
        let Some((name, variable)) = key
            .strip_prefix("submodule.")
            .and_then(|rest| rest.rsplit_once('.'))
        else {
            continue;
        };
        let entry = entries.entry(name.to_owned()).or_default();
        match variable {
            "path" => value.clone_into(&mut entry.path),
            "url" => value.clone_into(&mut entry.url),
            _ => {}
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &[u8]) -> Result<Submodule, Refusal> {
        let directory = tempfile::tempdir().unwrap();
        let tree = directory.path().to_owned();
        fs::create_dir_all(tree.join("lib/x")).unwrap();
        std::os::unix::fs::symlink("lib", tree.join("linked")).unwrap();
        let workspace = Workspace {
            git_directory: tree.join(".git"),
            tree,
        };
        let url = RepositoryUrl::parse("https://h/o/r.git").unwrap().0;
        let entries = entries(text);
        let path = entries
            .values()
            .next()
            .map_or("none", |entry| &entry.path)
            .to_owned();
        let link = Link {
            path,
            commit: "cc".to_owned(),
        };
        submodule(&workspace, &url, &link, &entries)
    }

    #[test]
    fn a_submodule_is_an_address_and_a_directory() {
        let found = found(
            b"submodule.a.b.path\nlib/x\0submodule.a.b.url\n../s.git\0submodule.a.b.update\n!id\0",
        )
        .unwrap();
        assert_eq!(found.url.as_str(), "https://h/o/s.git");
        assert_eq!(found.name, "a.b");
        assert!(found.workspace.git_directory.ends_with(".git/modules/a.b"));
    }

    #[test]
    fn a_hostile_gitmodules_is_refused() {
        for (label, text) in [
            (
                "program",
                "submodule.a.path\nlib/x\0submodule.a.url\next::sh -c id\0",
            ),
            (
                "file",
                "submodule.a.path\nlib/x\0submodule.a.url\nfile:///etc\0",
            ),
            (
                "option",
                "submodule.a.path\nlib/x\0submodule.a.url\n-u./run.sh\0",
            ),
            (
                "name that leads out",
                "submodule.../../hooks.path\nlib/x\0submodule.../../hooks.url\n../s\0",
            ),
            (
                "name with a quote",
                "submodule.a\"b.path\nlib/x\0submodule.a\"b.url\n../s\0",
            ),
            (
                "behind a link",
                "submodule.a.path\nlinked/x\0submodule.a.url\n../s\0",
            ),
            (
                "out of the tree",
                "submodule.a.path\n../x\0submodule.a.url\n../s\0",
            ),
            ("no address", "submodule.a.path\nlib/x\0"),
            ("no entry", ""),
            (
                "one in another",
                "submodule.a.path\nlib/x\0submodule.a.url\n../s\0submodule.a/objects.path\nlib/y\0",
            ),
        ] {
            assert!(found(text.as_bytes()).is_err(), "{label}");
        }
    }
}
