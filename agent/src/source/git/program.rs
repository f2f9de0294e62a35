//! The git program, with everything off by which a repository or this machine could make it run
//! something else.
//!
//! It reads no configuration but what stands here and what this agent wrote: no system or user file,
//! no hooks, no filters, no templates, no pager, no prompt. It speaks HTTPS, HTTP and SSH and nothing
//! else. Its whole process group is killed when the build is stopped, when its time is up, or when it
//! has written more than it may.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Settings of every call, each over anything that a file says.
const SETTINGS: [&str; 26] = [
    "advice.detachedHead=false",
    "checkout.workers=0",
    "core.askPass=",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.pager=cat",
    "core.protectHFS=true",
    "core.symlinks=true",
    "credential.helper=",
    "diff.external=",
    "fetch.recurseSubmodules=false",
    "fetch.unpackLimit=1",
    "gc.auto=0",
    "http.followRedirects=initial",
    // A connection that gives less than 1 kB a second for a minute is dead.
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=60",
    "maintenance.auto=false",
    "pack.writeReverseIndex=true",
    "protocol.allow=never",
    "protocol.http.allow=always",
    "protocol.https.allow=always",
    "protocol.ssh.allow=always",
    "safe.directory=*",
    "submodule.recurse=false",
];

/// Variables of this process that git is given.
const PASSED_ON: [&str; 9] = [
    "PATH",
    "HTTPS_PROXY",
    "https_proxy",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "SSL_CERT_FILE",
];

/// How much of what git says on standard error is kept, in bytes.
const WORDS_LIMIT: usize = 64 * 1024;

/// How often the size of what git writes is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Where variables of this process are looked up.
pub type Lookup = fn(&str) -> Option<String>;

/// The program, ready to be called.
#[derive(Debug, Clone)]
pub(super) struct Git {
    environment: Vec<(String, String)>,
    settings: Vec<String>,
    deadline: Instant,
    stop: CancellationToken,
}

/// Why a call of git gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// There is no such program, or it cannot be started.
    #[error("cannot run git: install it on this machine")]
    Start(#[source] io::Error),
    /// It failed.
    #[error("git {command} failed: {words}")]
    Failed {
        /// What it was to do.
        command: String,
        /// What it said.
        words: String,
    },
    /// It gave more than it may.
    #[error("git {command} gives more than {limit_bytes} bytes")]
    TooLarge {
        /// What it was to do.
        command: String,
        /// The limit.
        limit_bytes: u64,
    },
    /// It took longer than the build may.
    #[error("git {command} did not end in time")]
    TimedOut {
        /// What it was to do.
        command: String,
    },
    /// The build was stopped.
    #[error("stopped")]
    Stopped,
    /// A file beside git's own could not be read or written.
    #[error("cannot {operation} {}", path.display())]
    File {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl GitError {
    /// Describes an error of a file; made for `map_err`.
    pub(super) fn file(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File {
            operation,
            path,
            source,
        }
    }
}

/// A directory that must not grow without end while git runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound<'a> {
    /// The directory; what lies in it directly counts.
    pub(super) directory: &'a Path,
    /// The limit.
    pub(super) limit_bytes: u64,
}

impl Git {
    /// A program that ends by `deadline` and when `stop` is cancelled. `home` is a directory without
    /// anything in it.
    pub(super) fn new(
        home: &Path,
        lookup: Lookup,
        deadline: Instant,
        stop: &CancellationToken,
    ) -> Self {
        let mut git = Self {
            environment: Vec::new(),
            settings: SETTINGS.map(str::to_owned).into(),
            deadline,
            stop: stop.clone(),
        };
        for name in PASSED_ON {
            if let Some(value) = lookup(name) {
                git.set(name, value);
            }
        }
        let home = home.to_string_lossy();
        for (name, value) in [
            ("GIT_ALLOW_PROTOCOL", "http:https:ssh"),
            ("GIT_ATTR_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_LFS_SKIP_SMUDGE", "1"),
            ("GIT_NO_REPLACE_OBJECTS", "1"),
            ("GIT_PROTOCOL_FROM_USER", "0"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("HOME", &home),
            ("LC_ALL", "C"),
            ("XDG_CONFIG_HOME", &home),
        ] {
            git.set(name, value.to_owned());
        }
        git
    }

    /// Sets a variable of its environment.
    pub(super) fn set(&mut self, name: &str, value: String) {
        self.environment.push((name.to_owned(), value));
    }

    /// Adds a setting, over all before it. It stands on the command line: nothing secret goes here.
    pub(super) fn configure(&mut self, setting: String) {
        self.settings.push(setting);
    }

    /// Runs it and gives what it wrote, at most `limit_bytes`. `directory` is the git directory.
    pub(super) async fn read(
        &self,
        directory: &Path,
        arguments: &[&str],
        limit_bytes: u64,
    ) -> Result<Vec<u8>, GitError> {
        self.call(directory, arguments, None, limit_bytes).await
    }

    /// Runs it for what it does.
    pub(super) async fn run(
        &self,
        directory: &Path,
        arguments: &[&str],
        bound: Option<Bound<'_>>,
    ) -> Result<(), GitError> {
        let limit = WORDS_LIMIT as u64;
        self.call(directory, arguments, bound, limit)
            .await
            .map(drop)
    }

    async fn call(
        &self,
        directory: &Path,
        arguments: &[&str],
        bound: Option<Bound<'_>>,
        limit_bytes: u64,
    ) -> Result<Vec<u8>, GitError> {
        let name = || arguments.first().copied().unwrap_or_default().to_owned();
        tracing::debug!("git {}", arguments.join(" "));
        let mut child = self
            .command(directory, arguments)
            .spawn()
            .map_err(GitError::Start)?;
        let group = Group::of(&child);
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let talk = async {
            let (output, words) =
                tokio::join!(read_up_to(stdout, limit_bytes), read_last_words(stderr),);
            let status = child.wait().await?;
            io::Result::Ok((output?, words?, status))
        };
        let ended: io::Result<(Vec<u8>, String, ExitStatus)> = tokio::select! {
            ended = talk => ended,
            () = self.stop.cancelled() => return Err(GitError::Stopped),
            () = tokio::time::sleep_until(self.deadline) => {
                return Err(GitError::TimedOut { command: name() });
            }
            limit_bytes = outgrown(bound) => {
                return Err(GitError::TooLarge { command: name(), limit_bytes });
            }
        };
        let (output, words, status) = ended.map_err(GitError::Start)?;
        if output.len() as u64 > limit_bytes {
            return Err(GitError::TooLarge {
                command: name(),
                limit_bytes,
            });
        }
        group.ended();
        if status.success() {
            return Ok(output);
        }
        let words = if words.is_empty() {
            status.to_string()
        } else {
            words
        };
        Err(GitError::Failed {
            command: name(),
            words,
        })
    }

    fn command(&self, directory: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("GIT_DIR", directory)
            .current_dir("/")
            .args(self.settings.iter().flat_map(|setting| ["-c", setting]))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        command
    }
}

/// The process group of a call, killed with this value unless the call has ended.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.map(Pid::from_raw))
    }

    fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may have ended by itself just now.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

/// Reads to the end; one byte more than the limit tells that there was more.
async fn read_up_to(source: Option<impl AsyncRead + Unpin>, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(source) = source {
        source.take(limit + 1).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

/// Reads to the end and keeps the last of it.
async fn read_last_words(source: Option<impl AsyncRead + Unpin>) -> io::Result<String> {
    let mut words: Vec<u8> = Vec::new();
    let mut piece = vec![0; 8 * 1024];
    if let Some(mut source) = source {
        loop {
            let read = source.read(&mut piece).await?;
            if read == 0 {
                break;
            }
            words.extend_from_slice(&piece[..read]);
            if words.len() > WORDS_LIMIT {
                words.drain(..words.len() - WORDS_LIMIT);
            }
        }
    }
    Ok(String::from_utf8_lossy(&words).trim().to_owned())
}

/// Ends when the directory has outgrown its bound, and gives the limit.
async fn outgrown(bound: Option<Bound<'_>>) -> u64 {
    let Some(bound) = bound else {
        return std::future::pending().await;
    };
    let mut ticks = tokio::time::interval(LOOK_INTERVAL);
    loop {
        ticks.tick().await;
        if size_of_files(bound.directory) > bound.limit_bytes {
            return bound.limit_bytes;
        }
    }
}

/// Sum of the sizes of the files in a directory, without those below it; 0 if there is none.
pub(super) fn size_of_files(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.metadata().ok())
        .filter(std::fs::Metadata::is_file)
        .map(|metadata| metadata.len())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git(home: &Path, stop: &CancellationToken) -> Git {
        let deadline = Instant::now() + Duration::from_mins(1);
        Git::new(home, crate::config::process_environment, deadline, stop)
    }

    async fn bare_repository(git: &Git, home: &Path) -> PathBuf {
        let directory = home.join("r.git");
        let path = directory.to_str().unwrap();
        let init = ["init", "--quiet", "--bare", "--template=", path];
        git.run(&directory, &init, None).await.unwrap();
        directory
    }

    #[tokio::test]
    async fn neither_host_nor_repository_configure_it() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join(".gitconfig"), "[user]\nname = host\n").unwrap();
        let git = git(home.path(), &CancellationToken::new());
        let directory = bare_repository(&git, home.path()).await;
        assert!(!directory.join("hooks").exists());
        let read = git
            .read(&directory, &["config", "--get", "user.name"], 100)
            .await;
        assert!(matches!(read, Err(GitError::Failed { .. })), "{read:?}");
        let hooks = git
            .read(&directory, &["config", "--get", "core.hooksPath"], 100)
            .await;
        assert_eq!(hooks.unwrap(), b"/dev/null\n");
    }

    #[tokio::test]
    async fn transports_that_stay_on_this_machine_are_off() {
        let home = tempfile::tempdir().unwrap();
        let git = git(home.path(), &CancellationToken::new());
        let directory = bare_repository(&git, home.path()).await;
        let path = directory.display().to_string();
        let file = format!("file://{path}");
        for url in [&*path, &file, "ext::sh -c true", "git://127.0.0.1/r"] {
            let listed = git.read(&directory, &["ls-remote", "--", url], 100).await;
            let Err(GitError::Failed { words, .. }) = listed else {
                panic!("{url}: {listed:?}")
            };
            assert!(words.contains("not allowed"), "{url}: {words}");
        }
    }

    #[tokio::test]
    async fn stopping_ends_it_and_so_does_too_much_output() {
        let home = tempfile::tempdir().unwrap();
        let stop = CancellationToken::new();
        let git = git(home.path(), &stop);
        let directory = bare_repository(&git, home.path()).await;
        let much = git.read(&directory, &["help", "--all"], 10).await;
        assert!(
            matches!(
                much,
                Err(GitError::TooLarge {
                    limit_bytes: 10,
                    ..
                })
            ),
            "{much:?}"
        );
        stop.cancel();
        let stopped = git.run(&directory, &["gc"], None).await;
        assert!(matches!(stopped, Err(GitError::Stopped)), "{stopped:?}");
    }
}
