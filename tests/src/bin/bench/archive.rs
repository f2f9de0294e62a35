//! Packing an artifact against `zip` and `sha256sum`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use tests::Project;

use super::{LONG_TURNS, Row, in_turns, median, timed};

/// Files of the artifact.
const FILES: usize = 10_000;

/// Size of each, in bytes: 1 GB together.
const FILE_BYTES: usize = 100_000;

/// A build that packs many files, less one that does not, against the tools that do the same.
pub(crate) fn archive() -> Row {
    let project = Project::new(
        "version: 0.2\nphases:\n  build:\n    commands:\n      - 'true'\nartifacts:\n  files: 'tree/**/*'\n",
    );
    make_tree(&project.source().join("tree"));
    let out = project.root().join("out");
    let with_archive = || {
        let mut agent = project.agent(&["run", "--packaging", "zip", "--artifacts"]);
        run(agent.arg(&out).arg(project.source()));
    };
    let without = || run(project.agent(&["run"]).arg(project.source()));
    let (packing, bare) = in_turns(LONG_TURNS, with_archive, without);
    let tools = |_| {
        let packed = project.root().join("tools.zip");
        timed(|| {
            let mut zip = Command::new("zip");
            zip.current_dir(project.source()).args(["-1", "-q", "-r"]);
            run(zip.arg(&packed).arg("tree"));
            run(Command::new("sha256sum").arg(&packed));
            fs::remove_file(&packed).expect("`zip` has made it");
        })
    };
    Row::of_times(
        format!("packing {FILES} files of {FILE_BYTES} bytes, against zip"),
        packing.saturating_sub(bare),
        median((0..LONG_TURNS).map(tools).collect()),
        "at most 1",
    )
}

fn run(command: &mut Command) {
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "{command:?} succeeds (zip comes with the Debian package of that name)"
    );
}

/// Files of text that can be compressed to about half.
fn make_tree(root: &Path) {
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    for file in 0..FILES {
        let directory = root.join(format!("d{:02}", file % 100));
        fs::create_dir_all(&directory).expect("a directory can be made in one's own");
        let mut text = String::with_capacity(FILE_BYTES + 16);
        while text.len() < FILE_BYTES {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            write!(text, "{random:016x}").expect("text can always grow");
        }
        text.truncate(FILE_BYTES);
        fs::write(directory.join(format!("f{file}.txt")), text).expect("the disk has room");
    }
}
