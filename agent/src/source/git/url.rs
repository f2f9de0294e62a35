//! Addresses of repositories: a text goes in, checked parts come out.
//!
//! Only transports that reach another machine are taken. git itself knows more (`file://`, local
//! paths, `ext::`), and each of them would let the author of a build read this machine or run a
//! program on it.

use std::fmt;

/// Longest address, in bytes.
const LONGEST: usize = 2048;

/// Address of a repository, without any credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryUrl {
    text: String,
    transport: Transport,
    host: String,
    path: String,
}

/// How a repository is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// HTTP over TLS.
    Https,
    /// HTTP in the open.
    Http,
    /// SSH.
    Ssh,
}

/// User and password that stood in an address. `Debug` shows neither.
#[derive(Clone, PartialEq, Eq)]
pub struct UserInfo {
    /// The user, decoded.
    pub user: String,
    /// The password, decoded; empty if there was none.
    pub password: String,
}

impl fmt::Debug for UserInfo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// Why an address is not taken. The address is not quoted: there may be a password in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It has the form of none of the transports.
    #[error("the repository's address has to start with https:// or ssh://, or be USER@HOST:PATH")]
    Transport,
    /// Its host is missing or has characters that no host has.
    #[error("the repository's address has no valid host")]
    Host,
    /// Its path is missing or leads out of itself.
    #[error("the repository's address has no valid path")]
    Path,
    /// It holds blanks, control characters or more than 2048 bytes.
    #[error("the repository's address has characters that no address has, or is too long")]
    Characters,
}

impl RepositoryUrl {
    /// Reads an address. What it says of a user is given beside it: git gets credentials in another
    /// way, and nobody gets to see them. The user of an SSH address stays in it, because the account
    /// is part of the place.
    pub fn parse(text: &str) -> Result<(Self, Option<UserInfo>), UrlError> {
        if text.len() > LONGEST || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(UrlError::Characters);
        }
        let text = text.trim_end_matches('/');
        let Some((scheme, rest)) = text.split_once("://") else {
            return Self::parse_scp(text).map(|url| (url, None));
        };
        let transport = match scheme.to_ascii_lowercase().as_str() {
            "https" => Transport::Https,
            "http" => Transport::Http,
            "ssh" => Transport::Ssh,
            _ => return Err(UrlError::Transport),
        };
        let (authority, path) = rest.split_once('/').ok_or(UrlError::Path)?;
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        let host = host.to_ascii_lowercase();
        if !is_host(&host, PortAllowed::Yes) {
            return Err(UrlError::Host);
        }
        check_path(path)?;
        let (kept, user_info) = match (transport, user) {
            (_, None) => (String::new(), None),
            (Transport::Ssh, Some(user)) if is_account(user) => (format!("{user}@"), None),
            (Transport::Ssh, Some(_)) => return Err(UrlError::Host),
            (_, Some(user)) => (String::new(), Some(user_info(user))),
        };
        let scheme = transport.scheme();
        let url = Self {
            text: format!("{scheme}://{kept}{host}/{path}"),
            transport,
            host,
            path: path.to_owned(),
        };
        Ok((url, user_info))
    }

    /// `USER@HOST:PATH`, as `scp` takes it.
    fn parse_scp(text: &str) -> Result<Self, UrlError> {
        let (authority, path) = text.split_once(':').ok_or(UrlError::Transport)?;
        let (user, host) = authority.split_once('@').ok_or(UrlError::Transport)?;
        // `a::b` calls the program `git-remote-a`.
        if authority.contains('/') || path.starts_with(':') {
            return Err(UrlError::Transport);
        }
        let host = host.to_ascii_lowercase();
        if !is_account(user) || !is_host(&host, PortAllowed::No) {
            return Err(UrlError::Host);
        }
        let inner = path.trim_start_matches('/');
        check_path(inner)?;
        Ok(Self {
            text: format!("{user}@{host}:{path}"),
            transport: Transport::Ssh,
            path: inner.to_owned(),
            host,
        })
    }

    /// The address that another one, as a submodule names it, leads to from here: `./` and `../` are
    /// relative to this one (gitsubmodules, `submodule.<name>.url`).
    pub fn join(&self, other: &str) -> Result<(Self, Option<UserInfo>), UrlError> {
        if !other.starts_with("./") && !other.starts_with("../") {
            return Self::parse(other);
        }
        let prefix = self.text.len() - self.path.len();
        let mut parts: Vec<&str> = self.path.split('/').collect();
        for part in other.split('/') {
            match part {
                "." | "" => {}
                ".." => {
                    parts.pop().ok_or(UrlError::Path)?;
                }
                part => parts.push(part),
            }
        }
        Self::parse(&format!("{}{}", &self.text[..prefix], parts.join("/")))
    }

    /// The address for git and for people.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How it is reached.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Host, with the port if one is given, in small letters.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Path on the host, without a slash at its ends.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether the host is this machine.
    pub fn is_loopback(&self) -> bool {
        let host = self
            .host
            .rsplit_once(':')
            .map_or(&*self.host, |(host, _)| host);
        host == "localhost" || host == "[::1]" || host.starts_with("127.")
    }

    /// Scheme and host, as git's `credential.<url>` takes them.
    pub fn origin(&self) -> String {
        format!("{}://{}", self.transport.scheme(), self.host)
    }

    /// `HOST/OWNER/REPOSITORY`, the path of a checkout below the sources of a build (observed in
    /// public logs of CodeBuild). Made of letters, digits and `._-` only.
    pub fn directory(&self) -> String {
        let host = self.host.split(':').next().unwrap_or_default();
        let path = self.path.trim_end_matches(".git");
        let clean = |part: &str| -> String {
            let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            let part = part.replace(|c| !allowed(c), "_");
            // What is left of `.git` or of dots alone must not mean anything to git or to the system.
            if part.starts_with('.') {
                format!("_{part}")
            } else {
                part
            }
        };
        let parts = std::iter::once(host).chain(path.split('/'));
        let parts: Vec<String> = parts.filter(|part| !part.is_empty()).map(clean).collect();
        parts.join("/")
    }
}

impl fmt::Display for RepositoryUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl Transport {
    fn scheme(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
            Self::Ssh => "ssh",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum PortAllowed {
    Yes,
    No,
}

fn is_host(text: &str, port: PortAllowed) -> bool {
    let (host, number) = match text.rsplit_once(':') {
        Some((host, number)) if !text.ends_with(']') => (host, Some(number)),
        _ => (text, None),
    };
    let is_port = number.is_none_or(|number| {
        port == PortAllowed::Yes && number.parse::<u16>().is_ok_and(|number| number > 0)
    });
    let name = match host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        Some(address) => return is_port && address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host,
    };
    is_port
        && !name.is_empty()
        && !name.starts_with(['-', '.'])
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

/// An account on a host; one with a dash in front would be an option of `ssh`.
fn is_account(user: &str) -> bool {
    !user.is_empty()
        && !user.starts_with('-')
        && user
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'+'))
}

fn check_path(path: &str) -> Result<(), UrlError> {
    let is_part = |part: &str| !matches!(part, "." | "..") && !part.contains(['\'', '"', '\\']);
    let path = path.trim_start_matches('/');
    if path.is_empty() || path.starts_with('-') || !path.split('/').all(is_part) {
        return Err(UrlError::Path);
    }
    Ok(())
}

fn user_info(text: &str) -> UserInfo {
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    UserInfo {
        user: decoded(user),
        password: decoded(password),
    }
}

/// Takes percent signs back.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let (byte, after) = match byte.filter(|_| first == b'%') {
            Some(byte) => (byte, &after[2..]),
            None => (first, after),
        };
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> RepositoryUrl {
        RepositoryUrl::parse(text).unwrap().0
    }

    #[test]
    fn addresses_of_all_transports_are_read() {
        for (text, shown, directory) in [
            (
                "https://github.com/o/r.git",
                "https://github.com/o/r.git",
                "github.com/o/r",
            ),
            (
                "https://GitHub.com/o/r/",
                "https://github.com/o/r",
                "github.com/o/r",
            ),
            (
                "http://127.0.0.1:8080/r.git",
                "http://127.0.0.1:8080/r.git",
                "127.0.0.1/r",
            ),
            (
                "ssh://git@host:22/o/r.git",
                "ssh://git@host:22/o/r.git",
                "host/o/r",
            ),
            (
                "git@github.com:o/r.git",
                "git@github.com:o/r.git",
                "github.com/o/r",
            ),
            (
                "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/r",
                "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/r",
                "git-codecommit.eu-west-1.amazonaws.com/v1/repos/r",
            ),
            (
                "https://h/o/a%20b~c.git",
                "https://h/o/a%20b~c.git",
                "h/o/a_20b_c",
            ),
            ("https://h/.git/x", "https://h/.git/x", "h/_.git/x"),
        ] {
            let url = parse(text);
            assert_eq!(url.as_str(), shown, "{text}");
            assert_eq!(url.directory(), directory, "{text}");
        }
    }

    #[test]
    fn a_password_is_taken_out_of_the_address() {
        let (url, info) = RepositoryUrl::parse("https://ada:s%40cret@host/o/r.git").unwrap();
        assert_eq!(url.as_str(), "https://host/o/r.git");
        let info = info.unwrap();
        assert_eq!((&*info.user, &*info.password), ("ada", "s@cret"));
        assert!(!format!("{info:?}").contains("cret"));
    }

    #[test]
    fn whatever_reaches_this_machine_or_a_program_is_refused() {
        for text in [
            "file:///etc",
            "/srv/repository",
            "../repository",
            "ext::sh -c id",
            "ext::sh",
            "a@b::c",
            "git://host/r",
            "fd::3",
            "ssh://-oProxyCommand=id/r",
            "ssh://-oX@host/r",
            "-oX@host:r",
            "git@-oX:r",
            "git@host:-r",
            "https://host",
            "https:///r",
            "https://host/../r",
            "https://host:0/r",
            "https://ho st/r",
            "https://host/r\n",
            "https://host/a'b",
            "",
        ] {
            assert!(RepositoryUrl::parse(text).is_err(), "{text:?}");
        }
        assert!(RepositoryUrl::parse(&format!("https://h/{}", "x".repeat(LONGEST))).is_err());
    }

    #[test]
    fn submodules_are_found_relative_to_their_parent() {
        for (from, to, expected) in [
            ("https://h/o/r.git", "../s.git", Ok("https://h/o/s.git")),
            ("git@h:o/r.git", "../../p/s", Ok("git@h:p/s")),
            ("https://h/o/r", "./s", Ok("https://h/o/r/s")),
            ("https://h/o/r", "ssh://git@i/s", Ok("ssh://git@i/s")),
            ("https://h/r", "../../s", Err(UrlError::Path)),
            ("https://h/r", "/etc", Err(UrlError::Transport)),
        ] {
            let joined = parse(from).join(to).map(|(url, _)| url.text);
            assert_eq!(
                joined.as_deref().map_err(|error| *error),
                expected,
                "{from} {to}"
            );
        }
    }

    #[test]
    fn this_machine_is_known() {
        for (text, expected) in [
            ("http://localhost:1/r", true),
            ("http://127.0.0.1/r", true),
            ("http://[::1]:80/r", true),
            ("http://localhost.example/r", false),
        ] {
            assert_eq!(parse(text).is_loopback(), expected, "{text}");
        }
    }
}
