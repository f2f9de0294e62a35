//! From a mirror to the working tree of a build.
//!
//! Packs are copied: the build owns all it gets, root in its container can damage nothing of the
//! mirror, and the mirror may go at any time. What a repository is made of beside them is written
//! here, so that no setting and no hook is in it but ours. The tree is measured before it is written.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::mirror::Mirror;
use super::program::{Git, GitError};
use super::update::{References, Tip};
use super::url::RepositoryUrl;

/// How much of a list of references or of files is read, in bytes: more than half a million of them.
const LIST_LIMIT_BYTES: u64 = 64 * 1024 * 1024;

/// A repository with its working tree.
#[derive(Debug, Clone)]
pub(super) struct Workspace {
    /// The git directory.
    pub(super) git_directory: PathBuf,
    /// The working tree, which exists and is empty.
    pub(super) tree: PathBuf,
}

/// A commit of another repository in a tree: a submodule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    /// Path in the tree.
    pub(super) path: String,
    /// The commit.
    pub(super) commit: String,
}

/// Why there is no working tree.
#[derive(Debug)]
pub(super) enum WorkspaceError {
    /// The tree is larger than a source may be.
    TooLarge,
    /// git failed.
    Git(GitError),
}

impl From<GitError> for WorkspaceError {
    fn from(error: GitError) -> Self {
        Self::Git(error)
    }
}

impl Workspace {
    /// Makes the git directory out of a mirror, its head at the tip.
    pub(super) async fn fill(
        &self,
        mirror: &Mirror,
        git: &Git,
        url: &RepositoryUrl,
        tip: &Tip,
    ) -> Result<(), GitError> {
        let references = references(mirror, git, &tip.references).await?;
        let (from, workspace) = (mirror.directory().to_owned(), self.clone());
        let config = self.config(url);
        let head = format!("{}\n", tip.commit);
        let written = tokio::task::spawn_blocking(move || {
            workspace.write(
                &from,
                [
                    ("config", config),
                    ("packed-refs", references),
                    ("HEAD", head),
                ],
            )
        });
        written
            .await
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
            .map_err(GitError::file("write repository", &self.git_directory))
    }

    fn config(&self, url: &RepositoryUrl) -> String {
        let quoted =
            |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let mut config = String::from(
            "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n",
        );
        // Only a submodule's git directory does not lie in its tree.
        if self.git_directory.parent() != Some(&self.tree) {
            let tree = relative(&self.git_directory, &self.tree);
            let _ = writeln!(config, "\tworktree = {}", quoted(&tree.to_string_lossy()));
        }
        let _ = write!(
            config,
            "[remote \"origin\"]\n\turl = {}\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n",
            quoted(url.as_str())
        );
        config
    }

    fn write(&self, mirror: &Path, files: [(&str, String); 3]) -> io::Result<()> {
        let packs = self.git_directory.join("objects/pack");
        for directory in [
            &packs,
            &self.git_directory.join("refs"),
            &self.git_directory.join("objects/info"),
        ] {
            fs::create_dir_all(directory)?;
        }
        for entry in fs::read_dir(mirror.join("objects/pack"))? {
            let entry = entry?;
            let name = entry.file_name();
            let is_part = Path::new(&name).extension().is_some_and(|extension| {
                ["pack", "idx", "rev"]
                    .iter()
                    .any(|known| extension == *known)
            });
            if is_part && entry.file_type()?.is_file() {
                // The kernel shares the blocks where the file system can do that; a copy all the same.
                fs::copy(entry.path(), packs.join(name))?;
            }
        }
        let shallow = mirror.join("shallow");
        if shallow.exists() {
            fs::copy(shallow, self.git_directory.join("shallow"))?;
        }
        for (name, content) in files {
            fs::write(self.git_directory.join(name), content)?;
        }
        Ok(())
    }

    /// Writes the files of a commit into the tree, if they are at most `limit_bytes`, and gives what
    /// was written.
    pub(super) async fn check_out(
        &self,
        git: &Git,
        commit: &str,
        limit_bytes: u64,
    ) -> Result<Measured, WorkspaceError> {
        let list = ["ls-tree", "-r", "-l", "-z", "--end-of-options", commit];
        let listed = match git.read(&self.git_directory, &list, LIST_LIMIT_BYTES).await {
            Err(GitError::TooLarge { .. }) => return Err(WorkspaceError::TooLarge),
            listed => listed?,
        };
        let measured = measure(&listed);
        if measured.bytes > limit_bytes {
            return Err(WorkspaceError::TooLarge);
        }
        let mut git = git.clone();
        git.set("GIT_WORK_TREE", self.tree.to_string_lossy().into_owned());
        let arguments = ["checkout", "--quiet", "--force", "--detach", commit, "--"];
        git.run(&self.git_directory, &arguments, None).await?;
        Ok(measured)
    }
}

/// What a tree is made of, as `git ls-tree -r -l -z` lists it.
#[derive(Debug)]
pub(super) struct Measured {
    /// Sizes of all files together.
    pub(super) bytes: u64,
    /// Its submodules.
    pub(super) links: Vec<Link>,
}

/// Reads lines of `<mode> <type> <hash> <size>\t<path>`, each ended by a zero byte.
fn measure(listed: &[u8]) -> Measured {
    let mut measured = Measured {
        bytes: 0,
        links: Vec::new(),
    };
    for entry in listed.split(|byte| *byte == 0) {
        let Some(tab) = entry.iter().position(|byte| *byte == b'\t') else {
            continue;
        };
        let columns = String::from_utf8_lossy(&entry[..tab]).into_owned();
        let mut columns = columns.split_ascii_whitespace();
        let (mode, _, commit, size) = (
            columns.next(),
            columns.next(),
            columns.next(),
            columns.next(),
        );
        let size = size.and_then(|size| size.parse::<u64>().ok()).unwrap_or(0);
        measured.bytes = measured.bytes.saturating_add(size);
        if let (Some("160000"), Some(commit), Ok(path)) =
            (mode, commit, std::str::from_utf8(&entry[tab + 1..]))
        {
            measured.links.push(Link {
                path: path.to_owned(),
                commit: commit.to_owned(),
            });
        }
    }
    measured
}

/// The packed references of a checkout: branches are those of `origin`, tags are its own.
async fn references(mirror: &Mirror, git: &Git, wanted: &References) -> Result<String, GitError> {
    let mut arguments = vec!["for-each-ref", "--format=%(objectname) %(refname)", "--"];
    match wanted {
        References::Everything => arguments.extend(["refs/heads", "refs/tags"]),
        References::Only(reference) => arguments.push(reference),
        References::None => return Ok(String::new()),
    }
    let listed = git
        .read(mirror.directory(), &arguments, LIST_LIMIT_BYTES)
        .await?;
    let mut packed = String::new();
    for line in String::from_utf8_lossy(&listed).lines() {
        let Some((hash, name)) = line.split_once(' ') else {
            continue;
        };
        let name = match name.strip_prefix("refs/heads/") {
            Some(branch) => format!("refs/remotes/origin/{branch}"),
            None => name.to_owned(),
        };
        let _ = writeln!(packed, "{hash} {name}");
    }
    Ok(packed)
}

/// The way from one directory to another, both absolute.
fn relative(from: &Path, to: &Path) -> PathBuf {
    let shared = from
        .components()
        .zip(to.components())
        .take_while(|(a, b)| a == b)
        .count();
    let up = from.components().skip(shared).map(|_| Path::new(".."));
    let down = to
        .components()
        .skip(shared)
        .map(|part| Path::new(part.as_os_str()));
    up.chain(down).collect()
}

/// The file `.git` in the tree of a submodule.
pub(super) fn git_file(workspace: &Workspace) -> String {
    let directory = relative(&workspace.tree, &workspace.git_directory);
    format!("gitdir: {}\n", directory.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_measured_and_its_submodules_are_found() {
        let listed = [
            "100644 blob aa      12\ta b",
            "120000 blob bb       3\tlink",
            "160000 commit cc       -\tlib/x",
        ]
        .join("\0");
        let measured = measure(listed.as_bytes());
        assert_eq!(measured.bytes, 15);
        let link = Link {
            path: "lib/x".to_owned(),
            commit: "cc".to_owned(),
        };
        assert_eq!(measured.links, [link]);
    }

    #[test]
    fn the_way_between_two_directories_is_relative() {
        for (from, to, expected) in [
            ("/w/.git/modules/a", "/w/lib/a", "../../../lib/a"),
            ("/w/lib/a", "/w/.git/modules/a", "../../.git/modules/a"),
        ] {
            assert_eq!(
                relative(Path::new(from), Path::new(to)),
                Path::new(expected)
            );
        }
    }
}
