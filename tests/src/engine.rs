//! The Docker engine that the agent under test uses, through Docker's command line.

use std::path::Path;
use std::process::Command;

/// Image in which builds run unless `BUILDSPEC_AGENT_TEST_IMAGE` names another.
const DEFAULT_IMAGE: &str = "buildspec-agent/base:latest";

/// Image in which the tests run their builds.
pub fn test_image() -> String {
    #[expect(
        clippy::disallowed_methods,
        reason = "the tests' one setting; nothing in them sets variables"
    )]
    std::env::var("BUILDSPEC_AGENT_TEST_IMAGE").unwrap_or_else(|_| DEFAULT_IMAGE.to_owned())
}

/// Runs `docker` with these arguments and gives what it wrote to standard output.
pub fn docker(arguments: &[&str]) -> String {
    try_docker(arguments).unwrap_or_else(|message| panic!("docker {arguments:?}: {message}"))
}

/// The address at which containers reach this machine: their way out.
pub fn host_address() -> String {
    let arguments = [
        "run",
        "--rm",
        "--entrypoint",
        "cat",
        &test_image(),
        "/proc/net/route",
    ];
    let table = docker(&arguments);
    let gateway = table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_default = fields.get(1) == Some(&"00000000");
        let digits = fields.get(2).filter(|_| is_default)?;
        u32::from_str_radix(digits, 16).ok()
    });
    let gateway = gateway.expect("the engine's default network has a way out");
    std::net::Ipv4Addr::from(gateway.to_le_bytes()).to_string()
}

/// Names of the volumes that belong to an agent's data directory.
pub fn volumes_of(data_directory: &Path) -> Vec<String> {
    let filter = format!(
        "label=buildspec-agent.data-directory={}",
        data_directory.display()
    );
    let listed = docker(&["volume", "ls", "--quiet", "--filter", &filter]);
    listed.lines().map(str::to_owned).collect()
}

/// Names of the networks that belong to an agent's data directory.
pub fn networks_of(data_directory: &Path) -> Vec<String> {
    let filter = format!(
        "label=buildspec-agent.data-directory={}",
        data_directory.display()
    );
    let listed = docker(&["network", "ls", "--quiet", "--filter", &filter]);
    listed.lines().map(str::to_owned).collect()
}

/// Identifiers of the containers, running or not, that belong to an agent's data directory.
pub fn containers_of(data_directory: &Path) -> Vec<String> {
    let filter = format!(
        "label=buildspec-agent.data-directory={}",
        data_directory.display()
    );
    let listed = docker(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &filter]);
    listed.lines().map(str::to_owned).collect()
}

/// Removes containers, running or not, as far as that is possible: failing tests clean up with it.
pub fn remove(containers: &[String]) {
    if containers.is_empty() {
        return;
    }
    let names = containers.iter().map(String::as_str);
    let arguments = ["rm", "--force", "--volumes"].into_iter().chain(names);
    let _ = try_docker(&arguments.collect::<Vec<_>>());
}

/// Removes volumes, as far as that is possible.
pub fn remove_volumes(names: &[String]) {
    for name in names {
        let _ = try_docker(&["volume", "rm", name]);
    }
}

/// Removes an image, as far as that is possible.
pub fn remove_image(name: &str) {
    let _ = try_docker(&["rmi", "--force", name]);
}

fn try_docker(arguments: &[&str]) -> Result<String, String> {
    let ran = Command::new("docker").args(arguments).output();
    let output = ran.map_err(|error| format!("{error}; run `make setup`"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}
