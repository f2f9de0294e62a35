//! Identifiers, as CodeBuild writes them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Name of a project: 2 to 255 letters, digits, `-` and `_`, the first one a letter or digit
/// (API, `ProjectName`; the user guide's length).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProjectName(String);

/// A text that is not a project's name.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is not a project name: 2 to 255 letters, digits, hyphens and underscores, starting with a letter or a digit"
)]
pub struct InvalidName(String);

impl FromStr for ProjectName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let valid = (2..=255).contains(&text.len())
            && text.bytes().all(allowed)
            && text.starts_with(|first: char| first.is_ascii_alphanumeric());
        valid
            .then(|| Self(text.to_owned()))
            .ok_or_else(|| InvalidName(text.to_owned()))
    }
}

impl TryFrom<String> for ProjectName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<ProjectName> for String {
    fn from(name: ProjectName) -> Self {
        name.0
    }
}

impl fmt::Display for ProjectName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl ProjectName {
    /// The nearest valid name to a directory's or a person's choice: other characters become `-`.
    pub fn from_lossy(text: &str) -> Self {
        let name: String = text
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || c == '_' {
                    c
                } else {
                    '-'
                }
            })
            .take(255)
            .collect();
        name.trim_start_matches(['-', '_'])
            .parse()
            .unwrap_or_else(|_| Self("local".to_owned()))
    }
}

/// Identity of a build: its project and a random UUID, written `project:uuid`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BuildId {
    /// The project.
    pub project: ProjectName,
    /// The part that is unique to the build.
    pub uuid: Uuid,
}

impl BuildId {
    /// A new build of a project.
    pub fn new(project: ProjectName) -> Self {
        Self {
            project,
            uuid: Uuid::new_v4(),
        }
    }
}

impl fmt::Display for BuildId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.project, self.uuid)
    }
}

impl Serialize for BuildId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BuildId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A text that is not a build's id.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not the id of a build: project:uuid")]
pub struct InvalidBuildId(String);

impl FromStr for BuildId {
    type Err = InvalidBuildId;

    fn from_str(text: &str) -> Result<Self, InvalidBuildId> {
        let invalid = || InvalidBuildId(text.to_owned());
        let (project, uuid) = text.rsplit_once(':').ok_or_else(invalid)?;
        Ok(Self {
            project: project.parse().map_err(|_| invalid())?,
            uuid: uuid.parse().map_err(|_| invalid())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn project_names_are_codebuilds() {
        for good in ["ab", "my-project_2", &"a".repeat(255)] {
            assert!(good.parse::<ProjectName>().is_ok(), "{good}");
        }
        for bad in ["a", "", "-ab", "_ab", "a b", "ä-b", "a:b", &"a".repeat(256)] {
            assert!(bad.parse::<ProjectName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn any_directory_name_gives_a_project_name() {
        for (directory, name) in [
            ("my project", "my-project"),
            ("..", "local"),
            ("-x.y", "x-y"),
            ("é", "local"),
        ] {
            assert_eq!(ProjectName::from_lossy(directory).to_string(), name);
        }
    }
}
