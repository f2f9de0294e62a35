//! Git repositories made for one test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A repository with a working tree, which goes with this value.
#[derive(Debug)]
pub struct GitRepository(TempDir);

impl GitRepository {
    /// An empty repository whose branch is `main`.
    pub fn empty() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let repository = Self(directory);
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository
    }

    /// A repository of one commit with one file, `buildspec.yml`.
    pub fn new(buildspec: &str) -> Self {
        let repository = Self::empty();
        repository.commit("buildspec.yml", buildspec);
        repository
    }

    /// The working tree.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file and commits it; gives the commit.
    pub fn commit(&self, path: &str, content: impl AsRef<[u8]>) -> String {
        let file = self.path().join(path);
        let directory = file.parent().expect("a file lies in a directory");
        fs::create_dir_all(directory).expect("directories can be made in one's own");
        fs::write(&file, content).expect("a file can be written in one's own directory");
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", path]);
        self.head()
    }

    /// The commit that is checked out.
    pub fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }

    /// Runs git in the working tree and gives what it wrote.
    pub fn git(&self, arguments: &[&str]) -> String {
        git(self.path(), arguments)
    }

    /// Puts all references into a bare repository, as pushing to a host does, and makes it if it is
    /// missing.
    pub fn publish(&self, bare: &Path) -> PathBuf {
        if !bare.exists() {
            let path = bare.to_str().expect("temporary paths are UTF-8");
            self.git(&["init", "--quiet", "--bare", "--initial-branch=main", path]);
        }
        let path = bare.to_str().expect("temporary paths are UTF-8");
        self.git(&["push", "--quiet", "--mirror", path]);
        bare.to_owned()
    }
}

/// Runs git in a directory, with an identity and without anybody's configuration.
pub fn git(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=Test", "-c", "user.email=test@example.com"])
        .args(["-c", "protocol.file.allow=always", "-c", "gc.auto=0"])
        .args(arguments)
        .current_dir(directory)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap_or_else(|error| panic!("git starts: {error}; run `make setup`"));
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
