//! Lets containers inside a privileged container have control groups.
//!
//! An engine that gives every capability, but not its own privileged mode, mounts the control groups
//! read-only. They are the container's own part of the tree: groups made there have its limits, and go
//! with it.

use std::fs;
use std::io;
use std::path::Path;

use nix::mount::{self, MsFlags};

/// Where the control groups are mounted.
const ROOT: &str = "/sys/fs/cgroup";

/// Makes the mounts writable.
pub(crate) fn make_writable() -> io::Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    for target in read_only(&mounts) {
        // Of this mount only: the hierarchy itself may be in use elsewhere, and is not asked.
        let flags = MsFlags::MS_REMOUNT
            | MsFlags::MS_BIND
            | MsFlags::MS_NOSUID
            | MsFlags::MS_NODEV
            | MsFlags::MS_NOEXEC;
        mount::mount(
            None::<&Path>,
            Path::new(target),
            None::<&Path>,
            flags,
            None::<&Path>,
        )?;
    }
    Ok(())
}

/// The mounts of control groups that are read-only, in the form of `/proc/self/mounts`.
fn read_only(mounts: &str) -> impl Iterator<Item = &str> {
    mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (target, _, options) = (fields.next()?, fields.next()?, fields.next()?);
        let is_below = target == ROOT || target.starts_with("/sys/fs/cgroup/");
        (is_below && options.split(',').any(|option| option == "ro")).then_some(target)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_only_control_groups_are_found() {
        let mounts = "\
tmpfs /sys/fs/cgroup tmpfs rw,nosuid,nodev,noexec,relatime,mode=755 0 0
cgroup /sys/fs/cgroup/cpu cgroup ro,nosuid,nodev,noexec,relatime,cpu 0 0
cgroup /sys/fs/cgroup/pids cgroup rw,nosuid,pids 0 0
sysfs /sys sysfs ro,nosuid 0 0
overlay / overlay rw,ro-not-really 0 0
";
        assert_eq!(
            read_only(mounts).collect::<Vec<_>>(),
            ["/sys/fs/cgroup/cpu"]
        );
    }
}
