//! The variables of a build, from all their sources.

use std::collections::{BTreeMap, HashSet};

use buildspec_parser::Buildspec;
use buildspec_parser::model::SecretReference;
use buildspec_parser::plan::{self, ValueSource};
use executor::protocol::Variable;
use serde::Serialize;

use super::{Abort, Tools};
use crate::credentials::Session;
use crate::model::{BuildRequest, VariableValue};
use crate::secrets::{self, AwsSecrets, LookUpError, Reference};

/// Where a variable comes from, weakest first: a later one replaces an earlier one of the same name
/// (user guide, "Environment variables in build environments").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The image's own.
    Image,
    /// `env` of the buildspec.
    Buildspec,
    /// The request: overrides and arguments.
    Start,
    /// CodeBuild's own, which nothing replaces.
    BuiltIn,
}

/// What a variable is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Setting {
    /// This text.
    Plain(String),
    /// The parameter of this name in Parameter Store.
    ParameterStore(String),
    /// A value in Secrets Manager.
    SecretsManager(SecretReference),
}

/// The variables of a build, looked up.
#[derive(Debug)]
pub(super) struct Environment {
    /// The variables to set over the image's own, each name once.
    pub(super) variables: Vec<Variable>,
    /// Names of those whose values must not appear in the log.
    pub(super) secret: HashSet<String>,
}

/// Puts the variables together. A stored value that cannot be looked up ends the build.
pub(super) async fn variables(
    request: &BuildRequest,
    buildspec: &Buildspec,
    source_directory: &str,
    tools: &Tools,
    aws: &Session,
) -> Result<Environment, Abort> {
    let settings = strongest(layers(request, buildspec, source_directory));
    let mut environment = Environment {
        variables: Vec::new(),
        secret: HashSet::new(),
    };
    let mut stored = Vec::new();
    for (name, (_, setting)) in settings {
        match setting {
            Setting::Plain(value) => environment.variables.push(Variable { name, value }),
            Setting::ParameterStore(parameter) => {
                stored.push((name, Reference::Parameter(parameter)));
            }
            Setting::SecretsManager(secret) => stored.push((name, Reference::Secret(secret))),
        }
    }
    let references: Vec<&Reference> = stored.iter().map(|(_, reference)| reference).collect();
    let aws = AwsSecrets::new(aws.clone());
    let values = secrets::look_up(&references, tools.secrets.as_ref(), &aws).await;
    for ((name, reference), value) in stored.iter().zip(values) {
        let value = value.map_err(|error| not_found(reference, &error))?;
        environment.secret.insert(name.clone());
        environment.variables.push(variable(name, value.expose()));
    }
    environment
        .variables
        .sort_by(|one, other| one.name.cmp(&other.name));
    Ok(environment)
}

/// Status codes: user guide, "Troubleshooting", and logs of the service.
fn not_found(reference: &Reference, error: &LookUpError) -> Abort {
    let code = match reference {
        Reference::Parameter(_) => "Decrypted Variables Error",
        Reference::Secret(_) => "Secrets Manager Error",
    };
    Abort::failed(code, error.to_string())
}

/// The built-in variables of further sources.
pub(super) fn of_secondary_sources<'s>(
    sources: impl Iterator<Item = (&'s str, &'s str)>,
) -> impl Iterator<Item = Variable> {
    sources.flat_map(|(identifier, path)| {
        [
            variable(&format!("CODEBUILD_SRC_DIR_{identifier}"), path),
            variable(&format!("CODEBUILD_SOURCE_REPO_URL_{identifier}"), ""),
            variable(&format!("CODEBUILD_SOURCE_VERSION_{identifier}"), ""),
        ]
    })
}

/// All variables with their origins, weakest first.
pub(super) fn layers(
    request: &BuildRequest,
    buildspec: &Buildspec,
    source_directory: &str,
) -> Vec<(Origin, String, Setting)> {
    let of_buildspec = plan::variables(buildspec).into_iter().map(|variable| {
        let setting = match variable.value {
            ValueSource::Plain(text) => Setting::Plain(text.to_owned()),
            ValueSource::ParameterStore(name) => Setting::ParameterStore(name.to_owned()),
            ValueSource::SecretsManager(secret) => Setting::SecretsManager(secret.clone()),
        };
        (Origin::Buildspec, variable.name.to_owned(), setting)
    });
    let built_in = built_in(request, source_directory)
        .into_iter()
        .map(|Variable { name, value }| (Origin::BuiltIn, name, Setting::Plain(value)));
    of_buildspec
        .chain(of_request(request))
        .chain(built_in)
        .collect()
}

/// The variables that the request sets.
pub(super) fn of_request(
    request: &BuildRequest,
) -> impl Iterator<Item = (Origin, String, Setting)> + '_ {
    request.environment_variables.iter().map(|given| {
        let setting = match &given.value {
            VariableValue::Plaintext(text) => Setting::Plain(text.clone()),
            VariableValue::ParameterStore(name) => Setting::ParameterStore(name.clone()),
            VariableValue::SecretsManager(secret) => Setting::SecretsManager(secret.clone()),
        };
        (Origin::Start, given.name.clone(), setting)
    })
}

/// The strongest of each name, in the order of the names.
pub(super) fn strongest(
    layers: Vec<(Origin, String, Setting)>,
) -> BTreeMap<String, (Origin, Setting)> {
    layers
        .into_iter()
        .map(|(origin, name, setting)| (name, (origin, setting)))
        .collect()
}

fn variable(name: &str, value: impl Into<String>) -> Variable {
    Variable {
        name: name.to_owned(),
        value: value.into(),
    }
}

fn built_in(request: &BuildRequest, source_directory: &str) -> Vec<Variable> {
    let region = &request.region;
    let id = &request.id;
    let arn = |resource: String| request.arn(&resource);
    // The directory above the source, as the Go toolchain of AWS's images expects it.
    let output = source_directory.trim_end_matches("/src");
    vec![
        variable("AWS_DEFAULT_REGION", region),
        variable("AWS_REGION", region),
        variable("CODEBUILD_BUILD_ARN", arn(format!("build/{id}"))),
        variable("CODEBUILD_BUILD_ID", id.to_string()),
        variable("CODEBUILD_BUILD_IMAGE", &request.image),
        variable("CODEBUILD_BUILD_NUMBER", request.build_number.to_string()),
        variable("CODEBUILD_CI", "true"),
        variable("CODEBUILD_GOPATH", output),
        variable("CODEBUILD_INITIATOR", &request.initiator),
        variable("CODEBUILD_KMS_KEY_ID", request.effective_encryption_key()),
        variable("CODEBUILD_LOG_PATH", id.uuid.to_string()),
        variable(
            "CODEBUILD_PROJECT_ARN",
            arn(format!("project/{}", id.project)),
        ),
        variable("CODEBUILD_SOURCE_REPO_URL", ""),
        variable("CODEBUILD_SOURCE_VERSION", ""),
        variable("CODEBUILD_SRC_DIR", source_directory),
        variable(
            "CODEBUILD_START_TIME",
            jiff::Timestamp::now().as_millisecond().to_string(),
        ),
        variable("GOPATH", format!("/go:{output}")),
        variable("HOME", "/root"),
    ]
}
