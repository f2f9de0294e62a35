//! Paths and exit codes on which the two sides agree.

/// Where the channel directory is mounted in the container, until the executor has opened it and
/// taken it out of the container's sight.
pub const MOUNT: &str = "/codebuild/channel";

/// Socket on which the executor takes [`Order`](super::Order)s, relative to the channel.
pub const SOCKET: &str = "control.sock";

/// Directory of spool segments, relative to the channel. The agent makes it.
pub const SPOOL: &str = "spool";

/// Directory of collected artifacts, relative to the channel: one directory for each entry of
/// [`Plan::artifacts`](super::Plan::artifacts), named by its index from 0. The executor makes them
/// and gives them to [`Plan::owner`](super::Plan::owner).
pub const ARTIFACTS: &str = "artifacts";

/// The archive of a packed artifact, relative to the artifact's directory.
pub const ARCHIVE: &str = "archive.zip";

/// Directory of staged report files, relative to the channel: one directory for each report, named by
/// its index from 0, in which every file has the path it has in the container.
pub const REPORTS: &str = "reports";

/// Directory of the cache that is to be kept, relative to the channel. The agent makes it.
pub const CACHE: &str = "cache";

/// The files of a kept cache, relative to its directory.
pub const CACHE_TREE: &str = "tree";

/// The [`CacheMeta`](super::CacheMeta) of a kept cache, relative to its directory.
pub const CACHE_META: &str = "meta.json";

/// The [`CacheQuery`](super::CacheQuery) for a cache out of reach, relative to the cache's directory.
pub const CACHE_QUERY: &str = "query.json";

/// The archive with which the agent answers, relative to the cache's directory.
pub const CACHE_DOWNLOAD: &str = "download";

/// The archive of a cache that is to be kept out of reach, relative to the cache's directory: tar, compressed as
/// `gzip` does.
pub const CACHE_ARCHIVE: &str = "archive.tar.gz";

/// File by which a kept cache is locked, relative to its directory: shared by builds that use it,
/// exclusive by who removes it.
pub const CACHE_LOCK: &str = "lock";

/// Where the kept caches of the project are mounted, read-only, until they are restored.
pub const LOCAL_CACHE: &str = "/codebuild/local-cache";

/// One line of text that says why the executor gave up, relative to the channel. Written only with
/// one of the exit codes below.
pub const FAILURE: &str = "failure";

/// The [`Pause`](super::Pause) as JSON, relative to the channel, for as long as it lasts.
pub const PAUSED: &str = "paused";

/// Most bytes of [`PAUSED`].
pub const PAUSED_LIMIT_BYTES: u64 = 64 * 1024;

/// Exit code of an executor that could not set itself up (mounts, socket, capabilities), or whose
/// system calls fail in a way it cannot go on from.
pub const EXIT_SETUP: i32 = 110;

/// Exit code of an executor that got an order it cannot read.
pub const EXIT_ORDER: i32 = 111;

/// Exit code of an executor that can no longer write the spool, usually because the disk is full.
pub const EXIT_SPOOL: i32 = 112;

/// Exit status of `executor attach` when there is no shell; else the status is the shell's.
pub const EXIT_NOT_ATTACHED: i32 = 125;

/// Exit code of `executor measure` where a directory takes more than it may.
pub const EXIT_TOO_LARGE: u8 = 113;

/// Names by which the executor is a program of the build.
pub const TOOLS: [&str; 6] = [
    "codebuild-breakpoint",
    "codebuild-glob-search",
    "codebuild-hash-files",
    "codebuild-resume",
    "codebuild-tests-run",
    GIT_CREDENTIAL_HELPER,
];

/// The program that answers git's questions for credentials (observed in builds of CodeBuild).
pub const GIT_CREDENTIAL_HELPER: &str = "git-credential-helper";
