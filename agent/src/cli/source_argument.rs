//! The argument that names a source: a directory of this machine, a repository, or a place in S3.

use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;

use crate::model::SourceType;

/// A source as the command line names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SourceArgument {
    /// A directory of this machine.
    Directory(PathBuf),
    /// Something elsewhere, as a project would name it.
    Elsewhere {
        /// What kind of place it is.
        source_type: SourceType,
        /// Where it is.
        location: String,
    },
}

impl FromStr for SourceArgument {
    type Err = Infallible;

    /// An address with `://`, or `USER@HOST:PATH`, is elsewhere; everything else is a directory.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(location) = text.strip_prefix("s3://") {
            return Ok(Self::elsewhere(SourceType::S3, location));
        }
        let before_colon = text.split_once(':').map(|(before, _)| before);
        let is_scp =
            before_colon.is_some_and(|before| before.contains('@') && !before.contains('/'));
        if !text.contains("://") && !is_scp {
            return Ok(Self::Directory(text.into()));
        }
        let host = text.split_once("://").map_or(text, |(_, rest)| rest);
        let host = host.split(['/', ':']).next().unwrap_or_default();
        let host = host
            .rsplit('@')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        let source_type = match host.as_str() {
            "github.com" => SourceType::Github,
            "gitlab.com" => SourceType::Gitlab,
            "bitbucket.org" => SourceType::Bitbucket,
            host if host.starts_with("git-codecommit") => SourceType::Codecommit,
            _ if text.starts_with("codecommit:") => SourceType::Codecommit,
            _ => SourceType::GithubEnterprise,
        };
        Ok(Self::elsewhere(source_type, text))
    }
}

impl SourceArgument {
    fn elsewhere(source_type: SourceType, location: &str) -> Self {
        Self::Elsewhere {
            source_type,
            location: location.to_owned(),
        }
    }

    /// A name for the project of a source elsewhere: that of its repository or object.
    pub(super) fn name_of(location: &str) -> &str {
        let name = location.trim_end_matches('/').rsplit(['/', ':']).next();
        let name = name.unwrap_or_default();
        [".git", ".zip"]
            .iter()
            .find_map(|end| name.strip_suffix(end))
            .unwrap_or(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_told_apart() {
        for (text, expected) in [
            (".", None),
            ("/srv/a:b", None),
            ("a@b/c:d", None),
            (
                "https://github.com/o/r.git",
                Some((SourceType::Github, "https://github.com/o/r.git")),
            ),
            (
                "git@gitlab.com:o/r",
                Some((SourceType::Gitlab, "git@gitlab.com:o/r")),
            ),
            (
                "https://ada@bitbucket.org/o/r",
                Some((SourceType::Bitbucket, "https://ada@bitbucket.org/o/r")),
            ),
            (
                "ssh://git@h:22/r",
                Some((SourceType::GithubEnterprise, "ssh://git@h:22/r")),
            ),
            (
                "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/r",
                Some((
                    SourceType::Codecommit,
                    "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/r",
                )),
            ),
            (
                "codecommit::eu-west-1://r",
                Some((SourceType::Codecommit, "codecommit::eu-west-1://r")),
            ),
            (
                "s3://bucket/a/b.zip",
                Some((SourceType::S3, "bucket/a/b.zip")),
            ),
        ] {
            let Ok(parsed) = text.parse::<SourceArgument>();
            let expected = match expected {
                None => SourceArgument::Directory(text.into()),
                Some((source_type, location)) => SourceArgument::elsewhere(source_type, location),
            };
            assert_eq!(parsed, expected, "{text}");
        }
    }

    #[test]
    fn a_project_is_named_after_its_repository() {
        for (location, expected) in [
            ("https://github.com/o/r.git", "r"),
            ("git@h:r", "r"),
            ("bucket/a/b.zip", "b"),
            ("bucket/folder/", "folder"),
        ] {
            assert_eq!(SourceArgument::name_of(location), expected);
        }
    }
}
