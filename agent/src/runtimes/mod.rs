//! Runtimes of a build image: its table and the buildspec's wishes go in, commands come out.
//!
//! An image that lets builds choose runtimes has the file `/codebuild/image/config/runtimes.yml`,
//! as AWS's own images have (aws-codebuild-docker-images).

mod versions;

use std::collections::BTreeMap;

use executor::protocol::RuntimeSelection;
use serde::Deserialize;

/// Where an image keeps its table.
pub const TABLE: &str = "/codebuild/image/config/runtimes.yml";

/// The largest table that is read, in bytes.
pub const TABLE_LIMIT_BYTES: usize = 1024 * 1024;

/// Version whose commands install any other version, given in `VERSION`.
const ANY_VERSION: &str = "default";

/// The table of an image.
#[derive(Debug, Deserialize)]
pub struct RuntimeTable {
    runtimes: BTreeMap<String, Runtime>,
}

#[derive(Debug, Deserialize)]
struct Runtime {
    versions: BTreeMap<String, Version>,
}

#[derive(Debug, Deserialize)]
struct Version {
    #[serde(default)]
    commands: Vec<String>,
    /// Other runtimes that this one needs, and which of their versions will do.
    #[serde(default)]
    requires: BTreeMap<String, Vec<String>>,
}

/// Why runtimes cannot be selected. The messages are CodeBuild's where it has them.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// The image has no such runtime.
    #[error("Unknown runtime named '{name}'. This build image has the following runtimes: {known}")]
    UnknownRuntime {
        /// The name in the buildspec.
        name: String,
        /// The names in the image, joined.
        known: String,
    },
    /// The runtime has no such version.
    #[error(
        "Unknown runtime version named '{version}' of {name}. This build image has the following versions: {known}"
    )]
    UnknownVersion {
        /// The runtime.
        name: String,
        /// The version in the buildspec.
        version: String,
        /// The versions in the image, joined.
        known: String,
    },
    /// A runtime needs another version of a runtime that was chosen too.
    #[error(
        "Runtime '{name}' version '{version}' requires {required} {wanted}, but version '{chosen}' is selected"
    )]
    Conflict {
        /// The runtime that needs another.
        name: String,
        /// Its version.
        version: String,
        /// The runtime it needs.
        required: String,
        /// The versions that would do, joined.
        wanted: String,
        /// The version that was chosen.
        chosen: String,
    },
}

impl RuntimeTable {
    /// Reads the text of a table.
    pub fn parse(text: &str) -> Result<Self, serde_yaml::Error> {
        serde_yaml::from_str(text)
    }

    /// Selects what the buildspec wishes (buildspec reference, phases/install/runtime-versions):
    /// names and versions, the latter exact, `latest`, or a major version like `18.x`. What the
    /// selected ones require and nobody wished is selected before them.
    pub fn select(
        &self,
        wishes: &[(String, String)],
    ) -> Result<Vec<RuntimeSelection>, SelectionError> {
        let mut selected: Vec<RuntimeSelection> = Vec::new();
        let mut pending = Vec::new();
        for (name, wish) in wishes {
            let (version, entry) = self.find(name, wish)?;
            pending.push((selection(name, wish, version, entry, true), entry));
        }
        for (selection, entry) in &pending {
            for (required, wanted) in &entry.requires {
                match pending.iter().find(|(other, _)| other.name == *required) {
                    Some((other, _)) if !wanted.contains(&other.version) => {
                        return Err(SelectionError::Conflict {
                            name: selection.name.clone(),
                            version: selection.version.clone(),
                            required: required.clone(),
                            wanted: wanted.join(", "),
                            chosen: other.version.clone(),
                        });
                    }
                    Some(_) => {}
                    None if selected.iter().any(|other| other.name == *required) => {}
                    None => {
                        let wish = wanted.first().map_or("latest", String::as_str);
                        let (version, entry) = self.find(required, wish)?;
                        selected.push(self::selection(required, wish, version, entry, false));
                    }
                }
            }
        }
        selected.extend(pending.into_iter().map(|(selection, _)| selection));
        Ok(selected)
    }

    /// The version that a wish stands for.
    fn find(&self, name: &str, wish: &str) -> Result<(&str, &Version), SelectionError> {
        let runtime = self
            .runtimes
            .get(name)
            .ok_or_else(|| SelectionError::UnknownRuntime {
                name: name.to_owned(),
                known: self
                    .runtimes
                    .keys()
                    .map(String::as_str)
                    .collect::<Vec<_>>()
                    .join(", "),
            })?;
        let named = runtime
            .versions
            .keys()
            .map(String::as_str)
            .filter(|version| *version != ANY_VERSION);
        let chosen = versions::choose(wish, named.clone());
        // A range says which versions there are; only a version of its own can be installed anew.
        let any = || (!versions::is_range(wish)).then_some(ANY_VERSION);
        let entry = chosen
            .or_else(any)
            .and_then(|version| runtime.versions.get_key_value(version));
        entry
            .map(|(version, entry)| (version.as_str(), entry))
            .ok_or_else(|| {
                let mut known = named.collect::<Vec<_>>();
                known.sort_by(|one, other| versions::compare(one, other));
                SelectionError::UnknownVersion {
                    name: name.to_owned(),
                    version: wish.to_owned(),
                    known: known.join(", "),
                }
            })
    }
}

fn selection(
    name: &str,
    wish: &str,
    version: &str,
    entry: &Version,
    manual: bool,
) -> RuntimeSelection {
    let is_any = version == ANY_VERSION;
    RuntimeSelection {
        name: name.to_owned(),
        version: if is_any {
            wish.to_owned()
        } else {
            version.to_owned()
        },
        manual,
        // The commands of AWS's images put a number there: `java-$VERSION-amazon-corretto-jdk`.
        version_variable: is_any.then(|| wish.trim_start_matches("corretto").to_owned()),
        commands: entry.commands.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = r#"
version: 0.1
runtimes:
  android:
    versions:
      29:
        requires:
          java: ["corretto8"]
        commands: [echo android]
  java:
    versions:
      corretto8: {commands: [echo 8]}
      corretto11: {commands: [echo 11]}
      default: {commands: ['echo custom $VERSION']}
  nodejs:
    versions:
      18: {commands: [n 18]}
      20: {commands: [n 20]}
  golang:
    versions:
      1.9: {commands: [go 9]}
      1.20: {commands: [go 20]}
"#;

    fn select(wishes: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let wishes: Vec<_> = wishes
            .iter()
            .map(|(name, wish)| ((*name).to_owned(), (*wish).to_owned()))
            .collect();
        let selected = RuntimeTable::parse(TABLE)
            .unwrap()
            .select(&wishes)
            .map_err(|error| error.to_string())?;
        Ok(selected
            .into_iter()
            .map(|runtime| format!("{} {}", runtime.name, runtime.version))
            .collect())
    }

    #[test]
    fn wishes_are_exact_ranges_or_the_latest() {
        for (name, wish, expected) in [
            ("nodejs", "18", "nodejs 18"),
            ("nodejs", "20.x", "nodejs 20"),
            ("nodejs", "latest", "nodejs 20"),
            ("golang", "1.x", "golang 1.20"),
            ("golang", "1.20", "golang 1.20"),
            ("golang", "latest", "golang 1.20"),
            ("java", "corretto11", "java corretto11"),
            ("java", "latest", "java corretto11"),
            ("java", "corretto23", "java corretto23"),
        ] {
            assert_eq!(
                select(&[(name, wish)]).unwrap(),
                [expected],
                "{name}: {wish}"
            );
        }
    }

    #[test]
    fn a_version_the_image_does_not_name_is_installed_by_the_default_entry() {
        let table = RuntimeTable::parse(TABLE).unwrap();
        let selected = table
            .select(&[("java".to_owned(), "corretto23".to_owned())])
            .unwrap();
        assert_eq!(selected[0].version_variable.as_deref(), Some("23"));
        assert_eq!(selected[0].commands, ["echo custom $VERSION"]);
    }

    #[test]
    fn what_is_required_comes_first_and_conflicts_are_told() {
        assert_eq!(
            select(&[("android", "29")]).unwrap(),
            ["java corretto8", "android 29"]
        );
        assert_eq!(
            select(&[("android", "29"), ("java", "corretto8")]).unwrap(),
            ["android 29", "java corretto8"]
        );
        let conflict = select(&[("android", "29"), ("java", "corretto11")]).unwrap_err();
        assert!(conflict.contains("requires java corretto8"), "{conflict}");
    }

    #[test]
    fn what_the_image_does_not_have_is_said_in_codebuilds_words() {
        assert_eq!(
            select(&[("cobol", "1")]).unwrap_err(),
            "Unknown runtime named 'cobol'. This build image has the following runtimes: android, golang, java, nodejs"
        );
        assert_eq!(
            select(&[("nodejs", "12")]).unwrap_err(),
            "Unknown runtime version named '12' of nodejs. This build image has the following versions: 18, 20"
        );
        assert!(select(&[("golang", "2.x")]).is_err());
    }
}
