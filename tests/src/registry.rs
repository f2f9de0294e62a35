//! A Docker registry of a test's own that wants a login.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;

use tempfile::TempDir;

use crate::engine;

/// User and password of the registry.
pub const LOGIN: (&str, &str) = ("builder", "registry-password");

/// The same as the registry knows it, and the login that moto's ECR hands out.
const ACCOUNTS: &str = "\
builder:$2b$04$FUJSppWt7xg/pLYIpLf28eSH6DgLTH8xZw0fobzb5IwbH6HNgq6PS
AWS:$2b$04$BsrAH3KZR8qHvFC4E9GxFePGyRDBJC3gyUJJwc6q1g9.3MYtY88ve
";

/// A registry, ended with this value.
#[derive(Debug)]
pub struct Registry {
    server: Child,
    port: u16,
    _directory: TempDir,
}

impl Registry {
    /// Starts a registry on a free port and waits until it listens.
    pub fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let path = |name: &str| directory.path().join(name);
        // Containers reach it at another address than the engine of this machine.
        let settings = format!(
            "version: 0.1\n\
             log: {{level: info, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http: {{addr: '0.0.0.0:0'}}\n\
             auth: {{htpasswd: {{realm: tests, path: {}}}}}\n",
            path("images").display(),
            path("accounts").display()
        );
        fs::write(path("settings.yml"), settings)
            .and_then(|()| fs::write(path("accounts"), ACCOUNTS))
            .expect("a file can be written in one's own directory");
        let mut server = Command::new(program())
            .arg("serve")
            .arg(path("settings.yml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a program that exists starts");
        let said = server.stderr.take().expect("standard error is a pipe");
        let mut said = BufReader::new(said);
        let mut heard = String::new();
        let port = loop {
            let mut line = String::new();
            let read = said
                .read_line(&mut line)
                .expect("the registry speaks UTF-8");
            assert!(read > 0, "the registry gave up:\n{heard}");
            if let Some((_, address)) = line.split_once("listening on [::]:") {
                let digits = address.split(|c: char| !c.is_ascii_digit()).next();
                break digits
                    .and_then(|digits| digits.parse().ok())
                    .expect("an address has a port");
            }
            heard.push_str(&line);
        };
        thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Self {
            server,
            port,
            _directory: directory,
        }
    }

    /// Its name for this machine's engine, which trusts the loopback without TLS.
    pub fn for_host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its name for engines in containers, which have to be told to trust it.
    pub fn for_containers(&self) -> String {
        format!("{}:{}", engine::host_address(), self.port)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn program() -> PathBuf {
    // The same place that setup-registry.sh chooses.
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let cache = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    let program = cache
        .expect("XDG_CACHE_HOME or HOME is set")
        .join("buildspec-agent/registry/usr/bin/docker-registry");
    assert!(
        program.exists(),
        "{} is missing; run `make setup`",
        program.display()
    );
    program
}
