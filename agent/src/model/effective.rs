//! What the API shows of a build before anything of it has happened (API, `Build`).

use serde::Serialize;
use serde_json::Value;

use super::{
    ArtifactDestination, ArtifactSettings, ArtifactsType, BucketOwnerAccess, BuildId, BuildRequest,
    ComputeType, KeyParts, ProjectCache, ProjectEnvironment, ProjectFleet, ProjectSource,
    ProjectSourceVersion, SourceLocation, SourceType,
};

/// The members of the API's `Build` that the request decides; those of what has happened so far come
/// from [`Build`](super::Build). Serialises in the API's form.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the API reference says it: Build")]
pub struct EffectiveBuild {
    pub id: BuildId,
    pub arn: String,
    pub build_number: u64,
    pub project_name: String,
    pub initiator: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_version: Option<String>,
    pub source: ProjectSource,
    pub secondary_sources: Vec<ProjectSource>,
    pub secondary_source_versions: Vec<ProjectSourceVersion>,
    pub artifacts: BuildArtifacts,
    pub secondary_artifacts: Vec<BuildArtifacts>,
    pub cache: ProjectCache,
    pub environment: ProjectEnvironment,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_role: Option<String>,
    pub timeout_in_minutes: u64,
    pub queued_timeout_in_minutes: u64,
    pub encryption_key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpc_config: Option<Value>,
    pub file_system_locations: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debug_session: Option<DebugSession>,
}

/// API, `BuildArtifacts`. The sums of an archive are known once it is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildArtifacts {
    /// ARN of the archive or of what all keys begin with; empty if nothing is stored.
    pub location: String,
    /// Whether the buildspec's name replaces that of the settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub override_artifact_name: Option<bool>,
    /// Whether it is stored without encryption.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption_disabled: Option<bool>,
    /// Identifier of a secondary artifact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_identifier: Option<String>,
    /// What the owner of a bucket in another account may do with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket_owner_access: Option<BucketOwnerAccess>,
    /// SHA-256 of a stored archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256sum: Option<String>,
    /// MD5 of a stored archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub md5sum: Option<String>,
}

/// API, `DebugSession`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DebugSession {
    /// Whether breakpoints hold the build.
    pub session_enabled: bool,
    /// What `attach` takes.
    pub session_target: String,
}

impl BuildRequest {
    /// ARN of a thing of the build's account and region.
    pub fn arn(&self, resource: &str) -> String {
        let (region, account) = (&self.region, &self.account);
        format!("arn:aws:codebuild:{region}:{account}:{resource}")
    }

    /// The key that encrypts artifacts: the request's, or AWS's own for S3.
    pub fn effective_encryption_key(&self) -> String {
        let (region, account) = (&self.region, &self.account);
        self.encryption_key
            .clone()
            .unwrap_or_else(|| format!("arn:aws:kms:{region}:{account}:alias/aws/s3"))
    }

    /// Names of the log group and the log stream (user guide, "Build project logs").
    pub fn log_stream(&self) -> (String, String) {
        let settings = self.logs.cloud_watch_logs.as_ref();
        let group = settings.and_then(|settings| settings.group_name.clone());
        let prefix = settings.and_then(|settings| settings.stream_name.clone());
        let uuid = self.id.uuid;
        (
            group.unwrap_or_else(|| format!("/aws/codebuild/{}", self.id.project)),
            prefix.map_or_else(|| uuid.to_string(), |prefix| format!("{prefix}/{uuid}")),
        )
    }

    /// What the API shows of the build because it was asked for like this.
    pub fn effective(&self) -> EffectiveBuild {
        let (artifacts, secondary_artifacts) = self.build_artifacts();
        let secondary = self.secondary_sources.iter();
        let versions = secondary.clone().filter_map(|source| {
            Some(ProjectSourceVersion {
                source_identifier: source.identifier.clone(),
                source_version: source.version.clone()?,
            })
        });
        EffectiveBuild {
            id: self.id.clone(),
            arn: self.arn(&format!("build/{}", self.id)),
            build_number: self.build_number,
            project_name: self.id.project.to_string(),
            initiator: self.initiator.clone(),
            source_version: self.source_version.clone(),
            source: shown_source(&self.source, None),
            secondary_source_versions: versions.collect(),
            secondary_sources: secondary
                .map(|source| shown_source(&source.location, Some(&source.identifier)))
                .collect(),
            artifacts,
            secondary_artifacts,
            cache: self.cache.clone(),
            environment: self.shown_environment(),
            service_role: self.service_role.clone(),
            timeout_in_minutes: self.timeout.as_secs() / 60,
            queued_timeout_in_minutes: self.queued_timeout.as_secs() / 60,
            encryption_key: self.effective_encryption_key(),
            vpc_config: self.vpc_config.clone(),
            file_system_locations: self.file_system_locations.clone(),
            debug_session: self.debug_session.then(|| DebugSession {
                session_enabled: true,
                session_target: format!("codebuild:{}", self.id.uuid),
            }),
        }
    }

    fn shown_environment(&self) -> ProjectEnvironment {
        ProjectEnvironment {
            environment_type: self.environment_type,
            image: self.image.clone(),
            compute_type: self.compute_type.or(Some(ComputeType::Small)),
            compute_configuration: self.compute_configuration.clone(),
            fleet: self.fleet.clone().map(|arn| ProjectFleet {
                fleet_arn: Some(arn),
            }),
            environment_variables: self.environment_variables.clone(),
            privileged_mode: self.privileged_mode,
            certificate: self.certificate.clone(),
            registry_credential: self.registry_credential.clone(),
            image_pull_credentials_type: self.image_pull_credentials_type,
            docker_server: self.docker_server.clone(),
            host_kernel: None,
        }
    }

    fn build_artifacts(&self) -> (BuildArtifacts, Vec<BuildArtifacts>) {
        let ArtifactDestination::S3 { primary, secondary } = &self.artifacts else {
            return (BuildArtifacts::default(), Vec::new());
        };
        let shown = |settings: &ArtifactSettings| self.shown_artifacts(settings);
        (shown(primary), secondary.iter().map(shown).collect())
    }

    /// The name that the buildspec may give is known once the build has run.
    fn shown_artifacts(&self, settings: &ArtifactSettings) -> BuildArtifacts {
        let is_stored = settings.artifacts_type == ArtifactsType::S3;
        let key = settings.key(&KeyParts {
            project: &self.id.project,
            build: self.id.uuid,
            buildspec_name: None,
            prefix: None,
        });
        let bucket = settings.location.trim_start_matches("arn:aws:s3:::");
        let has_place = is_stored || !settings.location.is_empty();
        let location = match key.filter(|_| has_place) {
            Some(key) if key.is_empty() => format!("arn:aws:s3:::{bucket}"),
            Some(key) => format!("arn:aws:s3:::{bucket}/{key}"),
            None => String::new(),
        };
        BuildArtifacts {
            location,
            override_artifact_name: is_stored.then_some(settings.override_artifact_name),
            encryption_disabled: is_stored.then_some(settings.encryption_disabled),
            artifact_identifier: settings.artifact_identifier.clone(),
            bucket_owner_access: settings.bucket_owner_access,
            sha256sum: None,
            md5sum: None,
        }
    }
}

/// A directory of this machine has no form in the API: it is shown as no source.
fn shown_source(location: &SourceLocation, identifier: Option<&str>) -> ProjectSource {
    match location {
        SourceLocation::Project(source) => source.clone(),
        SourceLocation::Directory { .. } => ProjectSource {
            source_identifier: identifier.map(str::to_owned),
            ..ProjectSource::of_type(SourceType::NoSource)
        },
    }
}
