//! The variables of a build, from all their sources.

use std::collections::{BTreeMap, HashSet};

use buildspec_parser::Buildspec;
use buildspec_parser::plan::{self, ValueSource};
use executor::protocol::Variable;
use serde::Serialize;

use super::Abort;
use crate::config::Config;
use crate::model::BuildRequest;

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

/// The variables to set over the image's own, weakest first. A value that would have to be looked
/// up somewhere ends the build: no such provider is there yet.
pub(super) fn variables(
    request: &BuildRequest,
    buildspec: &Buildspec,
    source_directory: &str,
    config: &Config,
) -> Result<Vec<Variable>, Abort> {
    let given: HashSet<&str> = request
        .environment_variables
        .iter()
        .map(|variable| variable.name.as_str())
        .collect();
    for variable in plan::variables(buildspec)
        .iter()
        .filter(|variable| !given.contains(variable.name))
    {
        let (code, section) = match variable.value {
            ValueSource::Plain(_) => continue,
            ValueSource::ParameterStore(_) => ("Decrypted Variables Error", "parameter-store"),
            ValueSource::SecretsManager(_) => ("Secrets Manager Error", "secrets-manager"),
        };
        let name = variable.name;
        let message = format!(
            "env/{section} is not supported yet: give {name} a value with --env {name}=… to run this build"
        );
        return Err(Abort::failed(code, message));
    }
    let layers = layers(request, buildspec, source_directory, config);
    Ok(layers.into_iter().map(|(_, variable)| variable).collect())
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

/// All plain variables with their origins, weakest first.
pub(super) fn layers(
    request: &BuildRequest,
    buildspec: &Buildspec,
    source_directory: &str,
    config: &Config,
) -> Vec<(Origin, Variable)> {
    let of_buildspec = buildspec.env.variables.iter().map(|(name, value)| {
        (
            Origin::Buildspec,
            variable(&name.value, value.value.clone()),
        )
    });
    let of_request = request
        .environment_variables
        .iter()
        .map(|given| (Origin::Start, variable(&given.name, given.value.clone())));
    let built_in = built_in(request, source_directory, config)
        .into_iter()
        .map(|variable| (Origin::BuiltIn, variable));
    of_buildspec.chain(of_request).chain(built_in).collect()
}

/// The strongest of each name, in the order of the names.
pub(super) fn strongest(layers: Vec<(Origin, Variable)>) -> BTreeMap<String, (Origin, String)> {
    layers
        .into_iter()
        .map(|(origin, Variable { name, value })| (name, (origin, value)))
        .collect()
}

fn variable(name: &str, value: impl Into<String>) -> Variable {
    Variable {
        name: name.to_owned(),
        value: value.into(),
    }
}

fn built_in(request: &BuildRequest, source_directory: &str, config: &Config) -> Vec<Variable> {
    let Config {
        region, account, ..
    } = config;
    let id = &request.id;
    let arn = |resource: String| format!("arn:aws:codebuild:{region}:{account}:{resource}");
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
        variable(
            "CODEBUILD_KMS_KEY_ID",
            format!("arn:aws:kms:{region}:{account}:alias/aws/s3"),
        ),
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
