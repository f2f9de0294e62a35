//! Users of the image, read from its files: a static program cannot ask the C library.

use std::io;
use std::path::Path;

use nix::unistd::{Gid, Uid};

use crate::sys::Identity;
use crate::untrusted;

/// Most that is read of one of the files, in bytes: the build may have changed them.
const LIMIT_BYTES: u64 = 16 * 1024 * 1024;

/// Looks up the user of this name; none if there is no such user. A group file that is missing
/// names no groups.
pub(crate) fn find(root: &Path, name: &str) -> io::Result<Option<Identity>> {
    let passwd = untrusted::read(&root.join("etc/passwd"), LIMIT_BYTES)?;
    let group = untrusted::read(&root.join("etc/group"), LIMIT_BYTES).unwrap_or_default();
    Ok(identity(
        &String::from_utf8_lossy(&passwd),
        &String::from_utf8_lossy(&group),
        name,
    ))
}

fn identity(passwd: &str, group: &str, name: &str) -> Option<Identity> {
    let (user, main_group) = passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        match fields[..] {
            [found, _, user, group, ..] if found == name => {
                Some((user.parse().ok()?, group.parse().ok()?))
            }
            _ => None,
        }
    })?;
    let mut groups = vec![Gid::from_raw(main_group)];
    for line in group.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        if let [_, _, id, members] = fields[..]
            && members.split(',').any(|member| member == name)
            && let Ok(id) = id.parse()
        {
            groups.push(Gid::from_raw(id));
        }
    }
    groups.dedup();
    Some(Identity {
        user: Uid::from_raw(user),
        group: Gid::from_raw(main_group),
        groups,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_the_ids_and_groups_of_the_files() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbad line\nci:x:1000:100::/home/ci:/bin/sh\n";
        let group = "root:x:0:\nusers:x:100:\ndocker:x:999:other,ci\nx:x:bad:ci\nlong:x:5:cider\n";
        let found = identity(passwd, group, "ci").unwrap();
        assert_eq!((found.user.as_raw(), found.group.as_raw()), (1000, 100));
        let groups: Vec<u32> = found.groups.iter().map(|group| group.as_raw()).collect();
        assert_eq!(groups, [100, 999]);
        assert_eq!(identity(passwd, group, "nobody"), None);
        assert_eq!(identity(passwd, group, ""), None);
    }
}
