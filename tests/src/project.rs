//! A source tree with an agent's data directory of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::{Finished, Running, engine, program, read_tree};

/// A project to build. Everything of it, the agent's data included, lies in one directory that goes
/// with this value.
#[derive(Debug)]
pub struct Project {
    root: TempDir,
}

impl Project {
    /// A project whose source is one file, `buildspec.yml`.
    pub fn new(buildspec: &str) -> Self {
        Self::empty().with_file("buildspec.yml", buildspec)
    }

    /// A project without any file.
    pub fn empty() -> Self {
        let root = tempfile::Builder::new()
            .prefix("buildspec-agent-test-")
            .tempdir();
        let project = Self {
            root: root.expect("a temporary directory can be made"),
        };
        fs::create_dir(project.source()).expect("a directory can be made in one's own");
        project
    }

    /// Adds a file to the source, with the directories it lies in.
    #[must_use]
    pub fn with_file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.source().join(path);
        let directory = path.parent().expect("a file lies in a directory");
        fs::create_dir_all(directory).expect("directories can be made in one's own");
        fs::write(&path, content).expect("a file can be written in one's own directory");
        self
    }

    /// The directory of all that belongs to this project.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The source directory.
    pub fn source(&self) -> PathBuf {
        self.root.path().join("source")
    }

    /// The agent's data directory; the agent makes it.
    pub fn data_directory(&self) -> PathBuf {
        self.root.path().join("data")
    }

    /// The directory of the only build whose directory is there.
    pub fn build_directory(&self) -> PathBuf {
        let builds = self.data_directory().join("builds");
        let mut entries = fs::read_dir(builds).expect("the agent has made it");
        let build = entries.next().expect("there is a build");
        build.expect("a directory of one's own can be read").path()
    }

    /// The UUID of the only build whose directory is there.
    pub fn build_uuid(&self) -> String {
        let directory = self.build_directory();
        let name = directory.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// The directory into which artifacts are put; the agent makes it.
    pub fn artifact_directory(&self) -> PathBuf {
        self.root.path().join("artifacts")
    }

    /// The artifacts found there: paths and contents.
    pub fn artifacts(&self) -> BTreeMap<String, Vec<u8>> {
        read_tree(&self.artifact_directory())
    }

    /// The paths of the artifacts found there, sorted.
    pub fn artifact_paths(&self) -> Vec<String> {
        self.artifacts().into_keys().collect()
    }

    /// The agent with these arguments, its data in this project's directory.
    pub fn agent(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command
            .args(arguments)
            .current_dir(self.root.path())
            .env("BUILDSPEC_AGENT_DATA_DIRECTORY", self.data_directory())
            .env("BUILDSPEC_AGENT_IMAGE", engine::test_image())
            .env_remove("RUST_LOG");
        command
    }

    /// The command of one build that takes the artifacts along and tells everything as JSON.
    pub fn build_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.agent(&["run"]);
        command
            .arg(self.source())
            .arg("--artifacts")
            .arg(self.artifact_directory())
            .arg("--json")
            .args(arguments);
        command
    }

    /// Starts a build, told as JSON.
    pub fn start(&self, arguments: &[&str]) -> Running {
        Running::start(self.build_command(arguments))
    }

    /// Runs a build, told as JSON, and makes sure that nothing is left of it.
    pub fn run(&self, arguments: &[&str]) -> Finished {
        let finished = self.start(arguments).finish();
        self.assert_clean();
        finished
    }

    /// Runs a build whose log is written as it came, and makes sure that nothing is left of it.
    pub fn run_as_text(&self, arguments: &[&str]) -> Finished {
        let mut command = self.agent(&["run"]);
        command.arg(self.source()).args(arguments);
        let finished = Running::start(command).finish();
        self.assert_clean();
        finished
    }

    /// Makes sure that no build of this project left a container or a file of its workspace.
    pub fn assert_clean(&self) {
        assert_eq!(self.containers(), [""; 0], "containers are left");
        let workspaces = match fs::read_dir(self.data_directory().join("builds")) {
            Ok(entries) => entries.flatten().map(|entry| entry.file_name()).collect(),
            Err(_) => Vec::new(),
        };
        assert_eq!(workspaces, [""; 0], "workspaces are left");
    }

    /// The containers of this project's builds, running or not.
    pub fn containers(&self) -> Vec<String> {
        let data = fs::canonicalize(self.data_directory());
        data.map(|data| engine::containers_of(&data))
            .unwrap_or_default()
    }
}

/// A test that failed leaves no container on the host either.
impl Drop for Project {
    fn drop(&mut self) {
        engine::remove(&self.containers());
        if let Ok(data) = fs::canonicalize(self.data_directory()) {
            engine::remove_volumes(&engine::volumes_of(&data));
        }
    }
}
