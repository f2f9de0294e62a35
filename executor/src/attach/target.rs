//! The process whose place the shell takes.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use caps::Capability;
use nix::fcntl::{self, OFlag};
use nix::sys::stat::Mode;
use nix::unistd::{self, Gid, Uid};

use crate::setup;
use crate::sys::Identity;

/// Most that is read of a process's environment, in bytes; the kernel starts no program with more.
const ENVIRONMENT_LIMIT: u64 = 8 * 1024 * 1024;

/// Most that is read of a process's status, in bytes.
const STATUS_LIMIT: u64 = 1024 * 1024;

/// A process, held by its directory below `/proc`: another one that gets the same number later is
/// not taken for it.
#[derive(Debug)]
pub(super) struct Target {
    directory: OwnedFd,
    credentials: Credentials,
}

/// Who a process is, and what it may do at most.
#[derive(Debug, PartialEq, Eq)]
struct Credentials {
    identity: Identity,
    /// Its bounding set, a bit a capability.
    bounding: u64,
}

impl Target {
    /// Finds a process of this container.
    pub(super) fn open(process: i32) -> io::Result<Self> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let path = PathBuf::from(format!("/proc/{process}"));
        let directory = fcntl::open(&path, flags, Mode::empty())?;
        let status = read(&directory, "status", STATUS_LIMIT)?;
        let credentials = Credentials::parse(&String::from_utf8_lossy(&status))
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
        Ok(Self {
            directory,
            credentials,
        })
    }

    /// Becomes its user and gives up what it may not do, for good.
    pub(super) fn take_its_place(&self) -> io::Result<()> {
        let Credentials { identity, bounding } = &self.credentials;
        unistd::setgroups(&identity.groups)?;
        unistd::setgid(identity.group)?;
        let may = |capability: &Capability| bounding >> capability.index() & 1 == 1;
        let mut given_up: Vec<Capability> = caps::all().into_iter().filter(|c| !may(c)).collect();
        // The capability that is needed to give up others goes last.
        given_up.sort_by_key(|capability| *capability == Capability::CAP_SETPCAP);
        setup::drop_capabilities(&given_up).map_err(io::Error::other)?;
        unistd::setuid(identity.user)?;
        Ok(())
    }

    /// Its environment. Only its own user may read it.
    pub(super) fn environment(&self) -> io::Result<Vec<(OsString, OsString)>> {
        Ok(variables(&read(
            &self.directory,
            "environ",
            ENVIRONMENT_LIMIT,
        )?))
    }

    /// Goes to its working directory, even if that has no path any more.
    pub(super) fn enter_directory(&self) -> io::Result<()> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let directory = fcntl::openat(&self.directory, "cwd", flags, Mode::empty())?;
        Ok(unistd::fchdir(directory)?)
    }
}

impl Credentials {
    /// Reads the `status` of a process (proc(5)).
    fn parse(status: &str) -> Option<Self> {
        let field = |name: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        };
        let first = |name: &str| field(name)?.split_whitespace().next()?.parse().ok();
        let groups = field("Groups")?.split_whitespace();
        Some(Self {
            identity: Identity {
                user: Uid::from_raw(first("Uid")?),
                group: Gid::from_raw(first("Gid")?),
                groups: groups
                    .map(|group| group.parse().map(Gid::from_raw))
                    .collect::<Result<_, _>>()
                    .ok()?,
            },
            bounding: u64::from_str_radix(field("CapBnd")?.trim(), 16).ok()?,
        })
    }
}

/// Names and values of an environment block.
fn variables(block: &[u8]) -> Vec<(OsString, OsString)> {
    block
        .split(|byte| *byte == 0)
        .filter_map(|entry| {
            let end = entry.iter().position(|byte| *byte == b'=')?;
            let (name, value) = (&entry[..end], &entry[end + 1..]);
            let text = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
            (!name.is_empty()).then(|| (text(name), text(value)))
        })
        .collect()
}

fn read(directory: &OwnedFd, name: &str, limit: u64) -> io::Result<Vec<u8>> {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    let file = File::from(fcntl::openat(directory, name, flags, Mode::empty())?);
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_the_credentials_of_its_status() {
        let status = "Name:\tsh\nUid:\t1000\t0\t0\t0\nGid:\t100\t100\t100\t100\n\
                      Groups:\t100 999 \nCapBnd:\t00000000a80425fb\n";
        let credentials = Credentials::parse(status).unwrap();
        let identity = &credentials.identity;
        assert_eq!(
            (identity.user.as_raw(), identity.group.as_raw()),
            (1000, 100)
        );
        assert_eq!(identity.groups, [100, 999].map(Gid::from_raw));
        assert_eq!(credentials.bounding, 0xa804_25fb);
        assert_eq!(Credentials::parse("Uid:\t0\n"), None);
    }

    #[test]
    fn this_process_is_found_with_its_environment() {
        let own = i32::try_from(std::process::id()).unwrap();
        let target = Target::open(own).unwrap();
        assert_eq!(target.credentials.identity.user, Uid::current());
        let known = target.environment().unwrap();
        assert!(known.iter().any(|(name, _)| name == "CARGO_PKG_NAME"));
        assert!(Target::open(-1).is_err());
    }

    #[test]
    fn an_environment_is_read_entry_by_entry() {
        let read = variables(b"A=1\0EMPTY=\0nothing\0=x\0LINES=a\nb=c\0");
        let expected = [("A", "1"), ("EMPTY", ""), ("LINES", "a\nb=c")];
        assert_eq!(
            read,
            expected.map(|(name, value)| (name.into(), value.into()))
        );
    }
}
