//! Clones of a large repository.

use std::fs;
use std::path::Path;
use std::time::Duration;

use agent::source::git::{Depth, GitSources, GitVersion, Mirrors, Repository, RepositoryUrl};
use tests::{GitRepository, GitServer};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::{LONG_TURNS, Row, in_turns};

/// Files of the repository, each of [`FILE_BYTES`] that cannot be compressed.
const FILES: u64 = 40;

/// Size of a file, in bytes.
const FILE_BYTES: u64 = 500_000;

/// Commits, of which each changes a quarter of the files: 200 MB of history under 20 MB of files.
const COMMITS: u64 = 40;

/// The second clone, for which only what is new travels, against the first one.
pub(crate) fn second_clone() -> Row {
    let bench = Bench::new();
    let (second, first) = in_turns(
        LONG_TURNS,
        || bench.clone_again(),
        || {
            bench.forget();
            bench.clone_again();
        },
    );
    Row::of_times(
        "second clone of 200 MB, against the first",
        second,
        first,
        "at most 0.2",
    )
}

/// The first clone, for which a mirror has to be made, against git's own.
pub(crate) fn first_clone() -> Row {
    let bench = Bench::new();
    bench.clone_again();
    let (agent, peer) = in_turns(
        LONG_TURNS,
        || {
            bench.forget();
            bench.clone_again();
        },
        || bench.clone_with_git(),
    );
    Row::of_times(
        "first clone of 200 MB, against `git clone`",
        agent,
        peer,
        "at most 1.5",
    )
}

struct Bench {
    _server: GitServer,
    runtime: Runtime,
    root: tempfile::TempDir,
    url: String,
}

impl Bench {
    fn new() -> Self {
        let server = GitServer::open();
        Self {
            url: server.publish(&repository(), "large.git"),
            _server: server,
            runtime: Runtime::new().expect("a runtime starts"),
            root: tempfile::tempdir().expect("a temporary directory can be made"),
        }
    }

    fn clone_again(&self) {
        let sources = GitSources {
            mirrors: Mirrors::new(self.root.path().join("mirrors")),
            lookup: agent::config::process_environment,
            limit_bytes: u64::MAX,
            mirrors_limit_bytes: u64::MAX,
            limit: Duration::from_mins(10),
        };
        let url = RepositoryUrl::parse(&self.url).expect("the server's addresses are valid");
        let repository = Repository {
            url: url.0,
            version: GitVersion::Default,
            depth: Depth::Full,
            submodules: false,
            insecure_ssl: false,
            certificates: None,
            credential: None,
        };
        let tree = self.tree();
        let stop = CancellationToken::new();
        let fetched = self
            .runtime
            .block_on(sources.fetch(&repository, &tree, &stop));
        fetched.expect("the repository is there");
    }

    fn clone_with_git(&self) {
        let tree = self.tree();
        tests::git(&tree, &["clone", "--quiet", &self.url, "."]);
    }

    /// An empty directory, in place of the one before.
    fn tree(&self) -> std::path::PathBuf {
        let tree = self.root.path().join("tree");
        remove(&tree);
        fs::create_dir(&tree).expect("one's own directory");
        tree
    }

    /// Removes the mirror.
    fn forget(&self) {
        remove(&self.root.path().join("mirrors"));
    }
}

fn remove(directory: &Path) {
    if directory.exists() {
        fs::remove_dir_all(directory).expect("one's own directory");
    }
}

fn repository() -> GitRepository {
    let repository = GitRepository::empty();
    let mut noise = Noise(1);
    for commit in 0..COMMITS {
        for file in (0..FILES).filter(|file| commit == 0 || file % 4 == commit % 4) {
            let path = repository.path().join(format!("{file}.bin"));
            fs::write(path, noise.bytes()).expect("one's own directory");
        }
        repository.commit("number.txt", commit.to_string());
    }
    repository
}

/// Bytes that are always the same and cannot be compressed (xorshift).
struct Noise(u64);

impl Noise {
    fn bytes(&mut self) -> Vec<u8> {
        let words = (0..FILE_BYTES / 8).flat_map(|_| {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0.to_le_bytes()
        });
        words.collect()
    }
}
