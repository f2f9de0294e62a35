//! Uploading artifacts against `s5cmd` and the AWS command line, at the same server.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tests::Project;
use tests::aws::python_program;
use tests::s3_server::S3Server;

use super::builds::{mebibytes, peak_memory_kib};
use super::{LONG_TURNS, Row, in_turns, median, timed};

/// The most memory that uploading may take, in KiB.
const MEMORY_LIMIT_KIB: u32 = 128 * 1024;

/// 1 GB in one file.
pub(crate) fn large() -> Row {
    Uploads::new(one_file).time("uploading 1 GB")
}

/// The agent's memory in that.
pub(crate) fn large_memory() -> Row {
    Uploads::new(one_file).memory("peak memory in it")
}

/// 10 000 files of 10 KB.
pub(crate) fn many() -> Row {
    Uploads::new(many_files).time("uploading 10000 files of 10 KB")
}

/// The agent's memory in that.
pub(crate) fn many_memory() -> Row {
    Uploads::new(many_files).memory("peak memory in it")
}

fn one_file(directory: &Path) {
    let file = File::create(directory.join("large")).expect("one's own directory");
    let random = File::open("/dev/urandom").expect("every system has it");
    io::copy(&mut random.take(1_000_000_000), &mut &file).expect("the disk has room");
}

fn many_files(directory: &Path) {
    for number in 0..10_000 {
        let content = format!("{number:10}").repeat(1000);
        fs::write(directory.join(format!("f{number}")), content).expect("the disk has room");
    }
}

/// Files, a server, and a build that takes them there.
struct Uploads {
    server: S3Server,
    project: Project,
    tree: PathBuf,
    overrides: PathBuf,
}

impl Uploads {
    fn new(make: fn(&Path)) -> Self {
        let project = Project::new(
            "version: 0.2\nphases: {build: {commands: ['true']}}\nartifacts: {base-directory: tree, files: ['**/*']}\n",
        );
        let tree = project.source().join("tree");
        fs::create_dir(&tree).expect("a directory can be made in one's own");
        make(&tree);
        let overrides = project.root().join("overrides.json");
        let settings =
            r#"{"artifactsOverride": {"type": "S3", "location": "bucket", "name": "n"}}"#;
        fs::write(&overrides, settings).expect("one's own directory");
        Self {
            server: S3Server::start(&["bucket"]),
            project,
            tree,
            overrides,
        }
    }

    fn agent(&self) -> Command {
        let mut agent = self.project.agent(&["run", "--overrides"]);
        agent.arg(&self.overrides).arg(self.project.source());
        agent.envs(self.server.environment());
        quiet(&mut agent);
        agent
    }

    /// A build that stores the same artifact in a directory is taken off: what is left is the upload.
    fn time(&self, what: &str) -> Row {
        let out = self.project.root().join("out");
        let storing = || {
            let mut agent = self.project.agent(&["run", "--artifacts"]);
            run(quiet(agent.arg(&out).arg(self.project.source())));
        };
        let (with_upload, without) = in_turns(LONG_TURNS, || run(&mut self.agent()), storing);
        let s5cmd = || run(&mut self.peer("s5cmd", &["cp"]));
        let aws = || run(&mut self.peer("aws", &["s3", "cp", "--recursive"]));
        let median_of = |peer: &dyn Fn()| median((0..LONG_TURNS).map(|_| timed(peer)).collect());
        let peers = [(median_of(&s5cmd), "s5cmd"), (median_of(&aws), "aws s3 cp")];
        let (fastest, name) = peers.into_iter().min().unwrap_or_default();
        Row::of_times(
            format!("{what}, against {name}"),
            with_upload.saturating_sub(without),
            fastest,
            "at most 1",
        )
    }

    fn memory(&self, what: &str) -> Row {
        let agent = self.agent().spawn().expect("the agent starts");
        let peak = peak_memory_kib(agent);
        Row {
            what: what.to_owned(),
            agent: mebibytes(peak),
            peer: mebibytes(MEMORY_LIMIT_KIB),
            ratio: f64::from(peak) / f64::from(MEMORY_LIMIT_KIB),
            promised: "at most 1",
        }
    }

    fn peer(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(python_program(program));
        command
            .args(arguments)
            .arg(format!("{}/", self.tree.display()))
            .arg(format!("s3://bucket/{program}/"))
            .envs(self.server.environment())
            .env("S3_ENDPOINT_URL", self.server.endpoint());
        quiet(&mut command);
        command
    }
}

fn quiet(command: &mut Command) -> &mut Command {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
}

fn run(command: &mut Command) {
    let status = command.status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "{command:?} succeeds"
    );
}
