//! What this machine has to offer.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};
use nix::sys::statvfs::statvfs;
use uuid::Uuid;

use crate::config::{Config, WorkerConfig};
use crate::data_directory::DataDirectory;
use crate::model::EnvironmentType;
use crate::store::{AgentDescription, Resources};

/// Describes this agent to the others.
pub(super) fn describe(config: &Config, data: &DataDirectory) -> io::Result<AgentDescription> {
    let mut agent = AgentDescription {
        id: identity(data.root())?,
        host: nix::unistd::gethostname()?.to_string_lossy().into_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        environment_types: environment_types(),
        fleets: Vec::new(),
        on_demand: false,
        capacity: Resources::NONE,
        shrinks: false,
        closed: None,
    };
    offer(&mut agent, &config.worker);
    Ok(agent)
}

/// Lets an agent offer what the configuration says.
pub(super) fn offer(agent: &mut AgentDescription, worker: &WorkerConfig) {
    let machine = resources();
    agent.fleets.clone_from(&worker.fleets);
    agent.on_demand = worker.is_on_demand();
    agent.shrinks = worker.shrink_builds;
    agent.capacity = Resources {
        processors_milli: worker
            .processors
            .map_or(machine.processors_milli, |count| count.saturating_mul(1000)),
        memory_mib: worker.memory_mib.unwrap_or(machine.memory_mib),
    };
}

/// Locks a data directory for one worker. `None` if another one has it.
pub(super) fn lock(data: &Path) -> io::Result<Option<Flock<File>>> {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(data.join("worker.lock"))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, nix::Error::EWOULDBLOCK)) => Ok(None),
        Err((_, error)) => Err(error.into()),
    }
}

/// The identity of the agent that uses a data directory: made once, the same ever after, so that a
/// restarted agent knows its leases.
fn identity(data: &Path) -> io::Result<String> {
    let path = data.join("agent-id");
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path);
    match made {
        Ok(mut file) => {
            let id = Uuid::new_v4().to_string();
            file.write_all(id.as_bytes())?;
            file.sync_all()?;
            Ok(id)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let id = fs::read_to_string(&path)?;
            let id = Uuid::parse_str(id.trim()).map_err(io::Error::other)?;
            Ok(id.to_string())
        }
        Err(error) => Err(error),
    }
}

/// Environment types whose programs this machine can run. A container for Lambda is a container here.
fn environment_types() -> Vec<EnvironmentType> {
    if cfg!(target_arch = "aarch64") {
        vec![
            EnvironmentType::ArmContainer,
            EnvironmentType::ArmLambdaContainer,
        ]
    } else {
        vec![
            EnvironmentType::LinuxContainer,
            EnvironmentType::LinuxLambdaContainer,
        ]
    }
}

fn resources() -> Resources {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    Resources {
        processors_milli: u32::try_from(processors)
            .unwrap_or(u32::MAX)
            .saturating_mul(1000),
        memory_mib: total_mib(&memory).unwrap_or(4096),
    }
}

/// The machine's memory, out of the text of `/proc/meminfo`.
fn total_mib(meminfo: &str) -> Option<u32> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    u32::try_from(kib / 1024).ok()
}

/// Free space on the disk of a directory, in MiB, as far as this user may have it.
pub(super) fn free_mib(directory: &Path) -> io::Result<u64> {
    let disk = statvfs(directory)?;
    Ok(disk.blocks_available().saturating_mul(disk.fragment_size()) >> 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_keeps_its_identity() {
        let data = tempfile::tempdir().unwrap();
        let first = identity(data.path()).unwrap();
        assert_eq!(identity(data.path()).unwrap(), first);
        std::fs::write(data.path().join("agent-id"), "").unwrap();
        assert!(identity(data.path()).is_err(), "half an identity is none");
    }

    #[test]
    fn the_machines_memory_is_read() {
        let text = "MemTotal:       24576000 kB\nMemFree:  1 kB\n";
        assert_eq!(total_mib(text), Some(24_000));
        assert_eq!(total_mib("MemFree: 1 kB\n"), None);
    }
}
