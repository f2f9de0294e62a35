//! CodeBuild's curated images, and what runs here for each.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// The catalogue that comes with the program.
const EMBEDDED: &str = include_str!("../../../runtime-images/catalog.toml");

/// What the names of curated images begin with (user guide, "Docker images provided by CodeBuild").
const CURATED: &str = "aws/codebuild/";

/// Where AWS publishes the same images.
const PUBLIC: &str = "public.ecr.aws/codebuild/";

static IMAGES: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let file: File = toml::from_str(EMBEDDED).expect("a test reads the embedded catalogue");
    file.images
});

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    images: Vec<Entry>,
}

/// One curated image.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    description: String,
    platform: String,
    language: String,
    run: Vec<String>,
}

/// What runs here for the name of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalog {
    aliases: BTreeMap<String, String>,
}

/// Curated images of one platform (API, `EnvironmentPlatform`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Platform {
    /// CodeBuild's name of the platform, such as `UBUNTU`.
    pub platform: String,
    /// The images, by language.
    pub languages: Vec<Language>,
}

/// Curated images of one language (API, `EnvironmentLanguage`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Language {
    /// CodeBuild's name of the language; `BASE` for images with all of them.
    pub language: String,
    /// The images.
    pub images: Vec<CuratedImage>,
}

/// A curated image (API, `EnvironmentImage`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CuratedImage {
    /// The name that projects use.
    pub name: String,
    /// One sentence.
    pub description: String,
    /// Its versions: the one of this name. AWS's own list of dated ones is not public; any date is accepted.
    pub versions: Vec<String>,
}

impl Catalog {
    /// The embedded catalogue with an operator's choices over it: names as projects write them, and
    /// what runs for them.
    pub fn new(aliases: BTreeMap<String, String>) -> Self {
        Self { aliases }
    }

    /// The images that may run for a name, the best first; never none.
    pub fn candidates(&self, image: &str) -> Vec<String> {
        if let Some(alias) = self.aliases.get(image) {
            return vec![alias.clone()];
        }
        if let Some(entry) = IMAGES.iter().find(|entry| entry.name == image) {
            return entry.run.clone();
        }
        match image.strip_prefix(CURATED) {
            Some(rest) => vec![format!("{PUBLIC}{rest}")],
            None => vec![image.to_owned()],
        }
    }

    /// Whether a name is one of CodeBuild's own images.
    pub fn is_curated(image: &str) -> bool {
        image.starts_with(CURATED)
    }

    /// The curated images and what runs for them, the operator's choices included.
    pub fn curated(&self) -> impl Iterator<Item = (&'static str, Vec<String>)> {
        IMAGES
            .iter()
            .map(|entry| (entry.name.as_str(), self.candidates(&entry.name)))
    }

    /// The tree that `ListCuratedEnvironmentImages` answers with.
    pub fn platforms() -> Vec<Platform> {
        let mut platforms: Vec<Platform> = Vec::new();
        for entry in IMAGES.iter() {
            let platform = find_or_add(
                &mut platforms,
                |platform| platform.platform == entry.platform,
                || Platform {
                    platform: entry.platform.clone(),
                    languages: Vec::new(),
                },
            );
            let language = find_or_add(
                &mut platform.languages,
                |language| language.language == entry.language,
                || Language {
                    language: entry.language.clone(),
                    images: Vec::new(),
                },
            );
            language.images.push(CuratedImage {
                name: entry.name.clone(),
                description: entry.description.clone(),
                versions: vec![entry.name.clone()],
            });
        }
        platforms
    }
}

fn find_or_add<T>(
    items: &mut Vec<T>,
    is_it: impl Fn(&T) -> bool,
    make: impl FnOnce() -> T,
) -> &mut T {
    let index = items.iter().position(is_it).unwrap_or_else(|| {
        items.push(make());
        items.len() - 1
    });
    &mut items[index]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_its_candidates_and_an_operator_the_last_word() {
        let catalog = Catalog::new(BTreeMap::from([
            ("aws/codebuild/standard:8.0".to_owned(), "own:1".to_owned()),
            ("app".to_owned(), "registry.local/app:2".to_owned()),
        ]));
        for (image, expected) in [
            (
                "aws/codebuild/standard:7.0",
                &[
                    "public.ecr.aws/codebuild/standard:7.0",
                    "buildspec-agent/standard:latest",
                ][..],
            ),
            ("aws/codebuild/standard:8.0", &["own:1"]),
            (
                "aws/codebuild/standard:7.0-24.10.29",
                &["public.ecr.aws/codebuild/standard:7.0-24.10.29"],
            ),
            ("debian:12", &["debian:12"]),
            ("app", &["registry.local/app:2"]),
        ] {
            assert_eq!(catalog.candidates(image), expected, "{image}");
        }
    }

    #[test]
    fn the_curated_images_stand_in_a_tree() {
        let platforms = Catalog::platforms();
        let names: Vec<_> = platforms
            .iter()
            .map(|platform| platform.platform.as_str())
            .collect();
        assert_eq!(names, ["UBUNTU", "AMAZON_LINUX"]);
        let images: usize = platforms
            .iter()
            .flat_map(|platform| &platform.languages)
            .map(|language| language.images.len())
            .sum();
        assert_eq!(images, IMAGES.len());
        assert!(
            IMAGES
                .iter()
                .all(|entry| { Catalog::is_curated(&entry.name) && !entry.run.is_empty() })
        );
    }
}
