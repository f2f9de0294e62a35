//! From a project and the overrides of one build to its request.

use std::path::PathBuf;
use std::time::Duration;

use super::overrides::identifiers;
use super::{
    ArtifactDestination, ArtifactPackaging, ArtifactSettings, ArtifactsType, BuildId, BuildRequest,
    BuildspecChoice, EnvironmentVariable, ImagePullCredentialsType, Overrides, Placement, Project,
    ProjectSource, ProjectSourceVersion, SecondarySource, SourceLocation, SourceType,
};

/// Most secondary sources or artifacts of a build (service quotas).
const MOST_SECONDARY: usize = 12;

/// Build timeouts that CodeBuild accepts, in minutes (API, `BuildTimeOut`).
const TIMEOUT_MINUTES: std::ops::RangeInclusive<u32> = 5..=2160;

/// Times in the queue that CodeBuild accepts, in minutes (API, `TimeOut`).
const QUEUED_TIMEOUT_MINUTES: std::ops::RangeInclusive<u32> = 5..=480;

/// Why a build cannot be asked for like that; worded as CodeBuild's `InvalidInputException`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidInput(String);

impl InvalidInput {
    /// One for this reason.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

fn invalid(message: impl Into<String>) -> InvalidInput {
    InvalidInput::new(message)
}

/// A build that is being asked for.
#[derive(Debug)]
pub struct Start<'a> {
    /// Its project.
    pub project: &'a Project,
    /// What it shall do otherwise.
    pub overrides: &'a Overrides,
    /// Its identity.
    pub id: BuildId,
    /// Its number within the project, from 1.
    pub build_number: u64,
    /// Who asks for it.
    pub initiator: String,
    /// Region in its ARNs and of the AWS services it uses.
    pub region: String,
    /// Account in its ARNs.
    pub account: String,
    /// A directory of this machine that stands for the primary source, whatever the project says.
    pub directory: Option<PathBuf>,
    /// A directory of this machine that stands for the buckets of artifacts.
    pub artifact_directory: Option<ArtifactDirectory>,
}

/// A directory of this machine in which artifacts are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactDirectory {
    /// Its absolute path.
    pub root: PathBuf,
    /// How artifacts without settings are stored.
    pub packaging: ArtifactPackaging,
}

impl BuildRequest {
    /// Applies the overrides to the project, once and for all (API, `StartBuildInput`): a variable
    /// replaces the project's of the same name, everything else replaces the whole setting.
    #[expect(
        clippy::too_many_lines,
        reason = "one line or two a member, and nothing to follow"
    )]
    pub fn new(start: Start<'_>) -> Result<Self, InvalidInput> {
        let (project, overrides) = (start.project, start.overrides);
        let environment = &project.environment;
        let source = source(project, overrides);
        check_artifacts(project, overrides, &source)?;
        let artifacts = match start.artifact_directory {
            Some(directory) => artifacts_in_directory(project, overrides, directory),
            None => artifacts_in_buckets(project, overrides)?,
        };
        if start.directory.is_none() {
            check_source(&source)?;
        }
        let buildspec = source.buildspec.as_deref();
        let credentials = overrides
            .image_pull_credentials_type
            .or(environment.image_pull_credentials_type);
        let image = overrides
            .image
            .as_ref()
            .unwrap_or(&environment.image)
            .clone();
        check_image(&image, credentials)?;
        let environment_type = overrides
            .environment_type
            .unwrap_or(environment.environment_type);
        if !environment_type.is_linux_container() {
            return Err(invalid(
                "Invalid environment type: only containers on Linux can be run here",
            ));
        }
        let fleet = overrides.fleet.as_ref().or(environment.fleet.as_ref());
        Ok(Self {
            id: start.id,
            build_number: start.build_number,
            attempt: 1,
            initiator: start.initiator,
            region: start.region,
            account: start.account,
            buildspec: buildspec
                .and_then(BuildspecChoice::from_member)
                .unwrap_or_default(),
            source: match start.directory {
                Some(path) => SourceLocation::Directory {
                    path,
                    placement: Placement::Copy,
                },
                None => SourceLocation::Project(source),
            },
            source_version: over(
                overrides.source_version.as_ref(),
                project.source_version.as_ref(),
            ),
            secondary_sources: secondary_sources(project, overrides)?,
            patch: None,
            environment_type,
            image,
            compute_type: overrides.compute_type.or(environment.compute_type),
            compute_configuration: environment.compute_configuration.clone(),
            fleet: fleet.and_then(|fleet| fleet.fleet_arn.clone()),
            privileged_mode: overrides
                .privileged_mode
                .unwrap_or(environment.privileged_mode),
            docker_server: environment.docker_server.clone(),
            registry_credential: over(
                overrides.registry_credential.as_ref(),
                environment.registry_credential.as_ref(),
            ),
            image_pull_credentials_type: credentials,
            certificate: over(
                overrides.certificate.as_ref(),
                environment.certificate.as_ref(),
            ),
            masked_variables: Vec::new(),
            environment_variables: variables(project, overrides),
            timeout: minutes(
                "timeoutInMinutes",
                overrides
                    .timeout_in_minutes
                    .unwrap_or(project.timeout_in_minutes),
                TIMEOUT_MINUTES,
            )?,
            queued_timeout: minutes(
                "queuedTimeoutInMinutes",
                overrides
                    .queued_timeout_in_minutes
                    .unwrap_or(project.queued_timeout_in_minutes),
                QUEUED_TIMEOUT_MINUTES,
            )?,
            artifacts,
            cache: overrides
                .cache
                .clone()
                .unwrap_or_else(|| project.cache.clone()),
            logs: over(overrides.logs_config.as_ref(), project.logs_config.as_ref())
                .unwrap_or_default(),
            service_role: over(
                overrides.service_role.as_ref(),
                project.service_role.as_ref(),
            ),
            encryption_key: over(
                overrides.encryption_key.as_ref(),
                project.encryption_key.as_ref(),
            ),
            debug_session: overrides.debug_session_enabled.unwrap_or_default(),
            keep_on_failure: None,
            auto_retry_limit: overrides
                .auto_retry_limit
                .or(project.auto_retry_limit)
                .unwrap_or_default(),
            vpc_config: project.vpc_config.clone(),
            file_system_locations: project.file_system_locations.clone(),
            pipeline: None,
        })
    }
}

/// What is said nearer to the build.
fn over<T: Clone>(overridden: Option<&T>, of_project: Option<&T>) -> Option<T> {
    overridden.or(of_project).cloned()
}

fn minutes(
    name: &str,
    minutes: u32,
    allowed: std::ops::RangeInclusive<u32>,
) -> Result<Duration, InvalidInput> {
    if allowed.contains(&minutes) {
        return Ok(Duration::from_mins(minutes.into()));
    }
    Err(invalid(format!(
        "Invalid {name}: {minutes} is not between {} and {}",
        allowed.start(),
        allowed.end()
    )))
}

/// The effective primary source.
fn source(project: &Project, overrides: &Overrides) -> ProjectSource {
    let of_project = &project.source;
    ProjectSource {
        source_type: overrides.source_type.unwrap_or(of_project.source_type),
        location: over(
            overrides.source_location.as_ref(),
            of_project.location.as_ref(),
        ),
        git_clone_depth: overrides.git_clone_depth.or(of_project.git_clone_depth),
        git_submodules_config: overrides
            .git_submodules_config
            .or(of_project.git_submodules_config),
        buildspec: over(overrides.buildspec.as_ref(), of_project.buildspec.as_ref()),
        auth: over(overrides.source_auth.as_ref(), of_project.auth.as_ref()),
        report_build_status: overrides
            .report_build_status
            .or(of_project.report_build_status),
        build_status_config: over(
            overrides.build_status_config.as_ref(),
            of_project.build_status_config.as_ref(),
        ),
        insecure_ssl: overrides.insecure_ssl.or(of_project.insecure_ssl),
        source_identifier: None,
    }
}

/// What CodeBuild wants of a source (API, `ProjectSource`).
fn check_source(source: &ProjectSource) -> Result<(), InvalidInput> {
    let has_location = source.location.is_some();
    match source.source_type {
        SourceType::NoSource => {
            let buildspec = source.buildspec.as_deref();
            match buildspec.and_then(BuildspecChoice::from_member) {
                Some(BuildspecChoice::Path(_)) | None => Err(invalid(
                    "Invalid project source: buildspec must be inline or in S3 when source type is NO_SOURCE",
                )),
                Some(_) => Ok(()),
            }
        }
        SourceType::Codepipeline => Ok(()),
        _ if !has_location => Err(invalid("Project source location is required")),
        source_type
            if source.report_build_status == Some(true) && !source_type.shows_build_status() =>
        {
            Err(invalid(
                "Invalid input: reportBuildStatus is for sources on GitHub, GitLab and Bitbucket only",
            ))
        }
        _ => Ok(()),
    }
}

fn secondary_sources(
    project: &Project,
    overrides: &Overrides,
) -> Result<Vec<SecondarySource>, InvalidInput> {
    let sources = overrides.secondary_sources.as_ref();
    let sources = sources.unwrap_or(&project.secondary_sources);
    let versions = overrides.secondary_source_versions.as_ref();
    let versions = versions.unwrap_or(&project.secondary_source_versions);
    check_secondary(
        "secondary sources",
        sources
            .iter()
            .map(|source| source.source_identifier.as_deref()),
    )?;
    let named = |version: &&ProjectSourceVersion, source: &ProjectSource| {
        source.source_identifier.as_ref() == Some(&version.source_identifier)
    };
    if let Some(version) = versions
        .iter()
        .find(|version| !sources.iter().any(|source| named(version, source)))
    {
        return Err(invalid(format!(
            "Invalid secondary source version: there is no secondary source {}",
            version.source_identifier
        )));
    }
    let secondary = sources.iter().map(|source| {
        check_source(source)?;
        let version = versions.iter().find(|version| named(version, source));
        Ok(SecondarySource {
            identifier: source.source_identifier.clone().unwrap_or_default(),
            version: version.map(|version| version.source_version.clone()),
            location: SourceLocation::Project(source.clone()),
        })
    });
    secondary.collect()
}

/// The effective settings of the primary artifact and of the secondary ones.
fn artifact_settings<'a>(
    project: &'a Project,
    overrides: &'a Overrides,
) -> (&'a ArtifactSettings, &'a Vec<ArtifactSettings>) {
    let secondary = overrides.secondary_artifacts.as_ref();
    (
        overrides.artifacts.as_ref().unwrap_or(&project.artifacts),
        secondary.unwrap_or(&project.secondary_artifacts),
    )
}

fn check_artifacts(
    project: &Project,
    overrides: &Overrides,
    source: &ProjectSource,
) -> Result<(), InvalidInput> {
    let (primary, secondary) = artifact_settings(project, overrides);
    let is_pipeline = source.source_type == SourceType::Codepipeline;
    if is_pipeline != (primary.artifacts_type == ArtifactsType::Codepipeline) {
        return Err(invalid(
            "Invalid input: when using CodePipeline both sourceType, and artifactType must be set to: CODEPIPELINE",
        ));
    }
    check_secondary(
        "secondary artifacts",
        secondary
            .iter()
            .map(|settings| settings.artifact_identifier.as_deref()),
    )?;
    let mut secondary = secondary.iter();
    if secondary.any(|settings| settings.artifacts_type == ArtifactsType::Codepipeline) {
        return Err(invalid(
            "Invalid secondary artifacts: type CODEPIPELINE is not allowed",
        ));
    }
    Ok(())
}

/// A directory takes what the overrides and a project with buckets say of the layout. Whoever names
/// a directory wants artifacts, although the project has none.
fn artifacts_in_directory(
    project: &Project,
    overrides: &Overrides,
    directory: ArtifactDirectory,
) -> ArtifactDestination {
    let has_buckets = project.artifacts.artifacts_type != ArtifactsType::NoArtifacts;
    let secondary = overrides.secondary_artifacts.clone();
    let is_none = |settings: &ArtifactSettings| {
        settings.artifacts_type == ArtifactsType::NoArtifacts && secondary.is_none()
    };
    if overrides.artifacts.as_ref().is_some_and(is_none) {
        return ArtifactDestination::None;
    }
    ArtifactDestination::Directory {
        root: directory.root,
        packaging: directory.packaging,
        primary: overrides
            .artifacts
            .clone()
            .or_else(|| has_buckets.then(|| project.artifacts.clone())),
        secondary: secondary.or_else(|| has_buckets.then(|| project.secondary_artifacts.clone())),
    }
}

fn artifacts_in_buckets(
    project: &Project,
    overrides: &Overrides,
) -> Result<ArtifactDestination, InvalidInput> {
    let (primary, secondary) = artifact_settings(project, overrides);
    [primary]
        .into_iter()
        .chain(secondary)
        .try_for_each(check_artifact)?;
    if primary.artifacts_type == ArtifactsType::NoArtifacts && secondary.is_empty() {
        return Ok(ArtifactDestination::None);
    }
    Ok(ArtifactDestination::S3 {
        primary: primary.clone(),
        secondary: secondary.clone(),
    })
}

fn check_artifact(settings: &ArtifactSettings) -> Result<(), InvalidInput> {
    match settings.artifacts_type {
        ArtifactsType::NoArtifacts if !settings.location.is_empty() => Err(invalid(
            "Invalid artifacts: artifact type NO_ARTIFACTS should have null location",
        )),
        ArtifactsType::S3 if settings.location.is_empty() => Err(invalid(
            "Invalid artifacts: artifact type S3 should have a location",
        )),
        ArtifactsType::NoArtifacts if settings.encryption_disabled => Err(invalid(
            "Invalid artifacts: encryptionDisabled is for artifact type S3 only",
        )),
        _ => Ok(()),
    }
}

fn check_secondary<'a>(
    what: &str,
    found: impl ExactSizeIterator<Item = Option<&'a str>>,
) -> Result<(), InvalidInput> {
    if found.len() > MOST_SECONDARY {
        return Err(invalid(format!("Invalid {what}: at most 12 are allowed")));
    }
    identifiers(found).map_err(|reason| invalid(format!("Invalid input: {reason}")))
}

/// Curated images are pulled by CodeBuild itself (API, `imagePullCredentialsType`).
fn check_image(
    image: &str,
    credentials: Option<ImagePullCredentialsType>,
) -> Result<(), InvalidInput> {
    let is_curated = image.starts_with("aws/codebuild/");
    if is_curated && credentials == Some(ImagePullCredentialsType::ServiceRole) {
        return Err(invalid(
            "Invalid input: cannot use a CodeBuild curated image with imagePullCredentialsType SERVICE_ROLE",
        ));
    }
    Ok(())
}

/// The project's variables and the override's; one of the same name replaces the project's.
fn variables(project: &Project, overrides: &Overrides) -> Vec<EnvironmentVariable> {
    let overridden = overrides
        .environment_variables
        .as_deref()
        .unwrap_or_default();
    let is_replaced = |variable: &&EnvironmentVariable| {
        overridden.iter().any(|other| other.name == variable.name)
    };
    let of_project = project.environment.environment_variables.iter();
    let kept = of_project.filter(|variable| !is_replaced(variable));
    kept.chain(overridden).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project() -> Project {
        Project::parse(
            r#"{"projects": [{"name": "demo",
                "source": {"type": "GITHUB", "location": "https://github.com/o/r.git"},
                "artifacts": {"type": "S3", "location": "b", "path": "p"},
                "environment": {"type": "LINUX_CONTAINER", "image": "a:1", "computeType": "BUILD_GENERAL1_SMALL",
                    "environmentVariables": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
                "logsConfig": {"s3Logs": {"status": "ENABLED", "location": "b/l"}},
                "created": 1700000000.5, "lastModified": "2026-11-03T21:28:52+00:00",
                "badge": {"badgeEnabled": false}}], "projectsNotFound": []}"#,
        )
        .unwrap()
    }

    fn request(project: &Project, overrides: &str) -> Result<BuildRequest, InvalidInput> {
        BuildRequest::new(Start {
            project,
            overrides: &Overrides::parse(overrides).unwrap(),
            id: BuildId::new(project.name.clone()),
            build_number: 7,
            initiator: "ada".to_owned(),
            region: "eu-west-1".to_owned(),
            account: "123456789012".to_owned(),
            directory: None,
            artifact_directory: None,
        })
    }

    #[test]
    fn overrides_replace_settings_and_single_variables() {
        let request = request(
            &project(),
            r#"{"sourceVersion": "main", "imageOverride": "a:2", "timeoutInMinutesOverride": 30,
                "environmentVariablesOverride": [{"name": "B", "value": "3", "type": "PARAMETER_STORE"}, {"name": "C", "value": ""}],
                "logsConfigOverride": {"cloudWatchLogs": {"status": "DISABLED"}},
                "artifactsOverride": {"type": "S3", "location": "other"}}"#,
        )
        .unwrap();
        assert_eq!(request.image, "a:2");
        assert_eq!(request.timeout, Duration::from_mins(30));
        assert_eq!(request.source_version.as_deref(), Some("main"));
        let variables: Vec<_> = request
            .environment_variables
            .iter()
            .map(|variable| (variable.name.as_str(), format!("{:?}", variable.value)))
            .collect();
        let plain = "PLAINTEXT".to_owned();
        assert_eq!(
            variables,
            [
                ("A", plain.clone()),
                ("B", "PARAMETER_STORE".to_owned()),
                ("C", plain)
            ]
        );
        assert!(
            request.logs.s3().is_none(),
            "the whole of logsConfig is replaced"
        );
        assert!(request.logs.cloud_watch().is_none());
        let ArtifactDestination::S3 { primary, .. } = &request.artifacts else {
            panic!("{:?}", request.artifacts);
        };
        assert_eq!(
            (primary.location.as_str(), primary.path.as_str()),
            ("other", "")
        );
    }

    #[test]
    fn a_request_can_be_stored_and_read_back() {
        let request = request(
            &project(),
            r#"{"serviceRoleOverride": "arn:aws:iam::1:role/r"}"#,
        )
        .unwrap();
        let stored = serde_json::to_string(&request).unwrap();
        assert_eq!(
            serde_json::from_str::<BuildRequest>(&stored).unwrap(),
            request
        );
    }

    #[test]
    fn the_api_shows_what_is_effective() {
        let overrides = r#"{"sourceVersion": "main", "debugSessionEnabled": true,
            "artifactsOverride": {"type": "S3", "location": "b", "namespaceType": "BUILD_ID", "packaging": "ZIP", "name": "n.zip"}}"#;
        let request = request(&project(), overrides).unwrap();
        let shown = serde_json::to_value(request.effective()).unwrap();
        let (id, uuid) = (&request.id, request.id.uuid);
        for (pointer, expected) in [
            (
                "/arn",
                format!("arn:aws:codebuild:eu-west-1:123456789012:build/{id}"),
            ),
            (
                "/artifacts/location",
                format!("arn:aws:s3:::b/{uuid}/n.zip"),
            ),
            ("/source/type", "GITHUB".to_owned()),
            ("/sourceVersion", "main".to_owned()),
            (
                "/environment/computeType",
                "BUILD_GENERAL1_SMALL".to_owned(),
            ),
            (
                "/encryptionKey",
                "arn:aws:kms:eu-west-1:123456789012:alias/aws/s3".to_owned(),
            ),
            ("/debugSession/sessionTarget", format!("codebuild:{uuid}")),
        ] {
            assert_eq!(shown.pointer(pointer).unwrap(), &expected, "{pointer}");
        }
    }

    #[test]
    fn a_project_reads_back_what_it_writes() {
        let project = project();
        let written = serde_json::to_string(&project).unwrap();
        assert_eq!(Project::parse(&written).unwrap(), project);
        assert!(written.contains(r#""created":1700000000.5"#), "{written}");
    }

    #[test]
    fn what_code_build_would_refuse_is_refused() {
        let project = project();
        for (overrides, part) in [
            (
                r#"{"timeoutInMinutesOverride": 4}"#,
                "Invalid timeoutInMinutes: 4 is not between 5 and 2160",
            ),
            (
                r#"{"queuedTimeoutInMinutesOverride": 481}"#,
                "queuedTimeoutInMinutes",
            ),
            (
                r#"{"sourceTypeOverride": "NO_SOURCE"}"#,
                "buildspec must be inline",
            ),
            (
                r#"{"sourceTypeOverride": "CODEPIPELINE"}"#,
                "both sourceType, and artifactType",
            ),
            (
                r#"{"sourceTypeOverride": "S3", "reportBuildStatusOverride": true}"#,
                "reportBuildStatus",
            ),
            (
                r#"{"artifactsOverride": {"type": "NO_ARTIFACTS", "location": "b"}}"#,
                "should have null location",
            ),
            (
                r#"{"artifactsOverride": {"type": "S3"}}"#,
                "should have a location",
            ),
            (
                r#"{"secondaryArtifactsOverride": [{"type": "S3", "location": "b"}]}"#,
                "has to have an identifier",
            ),
            (
                r#"{"secondaryArtifactsOverride": [{"type": "S3", "location": "b", "artifactIdentifier": "a"},
                    {"type": "S3", "location": "b", "artifactIdentifier": "a"}]}"#,
                "`a` stands there twice",
            ),
            (
                r#"{"secondarySourcesOverride": [{"type": "S3", "location": "b/k", "sourceIdentifier": "a-b"}]}"#,
                "only alphanumeric",
            ),
            (
                r#"{"secondarySourcesVersionOverride": [{"sourceIdentifier": "x", "sourceVersion": "1"}]}"#,
                "no secondary source x",
            ),
            (
                r#"{"imageOverride": "aws/codebuild/standard:7.0", "imagePullCredentialsTypeOverride": "SERVICE_ROLE"}"#,
                "curated image",
            ),
            (
                r#"{"environmentTypeOverride": "WINDOWS_SERVER_2022_CONTAINER"}"#,
                "only containers on Linux",
            ),
        ] {
            let error = request(&project, overrides).unwrap_err().to_string();
            assert!(error.contains(part), "{overrides}: {error}");
        }
    }
}
