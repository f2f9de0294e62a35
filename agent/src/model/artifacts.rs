//! Where artifacts go: settings of a project or an override, and the key each artifact gets.

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ProjectName;

/// Where the artifacts of a build go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ArtifactDestination {
    /// Nowhere (`NO_ARTIFACTS`).
    None,
    /// Into a directory of this machine, which is made if needed.
    Directory {
        /// Its absolute path.
        root: PathBuf,
        /// Settings of the primary artifact; without them the layout is the simple one.
        primary: Option<ArtifactSettings>,
        /// Settings of the secondary artifacts; without them all of the buildspec's are taken, in the
        /// simple layout.
        secondary: Option<Vec<ArtifactSettings>>,
        /// How artifacts without settings are stored.
        packaging: ArtifactPackaging,
    },
    /// Into buckets.
    S3 {
        /// Settings of the primary artifact.
        primary: ArtifactSettings,
        /// Settings of the secondary artifacts.
        secondary: Vec<ArtifactSettings>,
    },
}

impl ArtifactDestination {
    /// How an artifact of the buildspec is stored; `None` if it is not wanted.
    pub fn packaging(&self, identifier: Option<&str>) -> Option<ArtifactPackaging> {
        match (self.settings(identifier), self) {
            (Wanted::With(settings), _) => Some(settings.packaging),
            (Wanted::Simply, Self::Directory { packaging, .. }) => Some(*packaging),
            _ => None,
        }
    }

    /// Whether an artifact of the buildspec is wanted, and how.
    pub fn settings(&self, identifier: Option<&str>) -> Wanted<'_> {
        let (primary, secondary) = match self {
            Self::None => return Wanted::No,
            Self::Directory {
                primary, secondary, ..
            } => (primary.as_ref(), secondary.as_ref()),
            Self::S3 { primary, secondary } => (Some(primary), Some(secondary)),
        };
        let is_wanted =
            |settings: &&ArtifactSettings| settings.artifacts_type != ArtifactsType::NoArtifacts;
        match (identifier, primary, secondary) {
            (None, None, _) | (Some(_), _, None) => Wanted::Simply,
            (None, Some(settings), _) => Some(settings)
                .filter(is_wanted)
                .map_or(Wanted::No, Wanted::With),
            (Some(identifier), primary, Some(all)) => {
                let is_named = |settings: &&ArtifactSettings| {
                    settings.artifact_identifier.as_deref() == Some(identifier)
                };
                // The only output of a pipeline's job may be the buildspec's secondary artifact of its name.
                let found = all.iter().chain(primary).find(is_named);
                found.filter(is_wanted).map_or(Wanted::No, Wanted::With)
            }
        }
    }

    /// Whether there is one place for whichever artifact the buildspec has: the only output of a pipeline's job.
    pub fn is_one_place(&self) -> bool {
        matches!(self, Self::S3 { primary, secondary }
            if primary.artifacts_type == ArtifactsType::Codepipeline && secondary.is_empty())
    }

    /// Identifiers of the secondary artifacts that the settings name.
    pub fn secondary_identifiers(&self) -> impl Iterator<Item = &str> {
        let all = match self {
            Self::Directory {
                secondary: Some(all),
                ..
            }
            | Self::S3 { secondary: all, .. } => all.as_slice(),
            _ => &[],
        };
        all.iter()
            .filter_map(|settings| settings.artifact_identifier.as_deref())
    }
}

/// Whether an artifact is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// It is not.
    No,
    /// It is, in the simple layout.
    Simply,
    /// It is, with these settings.
    With(&'a ArtifactSettings),
}

/// How an artifact is stored (API, `ArtifactPackaging`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ArtifactPackaging {
    /// As its files
    #[default]
    None,
    /// As one ZIP archive
    Zip,
}

/// What stands between the path and the name (API, `ArtifactNamespace`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ArtifactNamespace {
    /// Nothing.
    #[default]
    None,
    /// The build's id.
    BuildId,
}

/// What kind of place artifacts go to (API, `ArtifactsType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ArtifactsType {
    /// A pipeline's bucket.
    Codepipeline,
    /// A bucket.
    S3,
    /// Nowhere.
    NoArtifacts,
}

/// Settings of one artifact (API, `ProjectArtifacts`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArtifactSettings {
    /// What kind of place it goes to.
    #[serde(rename = "type")]
    pub artifacts_type: ArtifactsType,
    /// The bucket.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub location: String,
    /// First part of the key.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// Middle part of the key.
    #[serde(default)]
    pub namespace_type: ArtifactNamespace,
    /// Last part of the key; the project's name if it is empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// How it is stored.
    #[serde(default)]
    pub packaging: ArtifactPackaging,
    /// Whether the buildspec's name replaces `name`.
    #[serde(default)]
    pub override_artifact_name: bool,
    /// Whether a bucket stores it without encryption.
    #[serde(default)]
    pub encryption_disabled: bool,
    /// Identifier of a secondary artifact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_identifier: Option<String>,
    /// What the owner of a bucket in another account may do with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket_owner_access: Option<BucketOwnerAccess>,
}

/// What the owner of the bucket may do (API, `BucketOwnerAccess`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BucketOwnerAccess {
    /// Nothing.
    None,
    /// Read it.
    ReadOnly,
    /// All.
    Full,
}

/// What a key depends on besides the settings.
#[derive(Debug, Clone, Copy)]
pub struct KeyParts<'a> {
    /// The project.
    pub project: &'a ProjectName,
    /// The build.
    pub build: Uuid,
    /// The buildspec's name of the artifact, evaluated.
    pub buildspec_name: Option<&'a str>,
    /// The buildspec's `s3-prefix` of the artifact.
    pub prefix: Option<&'a str>,
}

impl ArtifactSettings {
    /// Settings of which only the type is known.
    pub fn of_type(artifacts_type: ArtifactsType) -> Self {
        Self {
            artifacts_type,
            location: String::new(),
            path: String::new(),
            namespace_type: ArtifactNamespace::None,
            name: String::new(),
            packaging: ArtifactPackaging::None,
            override_artifact_name: false,
            encryption_disabled: false,
            artifact_identifier: None,
            bucket_owner_access: None,
        }
    }

    /// The key of an archive, or what the keys of all files begin with: parts joined by `/`, none at
    /// the end; empty for files in the root of the bucket. `None` if a part leads out of it.
    ///
    /// Rules: API, `ProjectArtifacts`, members `path`, `namespaceType` and `name`; buildspec
    /// reference, artifacts/name and artifacts/s3-prefix. That an archive cannot be called `/` in the
    /// root, and `.zip` where a prefix is used, are assumed.
    pub fn key(&self, parts: &KeyParts<'_>) -> Option<String> {
        if self.artifacts_type == ArtifactsType::Codepipeline {
            // The pipeline has said it, and reads it there.
            return Some(self.name.clone());
        }
        let chosen = match parts.buildspec_name {
            Some(name) if self.override_artifact_name => name,
            _ => self.name.as_str(),
        };
        let mut name = chosen.trim_matches('/').to_owned();
        let build = match self.namespace_type {
            ArtifactNamespace::None => String::new(),
            ArtifactNamespace::BuildId => parts.build.to_string(),
        };
        let prefix = parts.prefix.filter(|_| !build.is_empty());
        let path = prefix.unwrap_or(&self.path);
        let is_bare = path.trim_matches('/').is_empty() && build.is_empty();
        let is_archive = self.packaging == ArtifactPackaging::Zip;
        if chosen.is_empty() || (name.is_empty() && is_bare && is_archive) {
            name = parts.project.to_string();
        }
        let has_ending = Path::new(&name)
            .extension()
            .is_some_and(|ending| ending.eq_ignore_ascii_case("zip"));
        if prefix.is_some() && is_archive && !name.is_empty() && !has_ending {
            name.push_str(".zip");
        }
        inner_path(&[path, &build, &name])
    }
}

/// Joins parts of a path; `None` if they lead out of the place they are relative to.
pub fn inner_path(parts: &[&str]) -> Option<String> {
    let mut joined = Vec::new();
    for part in parts {
        for component in Path::new(part.trim_matches('/')).components() {
            match component {
                Component::Normal(part) => joined.push(part.to_str()?),
                Component::CurDir => {}
                _ => return None,
            }
        }
    }
    Some(joined.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Settings besides type S3, the buildspec's name, its prefix, the key; `-` for none, ID for the
    /// build's id.
    const KEYS: &str = r#"
        # The examples of the API reference.
        {"path":"P","namespaceType":"BUILD_ID","name":"N.zip","packaging":"ZIP"} | - | - | P/ID/N.zip
        {"path":"P","name":"N.zip","packaging":"ZIP"} | - | - | P/N.zip
        {"name":"/"} | - | - |
        {"path":"P","namespaceType":"BUILD_ID","name":"/"} | - | - | P/ID
        # Without a name it is the project's.
        {} | - | - | demo
        {"name":"/","packaging":"ZIP"} | - | - | demo
        # The buildspec's name counts only where it may.
        {"name":"n"} | b | - | n
        {"name":"n","overrideArtifactName":true} | v1/b | - | v1/b
        {"name":"n","overrideArtifactName":true} | - | - | n
        # The prefix replaces the path where the build's id follows.
        {"path":"p","namespaceType":"BUILD_ID","name":"n","packaging":"ZIP"} | - | x | x/ID/n.zip
        {"path":"p","namespaceType":"BUILD_ID","name":"n.zip","packaging":"ZIP"} | - | x | x/ID/n.zip
        {"path":"p","name":"n","packaging":"ZIP"} | - | x | p/n
        # Slashes are not doubled, and nothing leads out.
        {"path":"/p//q/","name":"/n/"} | - | - | p/q/n
        {"path":"..","name":"n"} | - | - | -
        {"name":"n","overrideArtifactName":true} | a/../../b | - | -
    "#;

    #[test]
    fn the_key_is_path_namespace_and_name() {
        let project: ProjectName = "demo".parse().unwrap();
        let build = Uuid::nil();
        let rows = KEYS.lines().map(str::trim);
        for row in rows.filter(|row| !row.is_empty() && !row.starts_with('#')) {
            let parts: Vec<Option<&str>> = row
                .split('|')
                .map(|part| Some(part.trim()).filter(|part| *part != "-"))
                .collect();
            let mut settings: serde_json::Value = serde_json::from_str(parts[0].unwrap()).unwrap();
            settings["type"] = "S3".into();
            let settings: ArtifactSettings = serde_json::from_value(settings).unwrap();
            let (buildspec_name, prefix) = (parts[1], parts[2]);
            let key = settings.key(&KeyParts {
                project: &project,
                build,
                buildspec_name,
                prefix,
            });
            let expected = parts[3].map(|key| key.replace("ID", &build.to_string()));
            assert_eq!(key, expected, "{row}");
        }
    }
}
