//! What git and the hosts say when something goes wrong, and what it means.

use crate::source::Refusal;

/// What a failure of git means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The author of the build has something to mend.
    Refused(Refusal),
    /// The host did not answer as it should; it may the next time.
    Network(String),
    /// Something else; perhaps the mirror is damaged.
    Unknown,
}

/// Words of authentication that failed. Which of the two refusals it is depends on whether there was
/// anything to authenticate with.
const NOT_LET_IN: [&str; 6] = [
    "Authentication failed for",
    "could not read Username",
    "could not read Password",
    "Permission denied (",
    "The requested URL returned error: 401",
    "The requested URL returned error: 403",
];

const NO_REPOSITORY: [&str; 6] = [
    "fatal: repository '",
    "does not appear to be a git repository",
    "Repository not found",
    "repository does not exist",
    "The requested URL returned error: 404",
    "The project you were looking for could not be found",
];

const NETWORK: [&str; 17] = [
    "Could not resolve host",
    "Failed to connect",
    "Connection refused",
    "Connection reset",
    "Connection timed out",
    "Connection closed by",
    "Empty reply from server",
    "Operation timed out",
    "Operation too slow",
    "RPC failed",
    "GnuTLS recv error",
    "SSL_ERROR_SYSCALL",
    "The requested URL returned error: 429",
    "The requested URL returned error: 5",
    "early EOF",
    "the remote end hung up",
    "unexpected disconnect",
];

/// Reads what git said about the repository at `url`.
pub(super) fn meaning(words: &str, url: &str, has_credential: bool) -> Meaning {
    let says = |signs: &[&str]| signs.iter().any(|sign| words.contains(sign));
    // In the words of OpenSSL and of GnuTLS.
    let certificate = words.split_once("SSL certificate problem: ");
    let certificate = certificate.map(|(_, reason)| reason.lines().next().unwrap_or_default());
    let unverified = "server certificate verification failed";
    if let Some(reason) = certificate.or(words.contains(unverified).then_some(unverified)) {
        return Meaning::Refused(Refusal::Certificate {
            url: url.to_owned(),
            reason: capitalised(reason),
        });
    }
    if says(&NOT_LET_IN) {
        return Meaning::Refused(if has_credential {
            Refusal::AuthorizationFailed
        } else {
            Refusal::AuthenticationRequired
        });
    }
    if says(&NO_REPOSITORY) {
        return Meaning::Refused(Refusal::RepositoryNotFound);
    }
    if words.contains("Host key verification failed") {
        let text = format!(
            "Git clone failed: the SSH host key of {url} is not the one known on this machine"
        );
        return Meaning::Refused(Refusal::Other(text));
    }
    if says(&NETWORK) {
        return Meaning::Network(format!("Git clone failed: {}", last_line(words)));
    }
    Meaning::Unknown
}

/// The line that says most: the last one that git calls fatal, else the last one.
pub(super) fn last_line(words: &str) -> String {
    let fatal = words
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("fatal: "));
    let line = fatal.or_else(|| words.lines().last()).unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(500).collect()
}

/// The service writes the reason with a capital letter, OpenSSL without.
fn capitalised(reason: &str) -> String {
    let mut characters = reason.chars().filter(|c| !c.is_control());
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters.take(200)).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_understood() {
        let url = "https://h/r";
        for (words, has_credential, expected) in [
            (
                "fatal: could not read Username for 'https://h': terminal prompts disabled",
                false,
                Meaning::Refused(Refusal::AuthenticationRequired),
            ),
            (
                "fatal: Authentication failed for 'https://h/r/'",
                true,
                Meaning::Refused(Refusal::AuthorizationFailed),
            ),
            (
                "git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.",
                true,
                Meaning::Refused(Refusal::AuthorizationFailed),
            ),
            (
                "fatal: repository 'https://h/r/' not found",
                false,
                Meaning::Refused(Refusal::RepositoryNotFound),
            ),
            (
                "fatal: unable to access 'https://h/r/': SSL certificate problem: self-signed certificate",
                false,
                Meaning::Refused(Refusal::Certificate {
                    url: url.to_owned(),
                    reason: "Self-signed certificate".to_owned(),
                }),
            ),
            (
                "error: RPC failed; curl 18\nfatal: early EOF\nfatal: unpack failed",
                false,
                Meaning::Network("Git clone failed: unpack failed".to_owned()),
            ),
            (
                "fatal: unable to access 'https://h/r/': server certificate verification failed. CAfile: none CRLfile: none",
                false,
                Meaning::Refused(Refusal::Certificate {
                    url: url.to_owned(),
                    reason: "Server certificate verification failed".to_owned(),
                }),
            ),
            ("fatal: bad object HEAD", true, Meaning::Unknown),
        ] {
            assert_eq!(meaning(words, url, has_credential), expected, "{words}");
        }
    }
}
