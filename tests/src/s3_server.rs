//! An S3 server that checks signatures and checksums, with its objects as files.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::aws::{KEYS, environment};
use crate::program::profile_directory;

/// The server, which ends with this value.
#[derive(Debug)]
pub struct S3Server {
    root: TempDir,
    address: String,
    server: Child,
}

impl S3Server {
    /// Starts a server on a free port, with these buckets.
    pub fn start(buckets: &[&str]) -> Self {
        let root = tempfile::tempdir().expect("a temporary directory can be made");
        for bucket in buckets {
            fs::create_dir(root.path().join(bucket)).expect("a directory can be made in one's own");
        }
        // It ends with its standard input, also when this process is killed.
        let mut server = Command::new(program())
            .arg(root.path())
            .args([KEYS.0, KEYS.1])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a program that was compiled starts");
        let mut address = String::new();
        let said = server.stdout.take().expect("standard output is a pipe");
        let read = BufReader::new(said).read_line(&mut address);
        assert!(
            read.is_ok_and(|read| read > 0),
            "the S3 server tells its address"
        );
        Self {
            root,
            address: address.trim().to_owned(),
            server,
        }
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its URL.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The variables that lead clients to it.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        environment(&self.endpoint())
    }

    /// The directory of a bucket, in which every object is a file.
    pub fn bucket(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// The names of what lies beside the buckets and belongs to unfinished uploads.
    pub fn unfinished_parts(&self) -> Vec<String> {
        let entries = fs::read_dir(self.root.path()).expect("one's own directory can be listed");
        let names = entries.flatten().map(|entry| entry.file_name());
        let names = names.map(|name| name.to_string_lossy().into_owned());
        names.filter(|name| name.starts_with(".upload")).collect()
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The program, compiled once a process if it is not there yet.
fn program() -> &'static PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("s3-server");
        // Beside what cargo compiles of the workspace, so that whoever keeps one keeps the other.
        let target = profile_directory().join("s3-server");
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .current_dir(&source)
            .args(["build", "--quiet", "--locked", "--release", "--target-dir"])
            .arg(&target);
        let status = cargo.status().expect("cargo starts");
        assert!(status.success(), "cargo builds the S3 server: {status}");
        target.join("release/s3-server")
    })
}
