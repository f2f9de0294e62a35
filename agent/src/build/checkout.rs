//! Where the sources lie, on the host and in the container.

use std::fs;
use std::path::{Path, PathBuf};

use crate::data_directory::{BuildDirectory, DirectoryError};
use crate::docker::Mount;
use crate::model::{BuildRequest, Placement, SourceLocation, SourceType};
use crate::source::git::RepositoryUrl;
use crate::source::{self, Origin, Placed, codecommit};

/// The places of the sources.
#[derive(Debug)]
pub(super) struct Checkout {
    primary: Source,
    placement: Placement,
    secondary: Vec<Source>,
    /// Region of addresses that name none.
    region: String,
}

/// A source and its place.
#[derive(Debug)]
pub(super) struct Source {
    /// Identifier of a secondary source.
    pub(super) identifier: Option<String>,
    /// Where it comes from.
    pub(super) location: SourceLocation,
    /// Which version of it.
    pub(super) version: Option<String>,
    /// Its directory on this machine.
    pub(super) on_host: PathBuf,
    in_container: String,
    /// A path for what is downloaded and unpacked.
    pub(super) scratch: PathBuf,
}

/// A further source as the build sees it.
#[derive(Debug)]
pub(super) struct SecondarySource<'a> {
    /// Its identifier.
    pub(super) identifier: &'a str,
    /// `CODEBUILD_SRC_DIR_<identifier>`.
    pub(super) in_container: &'a str,
    /// `CODEBUILD_SOURCE_REPO_URL_<identifier>`.
    pub(super) repository_url: String,
    /// `CODEBUILD_SOURCE_VERSION_<identifier>`.
    pub(super) version: &'a str,
}

impl Checkout {
    /// Chooses the places: below `/codebuild/output/src<digits>` in the container, with other digits
    /// for every build.
    pub(super) fn choose(
        request: &BuildRequest,
        directory: &BuildDirectory,
    ) -> Result<Self, DirectoryError> {
        let digits = request.id.uuid.as_fields().0;
        let mut sources = vec![(None, &request.source, &request.source_version)];
        sources.extend(request.secondary_sources.iter().map(|source| {
            let identifier = Some(source.identifier.clone());
            (identifier, &source.location, &source.version)
        }));
        let urls: Vec<_> = sources
            .iter()
            .map(|(_, location, _)| repository(location, &request.region))
            .collect();
        let placed: Vec<_> = sources
            .iter()
            .zip(&urls)
            .map(|((identifier, location, _), url)| Placed {
                identifier: identifier.as_deref(),
                origin: origin(location, url.as_ref()),
            })
            .collect();
        let directories = source::layout::directories(&placed).into_iter();
        let placed = sources.into_iter().zip(directories).enumerate();
        let mut sources = placed.map(|(index, (source, place))| {
            let (identifier, location, version) = source;
            let relative = format!("src{digits}/{place}");
            Source {
                identifier,
                location: location.clone(),
                version: version.clone().filter(|version| !version.is_empty()),
                on_host: directory.output().join(&relative),
                in_container: format!("/codebuild/output/{relative}"),
                scratch: directory.path().join(format!("download-{index}")),
            }
        });
        let Some(mut primary) = sources.next() else {
            unreachable!("the primary source stands first");
        };
        let secondary: Vec<_> = sources.collect();
        for source in std::iter::once(&primary).chain(&secondary) {
            fs::create_dir_all(&source.on_host)
                .map_err(DirectoryError::new("create directory", &source.on_host))?;
        }
        let mut placement = Placement::Copy;
        if let SourceLocation::Directory {
            path,
            placement: Placement::InPlace,
        } = &request.source
        {
            primary.on_host.clone_from(path);
            placement = Placement::InPlace;
        }
        Ok(Self {
            primary,
            placement,
            secondary,
            region: request.region.clone(),
        })
    }

    /// `CODEBUILD_SRC_DIR`.
    pub(super) fn in_container(&self) -> &str {
        &self.primary.in_container
    }

    /// The further sources.
    pub(super) fn secondary(&self) -> impl Iterator<Item = SecondarySource<'_>> {
        self.secondary.iter().map(|source| SecondarySource {
            identifier: source.identifier.as_deref().unwrap_or_default(),
            in_container: &source.in_container,
            repository_url: repository_url(&source.location, &self.region),
            version: source.version.as_deref().unwrap_or_default(),
        })
    }

    /// What the log of CodeBuild calls a primary source for which it waits longer; none for the types
    /// of which no log is known.
    pub(super) fn slow_source(&self) -> Option<&'static str> {
        match &self.primary.location {
            SourceLocation::Directory { .. } => None,
            SourceLocation::Project(source) => match source.source_type {
                SourceType::S3 => Some("S3 source"),
                SourceType::Github | SourceType::GithubEnterprise => {
                    Some("Github and GitHub Enterprise sources")
                }
                _ => None,
            },
        }
    }

    /// The source directory on this machine.
    pub(super) fn on_host(&self) -> &Path {
        &self.primary.on_host
    }

    /// The sources that have to be fetched, each with whether it is the primary one.
    pub(super) fn to_fetch(&self) -> impl Iterator<Item = (bool, &Source)> {
        let primary = (self.placement != Placement::InPlace).then_some((true, &self.primary));
        primary
            .into_iter()
            .chain(self.secondary.iter().map(|source| (false, source)))
    }

    /// The mount a source outside the workspace needs.
    pub(super) fn mount(&self) -> Option<Mount> {
        (self.placement == Placement::InPlace).then(|| Mount {
            source: self.primary.on_host.clone(),
            target: self.primary.in_container.clone(),
            read_only: false,
        })
    }
}

/// `CODEBUILD_SOURCE_REPO_URL` of a source: the address of a repository without credentials, or
/// `s3://bucket/key`.
pub(super) fn repository_url(location: &SourceLocation, region: &str) -> String {
    match (location, repository(location, region)) {
        (_, Some(url)) => url.to_string(),
        (SourceLocation::Project(source), None) if source.source_type == SourceType::S3 => {
            format!("s3://{}", source.location.as_deref().unwrap_or_default())
        }
        _ => String::new(),
    }
}

/// The repository that a source is; `None` for everything else, and for an address that is not valid.
fn repository(location: &SourceLocation, region: &str) -> Option<RepositoryUrl> {
    match location {
        SourceLocation::Project(source) if source.source_type.is_git() => {
            let location = codecommit::https_address(source.location.as_deref()?, region);
            RepositoryUrl::parse(&location).ok().map(|(url, _)| url)
        }
        _ => None,
    }
}

fn origin<'a>(location: &SourceLocation, url: Option<&'a RepositoryUrl>) -> Origin<'a> {
    match (location, url) {
        (SourceLocation::Directory { .. }, _) => Origin::Directory,
        (SourceLocation::Project(_), Some(url)) => Origin::Git(url),
        (SourceLocation::Project(source), None) => match source.source_type {
            SourceType::S3 | SourceType::Codepipeline => Origin::S3,
            _ => Origin::Nothing,
        },
    }
}
