//! Where the sources lie, on the host and in the container, and how they get there.

use std::fs;
use std::path::{Path, PathBuf};

use executor::protocol::{GitCredential, Secret};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use secrecy::ExposeSecret;
use tokio_util::sync::CancellationToken;

use super::{Abort, Tools, session, source_credential};
use crate::config::process_environment;
use crate::data_directory::{BuildDirectory, DirectoryError};
use crate::docker::Mount;
use crate::model::{BuildRequest, Placement, ProjectSource, SourceLocation, SourceType};
use crate::source::git::{Depth, GitSources, GitVersion, Mirrors, Repository, RepositoryUrl};
use crate::source::s3::S3Source;
use crate::source::{
    self, CredentialKind, Origin, Placed, Refusal, SourceError, SourceFailure, codecommit,
};

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
struct Source {
    /// Identifier of a secondary source.
    identifier: Option<String>,
    location: SourceLocation,
    version: Option<String>,
    on_host: PathBuf,
    in_container: String,
    /// A path for what is downloaded and unpacked.
    scratch: PathBuf,
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

/// What fetching has found out.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    /// The commit of the primary source, if it is a repository.
    pub(super) resolved_version: Option<String>,
    /// What opens the repositories, for a build that asks for it.
    pub(super) git_credentials: Vec<GitCredential>,
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

/// Puts the sources into their places, all at the same time.
pub(super) async fn fetch(
    request: &BuildRequest,
    checkout: &Checkout,
    tools: &Tools,
    stop: &CancellationToken,
) -> Result<Fetched, Abort> {
    if request.certificate.is_some() {
        return Err(Abort::failed(
            "CLIENT_ERROR",
            "certificate is not supported yet: let the machine and the build image trust it, and take it out of the project",
        ));
    }
    let stop = stop.child_token();
    let sources = std::iter::once(&checkout.primary).chain(&checkout.secondary);
    let sources = sources.skip(usize::from(checkout.placement == Placement::InPlace));
    let fetching: Vec<BoxFuture<'_, _>> = sources
        .map(|source| fetch_or_stop(request, source, tools, &stop).boxed())
        .collect();
    let mut all = Fetched::default();
    let mut stopped = false;
    for (index, fetched) in join_all(fetching).await.into_iter().enumerate() {
        match fetched {
            Ok(fetched) => {
                all.git_credentials.extend(fetched.git_credentials);
                all.resolved_version = all
                    .resolved_version
                    .or(fetched.resolved_version.filter(|_| index == 0));
            }
            Err(Abort::Stopped) => stopped = true,
            Err(abort) => return Err(abort),
        }
    }
    if stopped {
        Err(Abort::Stopped)
    } else {
        Ok(all)
    }
}

/// Fetches one source. If that fails, the build is over: the others need not go on.
async fn fetch_or_stop(
    request: &BuildRequest,
    source: &Source,
    tools: &Tools,
    stop: &CancellationToken,
) -> Result<Fetched, Abort> {
    let fetched = fetch_one(request, source, tools, stop).await;
    if fetched.is_err() {
        stop.cancel();
    }
    fetched
}

async fn fetch_one(
    request: &BuildRequest,
    source: &Source,
    tools: &Tools,
    stop: &CancellationToken,
) -> Result<Fetched, Abort> {
    let fetched = match &source.location {
        SourceLocation::Directory { path, .. } => {
            let copied = source::fetch_directory(path, &source.on_host, stop).await;
            copied.map(|()| Fetched::default())
        }
        SourceLocation::Project(settings) if settings.source_type.is_git() => {
            git(request, source, settings, tools, stop).await
        }
        SourceLocation::Project(settings) => match settings.source_type {
            SourceType::NoSource => Ok(Fetched::default()),
            SourceType::S3 => s3(request, source, settings, tools, stop).await,
            _ => Err(SourceError::Refused(Refusal::Other(
                "sources of this type are not supported yet".to_owned(),
            ))),
        },
    };
    fetched.map_err(|error| match error {
        SourceError::Stopped => Abort::Stopped,
        SourceError::Refused(refusal) => Abort::Source(Box::new(failure(refusal, source))),
        error => error.into(),
    })
}

fn failure(refusal: Refusal, source: &Source) -> SourceFailure {
    SourceFailure {
        refusal,
        source_name: match &source.identifier {
            None => "primary source".to_owned(),
            Some(identifier) => format!("secondary source {identifier}"),
        },
        version: source.version.clone(),
    }
}

async fn s3(
    request: &BuildRequest,
    source: &Source,
    settings: &ProjectSource,
    tools: &Tools,
    stop: &CancellationToken,
) -> Result<Fetched, SourceError> {
    let location = settings.location.as_deref().unwrap_or_default();
    let limit_bytes = tools.config.sources.limit_gib << 30;
    let object = S3Source::parse(location, source.version.clone(), limit_bytes);
    let object = object.ok_or_else(|| {
        SourceError::Refused(Refusal::Other(format!(
            "the location {location:?} is not bucket/key.zip or bucket/folder/"
        )))
    })?;
    let client = session(request, tools).s3().await;
    object
        .fetch(&client, &source.scratch, &source.on_host, stop)
        .await?;
    Ok(Fetched::default())
}

async fn git(
    request: &BuildRequest,
    source: &Source,
    settings: &ProjectSource,
    tools: &Tools,
    stop: &CancellationToken,
) -> Result<Fetched, SourceError> {
    let other = |text: String| SourceError::Refused(Refusal::Other(text));
    let location = settings.location.as_deref().unwrap_or_default();
    let location = codecommit::https_address(location, &request.region);
    let (url, user) = RepositoryUrl::parse(&location).map_err(|error| other(error.to_string()))?;
    if user.is_some_and(|user| !user.password.is_empty()) {
        return Err(other(
            "the repository's address holds a password: store it as a source credential".to_owned(),
        ));
    }
    let version = GitVersion::parse(source.version.as_deref().unwrap_or_default())
        .map_err(|_| SourceError::Refused(Refusal::ReferenceNotFound))?;
    let credential = source_credential::find(request, settings, &url, tools).await?;
    let git_credentials = match credential.as_ref().map(|credential| &credential.kind) {
        Some(CredentialKind::Login { username, password }) => {
            let (protocol, _) = url.as_str().split_once("://").unwrap_or_default();
            vec![GitCredential {
                protocol: protocol.to_owned(),
                host: url.host().to_owned(),
                path: url.path().to_owned(),
                username: username.clone(),
                password: Secret::new(password.expose_secret()),
            }]
        }
        _ => Vec::new(),
    };
    let repository = Repository {
        url,
        version,
        depth: Depth::from_member(settings.git_clone_depth),
        submodules: settings
            .git_submodules_config
            .is_some_and(|config| config.fetch_submodules),
        insecure_ssl: settings.insecure_ssl == Some(true),
        credential,
    };
    let sources = GitSources {
        mirrors: Mirrors::new(tools.data.sources()),
        lookup: process_environment,
        limit_bytes: tools.config.sources.limit_gib << 30,
        mirrors_limit_bytes: tools.config.sources.mirrors_limit_gib << 30,
        limit: request.timeout,
    };
    let commit = sources.fetch(&repository, &source.on_host, stop).await?;
    Ok(Fetched {
        resolved_version: Some(commit),
        git_credentials,
    })
}
