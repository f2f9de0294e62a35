//! A machine of a fleet: a worker with a data directory and with ways of its own to database and engine.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::postgres::Postgres;
use crate::stores::TestStore;
use crate::wire_proxy::WireProxy;
use crate::{Project, engine};

/// The engine's socket, as Docker installs it.
const ENGINE: &str = "/var/run/docker.sock";

/// Size of the disk of a machine that has one of its own.
const DISK_MIB: u32 = 160;

/// What a worker of these tests is told: its leases are short, and it looks often.
const CONFIG: &str = "[worker]\nconcurrent_builds = 2\nlease_secs = 6\npoll_secs = 1\n\
    processors = 100\nmemory_mib = 1000000\ndisk_floor_mib = 32\nhousekeeping_secs = 5\n";

/// What a machine has besides its worker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Equipment {
    /// A disk of its own, which can be filled; only root can make one.
    pub disk: bool,
    /// A clock of its own, which can be set.
    pub clock: bool,
}

/// A machine.
#[derive(Debug)]
pub struct Machine {
    /// The way to the database.
    pub database: WireProxy,
    /// The way to the engine.
    pub engine: WireProxy,
    project: Project,
    address: String,
    environment: Vec<(&'static str, String)>,
    equipment: Equipment,
    worker: Option<Child>,
}

impl Machine {
    /// A machine whose worker takes builds from a store on `server`; `environment` leads it to AWS.
    pub fn new(
        server: &Postgres,
        store: &TestStore,
        environment: Vec<(&'static str, String)>,
        equipment: Equipment,
    ) -> Self {
        let project = Project::empty().with_file("../config.toml", CONFIG);
        let root = project.root();
        let socket = root.join(".s.PGSQL.5432");
        let machine = Self {
            database: WireProxy::start(&server.socket(), &socket),
            engine: WireProxy::start(Path::new(ENGINE), &root.join("docker.sock")),
            address: store.address_through(root),
            environment,
            equipment,
            worker: None,
            project,
        };
        if equipment.disk {
            machine.make_disk();
        }
        machine.set_clock(Duration::ZERO);
        machine
    }

    /// The worker's data directory.
    pub fn data_directory(&self) -> PathBuf {
        self.project.data_directory()
    }

    /// The worker's identity; it has to have been started.
    pub fn agent(&self) -> String {
        let id = fs::read_to_string(self.data_directory().join("agent-id"));
        id.expect("the worker has an identity")
    }

    /// Starts the worker.
    pub fn start(&mut self) {
        let root = self.project.root();
        let log = File::options()
            .append(true)
            .create(true)
            .open(self.log_file());
        let mut command = self.project.agent(&["worker"]);
        command
            .env("BUILDSPEC_AGENT_CONFIG", root.join("config.toml"))
            .env("BUILDSPEC_AGENT_STORE", &self.address)
            .env(
                "DOCKER_HOST",
                format!("unix://{}", root.join("docker.sock").display()),
            )
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.expect("a file can be made in one's own directory"));
        if self.equipment.clock {
            command
                .env("LD_PRELOAD", fake_time())
                .env("FAKETIME_TIMESTAMP_FILE", root.join("clock"))
                .env("FAKETIME_CACHE_DURATION", "1")
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        self.worker = Some(command.spawn().expect("the worker starts"));
    }

    /// Sends the worker a signal.
    pub fn signal(&self, signal: Signal) {
        if let Some(worker) = &self.worker {
            let process = Pid::from_raw(worker.id().try_into().expect("process ids fit"));
            kill(process, signal).expect("a child that was not waited for takes signals");
        }
    }

    /// Kills the worker, if it runs.
    pub fn kill(&mut self) {
        if let Some(mut worker) = self.worker.take() {
            worker.kill().expect("a child can be killed");
            worker.wait().expect("a child can be waited for");
        }
    }

    /// Lets the worker end in good order: its exit code.
    pub fn drain(&mut self) -> Option<i32> {
        self.signal(Signal::SIGTERM);
        let mut worker = self.worker.take()?;
        worker.wait().expect("a child can be waited for").code()
    }

    /// What the worker has said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// The containers of this machine's builds.
    pub fn containers(&self) -> Vec<String> {
        self.project.containers()
    }

    /// The networks of this machine.
    pub fn networks(&self) -> Vec<String> {
        let data = fs::canonicalize(self.data_directory()).unwrap_or_default();
        engine::networks_of(&data)
    }

    /// The directories of builds that are still there.
    pub fn build_directories(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.data_directory().join("builds"));
        let entries = entries.into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    }

    /// Sets the worker's clock forward by so much.
    pub fn set_clock(&self, forward: Duration) {
        let text = format!("+{}\n", forward.as_secs());
        fs::write(self.project.root().join("clock"), text).expect("one's own directory");
    }

    /// Fills the machine's disk to the last byte.
    pub fn fill_disk(&self) {
        let mut file = File::create(self.filling()).expect("one's own directory");
        let piece = vec![0; 1 << 20];
        let full = loop {
            if let Err(error) = file.write_all(&piece) {
                break error;
            }
        };
        assert_eq!(full.kind(), io::ErrorKind::StorageFull, "{full}");
    }

    /// Gives the disk its space back.
    pub fn empty_disk(&self) {
        fs::remove_file(self.filling()).expect("it was filled");
    }

    fn filling(&self) -> PathBuf {
        self.data_directory().join("filling")
    }

    fn log_file(&self) -> PathBuf {
        self.project.root().join("worker.log")
    }

    fn make_disk(&self) {
        let data = self.data_directory();
        fs::create_dir(&data).expect("one's own directory");
        let options = format!("size={DISK_MIB}m,mode=0700");
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &options, "chaos"])
            .arg(&data);
        let status = mount.status().expect("mount can be run");
        assert!(
            status.success(),
            "only root can give a machine a disk of its own"
        );
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.engine.heal();
        self.signal(Signal::SIGCONT);
        self.kill();
        if self.equipment.disk {
            engine::remove(&self.containers());
            let _ = Command::new("umount").arg(self.data_directory()).status();
        }
    }
}

/// The library that gives a process a clock of its own.
fn fake_time() -> PathBuf {
    let places = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut libraries = places.map(|place| place.path().join("faketime/libfaketime.so.1"));
    let library = libraries.find(|library| library.exists());
    library.expect("libfaketime is not on this machine: run `make setup`")
}
