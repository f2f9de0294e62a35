//! `git-credential-helper`: answers git's question for the credentials of the build's own sources
//! (buildspec reference, env/git-credential-helper; gitcredentials, "Custom helpers").

use std::io::{self, BufRead, Read};
use std::path::Path;

use executor::protocol::GitCredential;

use super::{ToolError, print_lines};
use crate::places::Places;
use crate::untrusted;

/// Longest question, and largest file of credentials, in bytes.
const LIMIT_BYTES: u64 = 1024 * 1024;

/// What git asks for.
#[derive(Debug, Default)]
struct Question {
    protocol: String,
    host: String,
    path: String,
}

/// Answers `get`. What git wants stored or erased is none of this program's business.
pub(super) fn answer(arguments: &[String]) -> Result<u8, ToolError> {
    match arguments {
        [operation] if operation == "get" => {}
        [operation] if operation == "store" || operation == "erase" => return Ok(0),
        _ => {
            let usage = "usage: git-credential-helper get|store|erase";
            return Err(ToolError::Usage(usage.to_owned()));
        }
    }
    let question = Question::read(io::stdin().lock()).map_err(ToolError::system("question"))?;
    let path = Places::below(Path::new("/")).git_credentials();
    let known = match untrusted::read(&path, LIMIT_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        read => read.map_err(ToolError::system(path.display().to_string()))?,
    };
    let known: Vec<GitCredential> = serde_json::from_slice(&known)
        .map_err(io::Error::from)
        .map_err(ToolError::system(path.display().to_string()))?;
    match known
        .iter()
        .find(|credential| question.is_about(credential))
    {
        Some(GitCredential {
            username, password, ..
        }) => print_lines([
            format!("username={username}"),
            format!("password={}", password.expose()),
        ]),
        // Git asks the next helper.
        None => Ok(0),
    }
}

impl Question {
    /// Reads lines of `name=value` up to an empty one or the end.
    fn read(input: impl Read) -> io::Result<Self> {
        let mut question = Self::default();
        for line in io::BufReader::new(input.take(LIMIT_BYTES)).lines() {
            let line = line?;
            match line.split_once('=') {
                Some(("protocol", value)) => value.clone_into(&mut question.protocol),
                Some(("host", value)) => value.clone_into(&mut question.host),
                Some(("path", value)) => value.clone_into(&mut question.path),
                Some(_) => {}
                None => break,
            }
        }
        Ok(question)
    }

    /// Whether a credential opens the very repository that is asked for: another one of the same host
    /// gets none.
    fn is_about(&self, credential: &GitCredential) -> bool {
        let plain = |path: &str| {
            let path = path.trim_matches('/');
            path.strip_suffix(".git").unwrap_or(path).to_owned()
        };
        self.protocol == credential.protocol
            && self.host.eq_ignore_ascii_case(&credential.host)
            && plain(&self.path) == plain(&credential.path)
    }
}

#[cfg(test)]
mod tests {
    use executor::protocol::Secret;

    use super::*;

    #[test]
    fn only_the_builds_own_repository_is_opened() {
        let credential = GitCredential {
            protocol: "https".to_owned(),
            host: "github.com".to_owned(),
            path: "o/r.git".to_owned(),
            username: "ada".to_owned(),
            password: Secret::new("s3cret"),
        };
        for (question, expected) in [
            ("protocol=https\nhost=github.com\npath=o/r.git\n\n", true),
            ("protocol=https\nhost=GitHub.com\npath=o/r\n", true),
            ("protocol=https\nhost=github.com\npath=o/r/info\n", false),
            ("protocol=https\nhost=github.com\npath=o/other.git\n", false),
            ("protocol=https\nhost=github.com\n", false),
            ("protocol=http\nhost=github.com\npath=o/r.git\n", false),
            ("protocol=https\nhost=evil.com\npath=o/r.git\n", false),
            ("\nprotocol=https\nhost=github.com\npath=o/r.git\n", false),
        ] {
            let question = Question::read(question.as_bytes()).unwrap();
            assert_eq!(question.is_about(&credential), expected, "{question:?}");
        }
    }
}
