//! Versions of a git source: what `sourceVersion` says goes in, what has to be fetched comes out.

use std::fmt;

/// What of a repository is built (user guide, "Source version sample").
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GitVersion {
    /// Nothing was said: the newest commit of the default branch.
    Default,
    /// A branch or a tag, or the beginning of a commit's hash.
    Name(String),
    /// A full reference, such as `refs/heads/main`.
    Reference(String),
    /// A commit of a reference: `refs/heads/main^{<hash>}`.
    CommitOf {
        /// The reference, the only one that is fetched.
        reference: String,
        /// The commit's full hash.
        commit: String,
    },
    /// A commit, by its full hash.
    Commit(String),
}

/// A version that no repository can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a version of a git repository")]
pub struct InvalidVersion;

impl GitVersion {
    /// Reads a `sourceVersion`; an empty one is absent. `pr/25` is the newest commit of a pull request
    /// (GitHub), `mr/25` that of a merge request (GitLab).
    pub fn parse(text: &str) -> Result<Self, InvalidVersion> {
        if text.is_empty() {
            return Ok(Self::Default);
        }
        if let Some((reference, rest)) = text.split_once("^{") {
            let commit = rest.strip_suffix('}').ok_or(InvalidVersion)?;
            if !reference.starts_with("refs/") || !is_reference(reference) || !is_commit(commit) {
                return Err(InvalidVersion);
            }
            return Ok(Self::CommitOf {
                reference: reference.to_owned(),
                commit: commit.to_ascii_lowercase(),
            });
        }
        for (prefix, references) in [("pr/", "refs/pull"), ("mr/", "refs/merge-requests")] {
            let number = text.strip_prefix(prefix).filter(|number| is_number(number));
            if let Some(number) = number {
                return Ok(Self::Reference(format!("{references}/{number}/head")));
            }
        }
        if is_commit(text) {
            return Ok(Self::Commit(text.to_ascii_lowercase()));
        }
        if !is_reference(text) {
            return Err(InvalidVersion);
        }
        Ok(if text.starts_with("refs/") {
            Self::Reference(text.to_owned())
        } else {
            Self::Name(text.to_owned())
        })
    }
}

impl GitVersion {
    /// Whether it may name a commit by its hash, whole or shortened.
    pub(super) fn names_a_commit(&self) -> bool {
        match self {
            Self::Default | Self::Reference(_) => false,
            Self::Name(name) => is_short_commit(name),
            Self::CommitOf { .. } | Self::Commit(_) => true,
        }
    }
}

impl fmt::Display for GitVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("HEAD"),
            Self::Name(text) | Self::Reference(text) | Self::Commit(text) => {
                formatter.write_str(text)
            }
            Self::CommitOf { reference, commit } => write!(formatter, "{reference}^{{{commit}}}"),
        }
    }
}

/// Whether a text can be the beginning of a commit's hash, as git takes it.
pub(super) fn is_short_commit(text: &str) -> bool {
    (4..40).contains(&text.len()) && is_hexadecimal(text)
}

/// Whether a text is a commit's full hash, of either algorithm.
pub(super) fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && is_hexadecimal(text)
}

fn is_hexadecimal(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_number(text: &str) -> bool {
    (1..20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The rules of git-check-ref-format, and none that starts like an option.
fn is_reference(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && !part.starts_with('.') && part.strip_suffix(".lock").is_none()
    };
    let forbidden =
        |c: char| c.is_control() || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\');
    text.len() <= 1024
        && !text.starts_with('-')
        && !text.ends_with('.')
        && !text.contains("..")
        && !text.contains("@{")
        && text != "@"
        && !text.contains(forbidden)
        && text.split('/').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn every_form_of_a_version_is_read() {
        let reference = |text: &str| GitVersion::Reference(text.to_owned());
        for (text, expected) in [
            ("", GitVersion::Default),
            ("main", GitVersion::Name("main".to_owned())),
            ("feature/x", GitVersion::Name("feature/x".to_owned())),
            ("0123abc", GitVersion::Name("0123abc".to_owned())),
            ("v1.0", GitVersion::Name("v1.0".to_owned())),
            ("pr/x", GitVersion::Name("pr/x".to_owned())),
            (HASH, GitVersion::Commit(HASH.to_owned())),
            ("pr/25", reference("refs/pull/25/head")),
            ("mr/7", reference("refs/merge-requests/7/head")),
            ("refs/pull/25/head", reference("refs/pull/25/head")),
            ("refs/heads/main", reference("refs/heads/main")),
            (
                &format!("refs/tags/v1^{{{HASH}}}"),
                GitVersion::CommitOf {
                    reference: "refs/tags/v1".to_owned(),
                    commit: HASH.to_owned(),
                },
            ),
        ] {
            assert_eq!(GitVersion::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_git_would_read_otherwise_is_refused() {
        for text in [
            "--upload-pack=id",
            "-x",
            "a..b",
            "main~1",
            "main^",
            "@{upstream}",
            "@",
            "a:b",
            "+a",
            "a b",
            "refs/heads/*",
            "a\nb",
            "a//b",
            "/a",
            "a/",
            "x.lock",
            "refs/heads/main^{commit}",
            "refs/heads/main^{0123}",
            "main^{0123456789abcdef0123456789abcdef01234567}",
        ] {
            let parsed = GitVersion::parse(text);
            // A plus sign is a name like any other; refspecs never begin with the name itself.
            let expected = text == "+a";
            assert_eq!(parsed.is_ok(), expected, "{text}");
        }
    }
}
