//! The permissions in AWS that a build uses: what its request and its buildspec name, and nothing else.

use buildspec_parser::Buildspec;
use serde::Serialize;

use super::environment::{self, Setting};
use crate::model::{
    ArtifactDestination, ArtifactSettings, ArtifactsType, BuildRequest, BuildspecChoice, CacheType,
    ImagePullCredentialsType, SourceLocation, SourceType,
};

/// A permission.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Permission {
    /// Who has to have it.
    pub principal: Principal,
    /// The action, as in a policy.
    pub action: &'static str,
    /// On what, as in a policy.
    pub resource: String,
    /// What it is for.
    pub reason: &'static str,
}

/// Who has to have a permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Principal {
    /// The identity of the agent.
    Agent,
    /// The project's service role, or the agent's identity where there is none.
    ServiceRole,
}

/// All permissions of a build, the agent's first. Without a buildspec those of its `env` are missing.
pub fn of(request: &BuildRequest, buildspec: Option<&Buildspec>) -> Vec<Permission> {
    let mut list = List::default();
    if let Some(role) = &request.service_role {
        let reason = "to work with the service role";
        list.add(Principal::Agent, &["sts:AssumeRole"], role, reason);
    }
    list.sources(request);
    list.variables(request, buildspec);
    list.artifacts(request);
    list.cache_and_logs(request);
    list.0.sort();
    list.0.dedup();
    list.0
}

#[derive(Default)]
struct List(Vec<Permission>);

impl List {
    fn add(
        &mut self,
        principal: Principal,
        actions: &[&'static str],
        resource: &str,
        reason: &'static str,
    ) {
        self.0.extend(actions.iter().map(|action| Permission {
            principal,
            action,
            resource: resource.to_owned(),
            reason,
        }));
    }

    fn of_role(&mut self, actions: &[&'static str], resource: &str, reason: &'static str) {
        self.add(Principal::ServiceRole, actions, resource, reason);
    }

    fn sources(&mut self, request: &BuildRequest) {
        if let BuildspecChoice::S3(arn) = &request.buildspec {
            self.of_role(&["s3:GetObject"], arn, "buildspec");
        }
        let secondary = request.secondary_sources.iter().map(|one| &one.location);
        for location in std::iter::once(&request.source).chain(secondary) {
            let SourceLocation::Project(source) = location else {
                continue;
            };
            let place = source.location.as_deref().unwrap_or_default();
            match source.source_type {
                SourceType::S3 if place.ends_with('/') => {
                    let bucket = place.split('/').next().unwrap_or_default();
                    self.of_role(&["s3:ListBucket"], &s3(bucket), "source");
                    self.of_role(&["s3:GetObject"], &format!("{}*", s3(place)), "source");
                }
                SourceType::S3 => {
                    let actions = ["s3:GetObject", "s3:GetObjectVersion"];
                    self.of_role(&actions, &s3(place), "source");
                }
                SourceType::Codecommit => {
                    let repository = place.rsplit('/').next().unwrap_or_default();
                    let (region, account) = (&request.region, &request.account);
                    let arn = format!("arn:aws:codecommit:{region}:{account}:{repository}");
                    self.of_role(&["codecommit:GitPull"], &arn, "source");
                }
                _ => {}
            }
        }
        if let Some(certificate) = request.certificate.as_deref().filter(|it| !it.is_empty()) {
            self.of_role(&["s3:GetObject"], &s3(certificate), "certificate");
        }
        if let Some(credential) = &request.registry_credential {
            let arn = secret(request, &credential.credential);
            self.of_role(&["secretsmanager:GetSecretValue"], &arn, "image");
        }
        if request.image.contains(".dkr.ecr.") {
            let by_role =
                request.image_pull_credentials_type == Some(ImagePullCredentialsType::ServiceRole);
            let principal = if by_role {
                Principal::ServiceRole
            } else {
                Principal::Agent
            };
            self.add(principal, &["ecr:GetAuthorizationToken"], "*", "image");
            let actions = [
                "ecr:BatchCheckLayerAvailability",
                "ecr:BatchGetImage",
                "ecr:GetDownloadUrlForLayer",
            ];
            self.add(principal, &actions, &request.image, "image");
        }
    }

    fn variables(&mut self, request: &BuildRequest, buildspec: Option<&Buildspec>) {
        let settings = match buildspec {
            Some(buildspec) => environment::layers(request, buildspec, ""),
            None => environment::of_request(request).collect(),
        };
        for (_, setting) in environment::strongest(settings).into_values() {
            match setting {
                Setting::Plain(_) => {}
                Setting::ParameterStore(name) => {
                    let arn = parameter(request, &name);
                    self.of_role(&["ssm:GetParameters"], &arn, "variable");
                }
                Setting::SecretsManager(reference) => {
                    let arn = secret(request, &reference.id);
                    self.of_role(&["secretsmanager:GetSecretValue"], &arn, "variable");
                }
            }
        }
    }

    fn artifacts(&mut self, request: &BuildRequest) {
        let ArtifactDestination::S3 { primary, secondary } = &request.artifacts else {
            return;
        };
        let is_stored = |settings: &&ArtifactSettings| settings.artifacts_type == ArtifactsType::S3;
        for settings in std::iter::once(primary).chain(secondary).filter(is_stored) {
            let objects = format!("{}/*", s3(&settings.location));
            let actions = ["s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload"];
            self.of_role(&actions, &objects, "artifacts");
            if settings.bucket_owner_access.is_some() {
                self.of_role(&["s3:PutObjectAcl"], &objects, "artifacts");
            }
            if let Some(key) = &request.encryption_key
                && !settings.encryption_disabled
            {
                let actions = ["kms:GenerateDataKey", "kms:Decrypt"];
                self.of_role(&actions, key, "artifacts");
            }
        }
    }

    fn cache_and_logs(&mut self, request: &BuildRequest) {
        if request.cache.cache_type == CacheType::S3 {
            let place = request.cache.location.as_deref().unwrap_or_default();
            let actions = ["s3:GetObject", "s3:PutObject"];
            self.of_role(&actions, &format!("{}/*", s3(place)), "cache");
            let bucket = place.split('/').next().unwrap_or_default();
            self.of_role(&["s3:ListBucket"], &s3(bucket), "cache");
        }
        if let Some(settings) = request.logs.cloud_watch() {
            let (region, account) = (&request.region, &request.account);
            let group = settings
                .group_name
                .unwrap_or_else(|| format!("/aws/codebuild/{}", request.id.project));
            let arn = format!("arn:aws:logs:{region}:{account}:log-group:{group}:*");
            let actions = [
                "logs:CreateLogGroup",
                "logs:CreateLogStream",
                "logs:PutLogEvents",
            ];
            self.of_role(&actions, &arn, "log");
            let reason = "log: what has arrived of a call without an answer";
            self.of_role(&["logs:GetLogEvents"], &arn, reason);
        }
        if let Some(settings) = request.logs.s3() {
            let place = settings.location.as_deref().unwrap_or_default();
            self.of_role(&["s3:PutObject"], &format!("{}/*", s3(place)), "log");
        }
    }
}

/// The ARN of a bucket or of what is in it; an ARN stays what it is.
fn s3(place: &str) -> String {
    if place.starts_with("arn:") {
        return place.to_owned();
    }
    format!("arn:aws:s3:::{place}")
}

/// The ARN of a parameter, whose version or label does not matter.
fn parameter(request: &BuildRequest, name: &str) -> String {
    if name.starts_with("arn:") {
        return name.to_owned();
    }
    let (region, account) = (&request.region, &request.account);
    let name = name.split(':').next().unwrap_or_default();
    let name = name.trim_start_matches('/');
    format!("arn:aws:ssm:{region}:{account}:parameter/{name}")
}

/// The ARN of a secret, which ends with six characters that only AWS knows.
fn secret(request: &BuildRequest, id: &str) -> String {
    if id.starts_with("arn:") {
        return id.to_owned();
    }
    let (region, account) = (&request.region, &request.account);
    format!("arn:aws:secretsmanager:{region}:{account}:secret:{id}-??????")
}
