//! A PostgreSQL server of the tests' own, started from the programs of this machine.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use nix::unistd::{Gid, Uid, User, geteuid};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions};

/// Whether what was committed outlives a loss of power: a test does without, a measurement does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// As delivered.
    Full,
    /// Nothing is flushed to the disk.
    None,
}

/// A server in a directory of its own, reached through a socket there. It ends with this value, and
/// also if this process ends in any other way.
#[derive(Debug)]
pub struct Postgres {
    directory: tempfile::TempDir,
    programs: PathBuf,
    durability: Durability,
    owner: (Uid, Gid),
    process: Mutex<Child>,
    databases: AtomicU32,
}

/// The server that all tests of this process share.
pub fn shared_postgres() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| Postgres::start(Durability::None))
}

impl Postgres {
    /// Makes a server and starts it.
    pub fn start(durability: Durability) -> Self {
        let programs = programs();
        let directory = tempfile::Builder::new()
            .prefix("buildspec-agent-postgres-")
            .tempdir()
            .expect("a directory can be made");
        let owner = owner();
        let (user, group) = owner;
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700))
            .and_then(|()| chown(directory.path(), Some(user.as_raw()), Some(group.as_raw())))
            .expect("the directory is ours");
        let data = directory.path().join("data");
        let mut command = Command::new(programs.join("initdb"));
        as_owner(&mut command, owner);
        let made = command
            .args([
                "--username=agent",
                "--auth=trust",
                "--no-sync",
                "--encoding=UTF8",
            ])
            .args(["--locale=C.UTF-8", "--pgdata"])
            .arg(&data)
            .output()
            .expect("initdb can be run");
        assert!(
            made.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let process = serve(&programs, directory.path(), durability, owner);
        Self {
            directory,
            programs,
            durability,
            owner,
            process: Mutex::new(process),
            databases: AtomicU32::new(0),
        }
    }

    /// Makes an empty database and gives its URL.
    pub async fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let statement = AssertSqlSafe(format!("CREATE DATABASE {name}"));
        let mut connection = self.connect("postgres").await;
        sqlx::query(statement)
            .execute(&mut connection)
            .await
            .expect("a database can be made");
        let socket = self.directory.path().display();
        format!("postgres://agent@localhost/{name}?host={socket}")
    }

    /// The socket at which it is reached.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join(".s.PGSQL.5432")
    }

    /// Kills the server as a crash would, and starts it anew.
    pub fn restart(&self) {
        let mut process = self.process.lock().expect("no test panics with it");
        if let Some(input) = &mut process.stdin {
            input.write_all(b"again\n").expect("the shell reads");
        }
        end(&mut process);
        *process = serve(
            &self.programs,
            self.directory.path(),
            self.durability,
            self.owner,
        );
    }

    async fn connect(&self, database: &str) -> PgConnection {
        let options = PgConnectOptions::new()
            .socket(self.directory.path())
            .username("agent")
            .database(database);
        options.connect().await.expect("the server answers")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        end(self.process.get_mut().expect("no test panics with it"));
    }
}

/// Closing the shell's input ends the server.
fn end(process: &mut Child) {
    drop(process.stdin.take());
    let _ = process.wait();
}

/// Starts the server under a shell that waits for the end of its input, which is this process's end
/// at the latest, and removes the directory then; returns when the server answers.
fn serve(programs: &Path, directory: &Path, durability: Durability, owner: (Uid, Gid)) -> Child {
    const SCRIPT: &str = r#"
        "$0" "$@" >/dev/null 2>"$PGDATA/../log" &
        read -r last
        kill -QUIT $!
        wait
        [ "$last" = again ] || { cd / && rm -rf "${PGDATA%/data}"; }
    "#;
    let mut command = Command::new("/bin/sh");
    as_owner(&mut command, owner);
    command
        .arg("-c")
        .arg(SCRIPT)
        .arg(programs.join("postgres"))
        .args(["-c", "listen_addresses=", "-c", "max_connections=200", "-k"])
        .arg(directory)
        .env("PGDATA", directory.join("data"))
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null());
    if durability == Durability::None {
        command.args(["-c", "fsync=off"]);
    }
    let process = command.spawn().expect("the server can be started");
    wait_until_it_answers(programs, directory);
    process
}

/// `pg_isready` asks, as nobody tells.
fn wait_until_it_answers(programs: &Path, directory: &Path) {
    for _ in 0..600 {
        let ready = Command::new(programs.join("pg_isready"))
            .args(["--quiet", "--timeout=1", "--host"])
            .arg(directory)
            .status()
            .expect("pg_isready can be run");
        if ready.success() {
            return;
        }
        pause();
    }
    let mut log = String::new();
    let file = fs::File::open(directory.join("log"));
    let _ = file.and_then(|mut file| file.read_to_string(&mut log));
    panic!("PostgreSQL does not answer; its log:\n{log}");
}

fn pause() {
    #[expect(
        clippy::disallowed_methods,
        reason = "a server that starts has nothing to wait on"
    )]
    std::thread::sleep(Duration::from_millis(50));
}

/// Where the server's programs are: newest version first, then the PATH.
fn programs() -> PathBuf {
    let installed = fs::read_dir("/usr/lib/postgresql");
    let mut versions: Vec<(u32, PathBuf)> = installed
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, programs)| programs.join("initdb").exists())
        .collect();
    versions.sort();
    if let Some((_, programs)) = versions.pop() {
        return programs;
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "the tests look for a program as a shell does"
    )]
    let path = std::env::var("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).find(|directory| directory.join("initdb").exists());
    found.expect("PostgreSQL's programs are not on this machine: run `make setup`")
}

/// PostgreSQL refuses to run as root.
fn owner() -> (Uid, Gid) {
    if !geteuid().is_root() {
        return (geteuid(), nix::unistd::getegid());
    }
    let user = ["postgres", "nobody"]
        .iter()
        .find_map(|name| User::from_name(name).ok().flatten());
    let user = user.expect("there is a user postgres or nobody");
    (user.uid, user.gid)
}

fn as_owner(command: &mut Command, (user, group): (Uid, Gid)) {
    if geteuid().is_root() {
        command.uid(user.as_raw()).gid(group.as_raw());
    }
}
