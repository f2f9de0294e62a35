//! A Docker engine of a test's own, in namespaces of its own: it can be restarted without anybody noticing.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::engine;

/// Whether containers outlive the engine (`live-restore`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Containers {
    /// They end with it.
    EndWithIt,
    /// They go on.
    GoOn,
}

/// An engine with one image, which ends with this value. Only root can start one.
#[derive(Debug)]
pub struct Dockerd {
    directory: TempDir,
    process: Child,
}

/// Serves until the end of the input, and starts anew for every line of it. The containerd of the machine is
/// hidden, so that the engine starts its own.
const SCRIPT: &str = r#"
    ip link set lo up
    mount --make-rprivate /
    mkdir -p /run/containerd && mount -t tmpfs own /run/containerd
    while :; do
        dockerd "$@" >>"$LOG" 2>&1 &
        read -r again || again=
        kill $!
        wait $!
        [ -n "$again" ] || exit 0
    done
"#;

impl Dockerd {
    /// Starts an engine with the image of the tests.
    pub fn start(containers: Containers) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("buildspec-agent-dockerd-")
            .tempdir()
            .expect("a directory can be made");
        let root = directory.path();
        let option = |name: &str, file: &str| format!("--{name}={}", root.join(file).display());
        let mut command = Command::new("unshare");
        command
            .args(["--net", "--mount", "sh", "-c", SCRIPT, "dockerd"])
            .arg(format!("--host=unix://{}", socket(root).display()))
            .args([
                option("data-root", "data"),
                option("exec-root", "exec"),
                option("pidfile", "pid"),
            ])
            .args(["--iptables=false", "--ip6tables=false", "--ip-masq=false"])
            .env("LOG", root.join("log"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        if containers == Containers::GoOn {
            command.arg("--live-restore");
        }
        let process = command.spawn().expect("unshare can be run");
        let dockerd = Self { directory, process };
        dockerd.wait_until_it_answers();
        dockerd.load();
        dockerd
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        format!("unix://{}", socket(self.directory.path()).display())
    }

    /// Ends the engine and starts it anew.
    pub fn restart(&mut self) {
        let input = self.process.stdin.as_mut().expect("it is a pipe");
        std::fs::remove_file(socket(self.directory.path())).expect("it listens there");
        input.write_all(b"again\n").expect("the shell reads");
        self.wait_until_it_answers();
    }

    /// Identifiers of its containers, running or not.
    pub fn containers(&self) -> Vec<String> {
        let listed = self.docker(&["ps", "--all", "--quiet"]);
        String::from_utf8_lossy(&listed.stdout)
            .lines()
            .map(str::to_owned)
            .collect()
    }

    fn docker(&self, arguments: &[&str]) -> std::process::Output {
        let mut command = Command::new("docker");
        command.arg("--host").arg(self.address()).args(arguments);
        command.output().expect("docker can be run")
    }

    fn wait_until_it_answers(&self) {
        for _ in 0..600 {
            if self.docker(&["version"]).status.success() {
                return;
            }
            #[expect(
                clippy::disallowed_methods,
                reason = "a server that starts has nothing to wait on"
            )]
            std::thread::sleep(Duration::from_millis(50));
        }
        let log = std::fs::read_to_string(self.directory.path().join("log"));
        panic!(
            "the engine does not answer; its log:\n{}",
            log.unwrap_or_default()
        );
    }

    fn load(&self) {
        let mut save = Command::new("docker");
        save.args(["save", &engine::test_image()])
            .stdout(Stdio::piped());
        let mut saving = save.spawn().expect("docker can be run");
        let image = saving.stdout.take().expect("it is a pipe");
        let mut load = Command::new("docker");
        load.args(["--host", &self.address(), "load", "--quiet"])
            .stdin(image)
            .stdout(Stdio::null());
        let loaded = load.status().expect("docker can be run");
        let saved = saving.wait().expect("a child can be waited for");
        assert!(
            loaded.success() && saved.success(),
            "the image is carried over"
        );
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        for container in self.containers() {
            self.docker(&["rm", "--force", &container]);
        }
        // The end of its input ends it.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

fn socket(root: &Path) -> PathBuf {
    root.join("docker.sock")
}
