//! Out of memory: what the kernel says about the container's memory.

use std::fs;
use std::path::{Path, PathBuf};

/// The files of one version of control groups, as a container sees its own.
#[derive(Debug)]
struct Files {
    events: &'static str,
    peak: &'static str,
    limit: &'static str,
}

/// Version 2 first: where both are mounted, version 1 has no memory controller.
const VERSIONS: [Files; 2] = [
    Files {
        events: "sys/fs/cgroup/memory.events",
        peak: "sys/fs/cgroup/memory.peak",
        limit: "sys/fs/cgroup/memory.max",
    },
    Files {
        events: "sys/fs/cgroup/memory/memory.oom_control",
        peak: "sys/fs/cgroup/memory/memory.max_usage_in_bytes",
        limit: "sys/fs/cgroup/memory/memory.limit_in_bytes",
    },
];

/// Notices that the kernel has killed processes of the build for want of memory.
#[derive(Debug)]
pub(crate) struct MemoryWatch {
    root: PathBuf,
    files: Option<&'static Files>,
    kills: u64,
}

impl MemoryWatch {
    /// Looks for the container's control group below `root`.
    pub(crate) fn new(root: &Path) -> Self {
        let files = VERSIONS
            .iter()
            .find(|files| root.join(files.events).exists());
        let mut watch = Self {
            root: root.to_owned(),
            files,
            kills: 0,
        };
        watch.kills = watch.count_kills();
        watch
    }

    /// A sentence about it, if processes were killed since this was asked last.
    pub(crate) fn take_kills(&mut self) -> Option<String> {
        let kills = self.count_kills();
        let new = kills.checked_sub(self.kills).filter(|new| *new > 0)?;
        self.kills = kills;
        let processes = if new == 1 { "process" } else { "processes" };
        let size = |label: &str, bytes: Option<u64>| {
            bytes.map_or_else(String::new, |bytes| {
                format!(", {label} {} MiB", bytes.div_ceil(1024 * 1024))
            })
        };
        let peak = size("peak memory", self.number(|files| files.peak));
        let limit = size("limit", self.number(|files| files.limit));
        Some(format!(
            "Out of memory: {new} {processes} killed{peak}{limit}"
        ))
    }

    fn count_kills(&self) -> u64 {
        let text = self.read(|files| files.events).unwrap_or_default();
        text.lines()
            .find_map(|line| line.strip_prefix("oom_kill "))
            .and_then(|count| count.trim().parse().ok())
            .unwrap_or(0)
    }

    fn number(&self, file: impl Fn(&Files) -> &'static str) -> Option<u64> {
        self.read(file)?.trim().parse().ok()
    }

    fn read(&self, file: impl Fn(&Files) -> &'static str) -> Option<String> {
        fs::read_to_string(self.root.join(file(self.files?))).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file system root with the files of a control group.
    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), files);
        root
    }

    fn write(root: &Path, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = root.join("sys/fs/cgroup").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    #[test]
    fn kills_are_told_once_with_peak_and_limit() {
        for (label, events, peak, limit) in [
            (
                "version 1",
                "memory/memory.oom_control",
                "memory/memory.max_usage_in_bytes",
                "memory/memory.limit_in_bytes",
            ),
            ("version 2", "memory.events", "memory.peak", "memory.max"),
        ] {
            let root = root(&[(events, "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")]);
            let mut watch = MemoryWatch::new(root.path());
            assert_eq!(watch.take_kills(), None, "{label}");
            write(
                root.path(),
                &[
                    (events, "oom 1\noom_kill 4\n"),
                    (peak, "67108864\n"),
                    (limit, "67108864\n"),
                ],
            );
            let expected = "Out of memory: 2 processes killed, peak memory 64 MiB, limit 64 MiB";
            assert_eq!(watch.take_kills().as_deref(), Some(expected), "{label}");
            assert_eq!(watch.take_kills(), None, "{label}");
        }
    }

    #[test]
    fn an_unknown_peak_or_limit_is_left_out() {
        let root = root(&[("memory.events", "oom_kill 0\n"), ("memory.max", "max\n")]);
        let mut watch = MemoryWatch::new(root.path());
        write(root.path(), &[("memory.events", "oom_kill 1\n")]);
        assert_eq!(
            watch.take_kills().as_deref(),
            Some("Out of memory: 1 process killed")
        );
    }

    #[test]
    fn without_a_control_group_nothing_is_told() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(MemoryWatch::new(root.path()).take_kills(), None);
    }
}
