//! A build with a warm cache against one without any.

use std::process::{Command, Stdio};

use tests::Project;

use super::{Row, in_turns};

/// Files in the cache.
const FILES: usize = 10_000;

/// Size of each, in bytes: 1 GB together.
const FILE_BYTES: usize = 100_000;

/// Turns of a build.
const TURNS: usize = 5;

/// A build that finds 1 GB of dependencies, and one that has none, each with one command. Both do all the
/// rest of a build too; the difference is what the cache costs.
pub(crate) fn warm() -> Row {
    let project = Project::new(&format!(
        "version: 0.2\nphases:\n  build:\n    commands:\n      - |\n        if [ ! -e node_modules ]; then\n          for d in $(seq {}); do mkdir -p node_modules/$d; for f in $(seq 100); do head -c {FILE_BYTES} /dev/urandom > node_modules/$d/$f; done; done\n        fi\ncache:\n  key: warm\n  paths: ['node_modules/**/*']\n",
        FILES / 100
    ));
    // Fills the cache.
    run(&project, &["--project", "warm"]);
    let bare = "version: 0.2\nphases:\n  build:\n    commands:\n      - 'true'\n";
    let (warm, bare) = in_turns(
        TURNS,
        || run(&project, &["--project", "warm"]),
        || run(&project, &["--project", "bare", "--buildspec", bare]),
    );
    let what = "a build with a warm cache of 1 GB, against none";
    Row::of_times(what, warm, bare, "at most 1 s more")
}

fn run(project: &Project, arguments: &[&str]) {
    let mut agent: Command = project.agent(&["run"]);
    let status = agent
        .arg(project.source())
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "{agent:?} succeeds"
    );
}
