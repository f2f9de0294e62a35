//! The sources, fetched into their places.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use executor::protocol::{GitCredential, Secret};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use secrecy::ExposeSecret;
use tokio_util::sync::CancellationToken;

use super::checkout::{Checkout, Source};
use super::{Abort, Tools, pipeline, session, source_credential};
use crate::config::process_environment;
use crate::data_directory::{BuildDirectory, DirectoryError};
use crate::model::{BuildRequest, PhaseContext, ProjectSource, SourceLocation, SourceType};
use crate::pipeline::PipelineError;
use crate::source::certificates::{Certificates, CertificatesError};
use crate::source::git::{
    Depth, GitSources, GitVersion, Mirrors, Repository, RepositoryUrl, Transport,
};
use crate::source::s3::S3Source;
use crate::source::{
    self, Credential, CredentialKind, Refusal, SourceError, SourceFailure, codecommit,
};

/// How much of a `.gitattributes` is looked at, in bytes.
const ATTRIBUTES_LIMIT_BYTES: u64 = 64 * 1024;

/// What fetching has found out.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    /// The commit of the primary source, if it is a repository.
    pub(super) resolved_version: Option<String>,
    /// What opens the repositories, for a build that asks for it.
    pub(super) git_credentials: Vec<GitCredential>,
    /// The hosts of repositories that the project's certificate vouches for: protocol, name and port.
    pub(super) vouched_for: Vec<String>,
    /// What the author may want to know about the sources.
    pub(super) hints: Vec<String>,
}

/// What all sources are fetched with.
#[derive(Clone, Copy)]
struct Fetching<'a> {
    request: &'a BuildRequest,
    tools: &'a Tools,
    /// What hosts are trusted by, where the project says so.
    certificates: Option<&'a Path>,
    stop: &'a CancellationToken,
}

/// Puts the sources into their places, all at the same time.
pub(super) async fn sources(
    request: &BuildRequest,
    directory: &BuildDirectory,
    checkout: &Checkout,
    tools: &Tools,
    stop: &CancellationToken,
) -> Result<Fetched, Abort> {
    let stop = stop.child_token();
    let certificates = stop.run_until_cancelled(Box::pin(certificates(request, directory, tools)));
    let certificates = certificates.await.unwrap_or(Err(Abort::Stopped))?;
    let fetching = Fetching {
        request,
        tools,
        certificates: certificates.as_deref(),
        stop: &stop,
    };
    let sources: Vec<_> = checkout.to_fetch().collect();
    let fetched: Vec<BoxFuture<'_, _>> = sources
        .iter()
        .map(|(_, source)| fetching.fetch_or_stop(source).boxed())
        .collect();
    let mut all = Fetched::default();
    let mut stopped = false;
    for ((is_primary, _), fetched) in sources.iter().zip(join_all(fetched).await) {
        match fetched {
            Ok(fetched) => {
                all.git_credentials.extend(fetched.git_credentials);
                all.vouched_for.extend(fetched.vouched_for);
                all.hints.extend(fetched.hints);
                all.resolved_version = all
                    .resolved_version
                    .or(fetched.resolved_version.filter(|_| *is_primary));
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

/// Puts the project's certificate, with those that this machine trusts, where git on this machine and in the
/// build finds it (API, `ProjectEnvironment`, member `certificate`); `None` where the project has none.
async fn certificates(
    request: &BuildRequest,
    directory: &BuildDirectory,
    tools: &Tools,
) -> Result<Option<PathBuf>, Abort> {
    let location = request.certificate.as_deref();
    let Some(location) = location.filter(|location| !location.is_empty()) else {
        return Ok(None);
    };
    let client = session(request, tools).s3().await;
    let certificates = match Certificates::fetch(&client, location).await {
        Ok(certificates) => certificates,
        Err(error @ CertificatesError::Unreachable { .. }) => return Err(error.into()),
        Err(error) => {
            return Err(Abort::Failed {
                context: PhaseContext::new("CLIENT_ERROR", error.to_string()),
                cause: Some(error.into()),
            });
        }
    };
    let path = directory.certificates();
    let text = certificates.with_those_of_this_machine();
    tokio::fs::write(&path, text)
        .await
        .map_err(DirectoryError::new("write", &path))?;
    Ok(Some(path))
}

impl Fetching<'_> {
    /// Fetches one source. If that fails, the build is over: the others need not go on.
    async fn fetch_or_stop(self, source: &Source) -> Result<Fetched, Abort> {
        let fetched = self.fetch(source).await;
        if fetched.is_err() {
            self.stop.cancel();
        }
        fetched
    }

    async fn fetch(self, source: &Source) -> Result<Fetched, Abort> {
        let fetched = match &source.location {
            SourceLocation::Directory { path, .. } => {
                let copied = source::fetch_directory(path, &source.on_host, self.stop).await;
                copied.map(|()| Fetched::default())
            }
            SourceLocation::Project(settings) if settings.source_type.is_git() => {
                self.git(source, settings).await
            }
            SourceLocation::Project(settings) => match settings.source_type {
                SourceType::NoSource => Ok(Fetched::default()),
                SourceType::S3 => self.s3(source, settings).await,
                _ => self.pipeline(source).await,
            },
        };
        fetched.map_err(|error| match error {
            SourceError::Stopped => Abort::Stopped,
            SourceError::Refused(refusal) => Abort::Source(Box::new(failure(refusal, source))),
            error => error.into(),
        })
    }

    async fn s3(self, source: &Source, settings: &ProjectSource) -> Result<Fetched, SourceError> {
        let location = settings.location.as_deref().unwrap_or_default();
        let limit_bytes = self.tools.config.sources.limit_gib << 30;
        let object = S3Source::parse(location, source.version.clone(), limit_bytes);
        let object = object.ok_or_else(|| {
            refused(format!(
                "the location {location:?} is not bucket/key.zip or bucket/folder/"
            ))
        })?;
        let client = session(self.request, self.tools).s3().await;
        object
            .fetch(&client, &source.scratch, &source.on_host, self.stop)
            .await?;
        Ok(Fetched::default())
    }

    /// An input artifact of the pipeline's job whose work the build is.
    async fn pipeline(self, source: &Source) -> Result<Fetched, SourceError> {
        let Self { request, tools, .. } = self;
        let input = pipeline::input(request, source.identifier.as_deref());
        let (job, input) = input.ok_or_else(|| {
            refused("a source of type CODEPIPELINE comes with a job of CodePipeline, and this build was not started by one")
        })?;
        let session = pipeline::session(job, tools.aws.agent(), self.stop).await;
        let session = match session.ok_or(SourceError::Stopped)? {
            Ok(session) => session,
            Err(error @ PipelineError::Over(_)) => return Err(refused(error.to_string())),
            Err(error) => {
                return Err(SourceError::Aws(format!(
                    "cannot get credentials for the artifacts of the pipeline: {error}"
                )));
            }
        };
        let object = S3Source {
            bucket: input.bucket.clone(),
            key: input.key.clone(),
            version: None,
            limit_bytes: tools.config.sources.limit_gib << 30,
        };
        let client = session.s3().await;
        object
            .fetch(&client, &source.scratch, &source.on_host, self.stop)
            .await?;
        Ok(Fetched {
            resolved_version: input.revision.clone(),
            ..Fetched::default()
        })
    }

    async fn git(self, source: &Source, settings: &ProjectSource) -> Result<Fetched, SourceError> {
        let Self { request, tools, .. } = self;
        let location = settings.location.as_deref().unwrap_or_default();
        let location = codecommit::https_address(location, &request.region);
        let (url, user) =
            RepositoryUrl::parse(&location).map_err(|error| refused(error.to_string()))?;
        if user.is_some_and(|user| !user.password.is_empty()) {
            return Err(refused(
                "the repository's address holds a password: store it as a source credential",
            ));
        }
        let version = GitVersion::parse(source.version.as_deref().unwrap_or_default())
            .map_err(|_| SourceError::Refused(Refusal::ReferenceNotFound))?;
        let credential =
            source_credential::find(request, settings, &url, tools.credential_access()).await?;
        let git_credentials = for_the_build(&url, credential.as_ref());
        let insecure_ssl = settings.insecure_ssl == Some(true);
        let certificates = self.certificates.filter(|_| !insecure_ssl);
        let is_vouched_for = certificates.is_some() && url.transport() == Transport::Https;
        let vouched_for = is_vouched_for.then(|| url.origin()).into_iter().collect();
        let repository = Repository {
            url,
            version,
            depth: Depth::from_member(settings.git_clone_depth),
            submodules: settings
                .git_submodules_config
                .is_some_and(|config| config.fetch_submodules),
            insecure_ssl,
            certificates: certificates.map(Path::to_owned),
            credential,
        };
        let sources = GitSources {
            mirrors: Mirrors::new(tools.data.sources()),
            lookup: process_environment,
            limit_bytes: tools.config.sources.limit_gib << 30,
            mirrors_limit_bytes: tools
                .config
                .sources
                .mirrors_limit_gib
                .saturating_mul(1 << 30),
            limit: request.timeout,
        };
        let commit = sources
            .fetch(&repository, &source.on_host, self.stop)
            .await?;
        Ok(Fetched {
            resolved_version: Some(commit),
            git_credentials,
            vouched_for,
            hints: of_large_files(source).into_iter().collect(),
        })
    }
}

/// What has to be said of a repository whose large files Git LFS keeps elsewhere. Like CodeBuild, this program
/// fetches none: the build does, with what it has of credentials.
fn of_large_files(source: &Source) -> Option<String> {
    let attributes = source.on_host.join(".gitattributes");
    // The repository is a stranger's: a link would lead to a file of this machine.
    let is_file = fs::symlink_metadata(&attributes).is_ok_and(|metadata| metadata.is_file());
    if !is_file {
        return None;
    }
    let mut text = Vec::new();
    let file = File::open(&attributes).ok()?;
    file.take(ATTRIBUTES_LIMIT_BYTES)
        .read_to_end(&mut text)
        .ok()?;
    String::from_utf8_lossy(&text).contains("filter=lfs").then(|| {
        format!(
            "Files of the {} that Git LFS keeps are pointers; `git lfs pull` fetches them, with `git-credential-helper: yes` in the buildspec where they are not for everybody",
            name_of(source)
        )
    })
}

/// The login that opens a repository, as git in the build asks for it.
fn for_the_build(url: &RepositoryUrl, credential: Option<&Credential>) -> Vec<GitCredential> {
    let Some(CredentialKind::Login { username, password }) =
        credential.map(|credential| &credential.kind)
    else {
        return Vec::new();
    };
    let (protocol, _) = url.as_str().split_once("://").unwrap_or_default();
    vec![GitCredential {
        protocol: protocol.to_owned(),
        host: url.host().to_owned(),
        path: url.path().to_owned(),
        username: username.clone(),
        password: Secret::new(password.expose_secret()),
    }]
}

fn refused(text: impl Into<String>) -> SourceError {
    SourceError::Refused(Refusal::Other(text.into()))
}

fn failure(refusal: Refusal, source: &Source) -> SourceFailure {
    SourceFailure {
        refusal,
        source_name: name_of(source),
        version: source.version.clone(),
    }
}

fn name_of(source: &Source) -> String {
    match &source.identifier {
        None => "primary source".to_owned(),
        Some(identifier) => format!("secondary source {identifier}"),
    }
}
