//! Docker, through its command line.

use std::path::Path;
use std::process::{Command, Output};

/// Image in which builds run unless `BUILDSPEC_AGENT_TEST_IMAGE` names another.
pub const DEFAULT_IMAGE: &str = "buildspec-agent/base:latest";

/// Image in which the tests run their builds.
pub fn test_image() -> String {
    #[expect(
        clippy::disallowed_methods,
        reason = "the tests' one setting; nothing in them sets variables"
    )]
    std::env::var("BUILDSPEC_AGENT_TEST_IMAGE").unwrap_or_else(|_| DEFAULT_IMAGE.to_owned())
}

/// The Docker engine that the agent under test uses.
#[derive(Debug, Clone, Copy)]
pub struct Engine;

impl Engine {
    /// Runs `docker` with these arguments and gives what it wrote to standard output.
    pub fn docker(self, arguments: &[&str]) -> String {
        let Output {
            status,
            stdout,
            stderr,
        } = Command::new("docker")
            .args(arguments)
            .output()
            .expect("docker is on PATH: run `make setup`");
        assert!(
            status.success(),
            "docker {arguments:?}: {}",
            String::from_utf8_lossy(&stderr)
        );
        String::from_utf8_lossy(&stdout).into_owned()
    }

    /// Identifiers of the containers, running or not, that belong to an agent's data directory.
    pub fn containers_of(self, data_directory: &Path) -> Vec<String> {
        let filter = format!(
            "label=buildspec-agent.data-directory={}",
            data_directory.display()
        );
        let listed = self.docker(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &filter]);
        listed.lines().map(str::to_owned).collect()
    }

    /// Removes containers, running or not.
    pub fn remove(self, containers: &[String]) {
        if !containers.is_empty() {
            let names = containers.iter().map(String::as_str);
            self.docker(
                &["rm", "--force", "--volumes"]
                    .into_iter()
                    .chain(names)
                    .collect::<Vec<_>>(),
            );
        }
    }
}
