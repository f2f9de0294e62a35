//! Starts the real program below a directory of its own and reads what it leaves.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use executor::protocol::spool::{Body, Record, decode, segment_name};
use executor::protocol::{
    Event, OnFailure, Order, Owner, Phase, PhasePlan, Plan, Reports, ShellKind, StateCarrying,
    Status, channel, write_order,
};
use tempfile::TempDir;

/// A directory that stands for the root of a container.
pub(crate) struct Root {
    directory: TempDir,
}

impl Root {
    pub(crate) fn new() -> Self {
        let directory = TempDir::with_prefix("x").unwrap();
        for path in [
            "codebuild/channel/spool",
            "codebuild/readonly/bin",
            "codebuild/output/src1/src",
            "etc",
        ] {
            fs::create_dir_all(directory.path().join(path)).unwrap();
        }
        Self { directory }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    pub(crate) fn source(&self) -> PathBuf {
        self.path("codebuild/output/src1/src")
    }

    pub(crate) fn channel(&self) -> PathBuf {
        self.path("codebuild/channel")
    }

    /// Writes a file below the source directory.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.source().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A plan without commands.
    pub(crate) fn plan(&self) -> Plan {
        let phase = |phase| PhasePlan {
            phase,
            in_buildspec: false,
            run_as: None,
            on_failure: OnFailure::Standard,
            commands: Vec::new(),
            finally: Vec::new(),
        };
        let owner = nix::unistd::Uid::effective();
        let group = nix::unistd::Gid::effective();
        Plan {
            first_segment: 1,
            first_sequence: 0,
            segment_limit: 8,
            environment: Vec::new(),
            source_directory: self.source().to_str().unwrap().to_owned(),
            shell: ShellKind::Sh,
            state: StateCarrying::Carried,
            entrypoint: Vec::new(),
            docker_hint: None,
            runtimes: Some(Vec::new()),
            cache: None,
            phases: vec![
                phase(Phase::Install),
                phase(Phase::PreBuild),
                phase(Phase::Build),
                phase(Phase::PostBuild),
            ],
            exported_variables: Vec::new(),
            secrets: Vec::new(),
            git_credentials: Vec::new(),
            mask_encodings: true,
            reports: Reports::Configured(Vec::new()),
            artifacts: Vec::new(),
            debug: None,
            credentials: None,
            owner: Owner {
                user: owner.as_raw(),
                group: group.as_raw(),
            },
            timeout_millis: 60_000,
            grace_millis: 200,
        }
    }

    /// A plan whose BUILD phase runs these commands.
    pub(crate) fn build_plan(&self, commands: &[&str]) -> Plan {
        let mut plan = self.plan();
        set(&mut plan, Phase::Build, commands);
        plan
    }

    /// Runs a plan to its end.
    pub(crate) fn run(&self, plan: Plan) -> Outcome {
        self.start(plan).outcome()
    }

    /// Starts a plan.
    pub(crate) fn start(&self, plan: Plan) -> Running<'_> {
        let mut running = self.start_idle();
        running.order(&Order::Start(Box::new(plan)));
        running
    }

    /// The executor in the place by which its programs find the build.
    fn program(&self) -> PathBuf {
        let program = self.path("codebuild/readonly/bin/executor");
        if !program.exists() {
            // By a process of its own: a program that this one writes could be started only when no
            // thread is between fork and exec with the open file.
            let copied = Command::new("cp")
                .arg(env!("CARGO_BIN_EXE_executor"))
                .arg(&program)
                .status();
            assert!(copied.unwrap().success());
            for tool in channel::TOOLS {
                symlink("executor", program.with_file_name(tool)).unwrap();
            }
        }
        program
    }

    /// Starts an executor without a plan.
    pub(crate) fn start_idle(&self) -> Running<'_> {
        let child = Command::new(self.program())
            .arg("--root")
            .arg(self.directory.path())
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("FROM_IMAGE", "yes")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Running {
            root: self,
            child,
            control: None,
        }
    }
}

/// Gives a phase its commands.
pub(crate) fn set(plan: &mut Plan, phase: Phase, commands: &[&str]) {
    let phase = phase_mut(plan, phase);
    phase.in_buildspec = true;
    phase.commands = commands.iter().map(ToString::to_string).collect();
}

/// A phase of a plan.
pub(crate) fn phase_mut(plan: &mut Plan, phase: Phase) -> &mut PhasePlan {
    let found = plan.phases.iter_mut().find(|found| found.phase == phase);
    found.unwrap()
}

/// An executor at work. It is killed when the test gives up.
pub(crate) struct Running<'a> {
    pub(crate) root: &'a Root,
    pub(crate) child: Child,
    control: Option<UnixStream>,
}

impl Running<'_> {
    pub(crate) fn order(&mut self, order: &Order) {
        write_order(self.control(), order).unwrap();
    }

    /// The connection to the executor.
    pub(crate) fn control(&mut self) -> &mut UnixStream {
        let socket = self.root.channel().join(channel::SOCKET);
        self.control
            .get_or_insert_with(|| wait_until(|| UnixStream::connect(&socket).ok()))
    }

    /// Closes the connection: the next order opens another one.
    pub(crate) fn hang_up(&mut self) {
        self.control = None;
    }

    /// Sizes of the segments that are there, by path.
    pub(crate) fn segments(&self) -> BTreeMap<PathBuf, u64> {
        let entries = fs::read_dir(self.root.channel().join(channel::SPOOL)).unwrap();
        entries
            .map(|entry| {
                let path = entry.unwrap().path();
                let size = fs::metadata(&path).unwrap().len();
                (path, size)
            })
            .collect()
    }

    /// Waits for the log to contain a text.
    pub(crate) fn wait_for_log(&self, text: &str) {
        wait_until(|| {
            log(&records(&self.root.channel()))
                .contains(text)
                .then_some(())
        });
    }

    pub(crate) fn outcome(mut self) -> Outcome {
        let status = self.child.wait().unwrap();
        Outcome {
            status,
            records: records(&self.root.channel()),
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks again and again for something another process does.
pub(crate) fn wait_until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(found) = look() {
            return found;
        }
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// What an executor has left.
pub(crate) struct Outcome {
    pub(crate) status: ExitStatus,
    pub(crate) records: Vec<Record>,
}

impl Outcome {
    /// The log, with `<ts>` in place of times.
    pub(crate) fn log(&self) -> String {
        log(&self.records)
    }

    pub(crate) fn events(&self) -> impl Iterator<Item = &Event> {
        self.records.iter().filter_map(|record| match &record.body {
            Body::Event(event) => Some(event),
            Body::Log(_) => None,
        })
    }

    /// The phases that ended, how, and with which context message.
    pub(crate) fn phases(&self) -> Vec<(Phase, Status, String)> {
        let phases = self.events().filter_map(|event| match event {
            Event::PhaseEnded {
                phase,
                status,
                context,
            } => {
                let message = context.as_ref().map_or("", |context| &context.message);
                Some((*phase, *status, message.to_owned()))
            }
            _ => None,
        });
        phases.collect()
    }

    /// What the last record says: status, and whether artifacts are to be uploaded.
    pub(crate) fn ended(&self) -> (Status, bool) {
        match self.events().last() {
            Some(Event::Ended { status, upload }) => (*status, *upload),
            other => panic!("the last event is {other:?}; log:\n{}", self.log()),
        }
    }
}

/// All records so far.
pub(crate) fn records(channel: &Path) -> Vec<Record> {
    let mut records = Vec::new();
    for segment in 1.. {
        let path = channel.join(channel::SPOOL).join(segment_name(segment));
        let Ok(bytes) = fs::read(path) else {
            break;
        };
        let mut rest = bytes.as_slice();
        while let Some((record, size)) = decode(rest, records.len() as u64).unwrap() {
            records.push(record);
            rest = &rest[size..];
        }
    }
    records
}

fn log(records: &[Record]) -> String {
    let bytes: Vec<u8> = records
        .iter()
        .filter_map(|record| match &record.body {
            Body::Log(bytes) => Some(bytes.as_slice()),
            Body::Event(_) => None,
        })
        .collect::<Vec<_>>()
        .concat();
    without_times(&String::from_utf8_lossy(&bytes))
}

/// A log with `<ts>` in place of times.
fn without_times(log: &str) -> String {
    const TIME: usize = "2026/01/31 12:34:56.123456".len();
    const PREFIX: &str = "[Container] ";
    log.split_inclusive('\n')
        .map(|line| match line.strip_prefix(PREFIX) {
            Some(rest) if rest.len() > TIME && rest.starts_with("20") => {
                format!("{PREFIX}<ts>{}", &rest[TIME..])
            }
            _ => line.to_owned(),
        })
        .collect()
}
