//! An SSH server with keys of its own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// `sshd` on a free port of this machine; it ends with this value.
#[derive(Debug)]
pub struct SshServer {
    directory: TempDir,
    port: u16,
    child: Child,
}

impl SshServer {
    /// Starts a server that lets the user who runs it in with one key.
    pub fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let path = directory.path();
        for key in ["host_key", "user_key", "other_key"] {
            make_key(&path.join(key));
        }
        fs::copy(path.join("user_key.pub"), path.join("authorized_keys"))
            .expect("the key was made");
        // The port is free again for the moment in which sshd takes it.
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener
            .local_addr()
            .expect("a listener has an address")
            .port();
        drop(listener);
        let shown = path.display();
        let settings = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {shown}/host_key\n\
             AuthorizedKeysFile {shown}/authorized_keys\nPidFile none\nStrictModes no\nUsePAM no\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n"
        );
        fs::write(path.join("sshd_config"), settings).expect("one's own directory");
        if nix::unistd::geteuid().is_root() {
            fs::create_dir_all("/run/sshd").expect("root can make the directory that sshd wants");
        }
        let mut child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(path.join("sshd_config"))
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("sshd starts: {error}; run `make setup`"));
        let mut words = BufReader::new(child.stderr.take().expect("standard error is a pipe"));
        let mut said = String::new();
        while !said.contains("Server listening") {
            let read = words.read_line(&mut said).expect("sshd can be listened to");
            assert!(read > 0, "sshd ends: {said}");
        }
        // It may go on talking.
        std::thread::spawn(move || std::io::copy(&mut words, &mut std::io::sink()));
        Self {
            directory,
            port,
            child,
        }
    }

    /// The private key that it lets in.
    pub fn key(&self) -> PathBuf {
        self.directory.path().join("user_key")
    }

    /// A private key that it does not let in.
    pub fn other_key(&self) -> PathBuf {
        self.directory.path().join("other_key")
    }

    /// The address of a repository of this machine.
    pub fn url(&self, repository: &Path) -> String {
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid())
            .ok()
            .flatten();
        let user = user.map_or_else(|| "root".to_owned(), |user| user.name);
        format!(
            "ssh://{user}@127.0.0.1:{}{}",
            self.port,
            repository.display()
        )
    }
}

impl Drop for SshServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn make_key(path: &Path) {
    let status = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(path)
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "ssh-keygen makes a key; run `make setup`"
    );
}
