//! The variables of a build, from all their sources.

use buildspec_parser::Buildspec;
use executor::protocol::Variable;

use super::checkout::Checkout;
use crate::config::Config;
use crate::model::BuildRequest;

/// The variables to set over the image's own, weakest first: the buildspec's, the request's, and
/// the built-in ones, which nothing replaces (user guide, "Environment variables in build
/// environments").
pub(super) fn variables(
    request: &BuildRequest,
    buildspec: &Buildspec,
    checkout: &Checkout,
    config: &Config,
) -> Vec<Variable> {
    let of_buildspec = buildspec
        .env
        .variables
        .iter()
        .map(|(name, value)| variable(&name.value, value.value.clone()));
    let of_request = request
        .environment_variables
        .iter()
        .map(|v| variable(&v.name, v.value.clone()));
    of_buildspec
        .chain(of_request)
        .chain(built_in(request, checkout, config))
        .collect()
}

fn variable(name: &str, value: impl Into<String>) -> Variable {
    Variable {
        name: name.to_owned(),
        value: value.into(),
    }
}

fn built_in(request: &BuildRequest, checkout: &Checkout, config: &Config) -> Vec<Variable> {
    let Config {
        region, account, ..
    } = config;
    let id = &request.id;
    let arn = |resource: String| format!("arn:aws:codebuild:{region}:{account}:{resource}");
    // The directory above the source, as the Go toolchain of the images expects it.
    let output = checkout.in_container().trim_end_matches("/src");
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
        variable("CODEBUILD_SRC_DIR", checkout.in_container()),
        variable(
            "CODEBUILD_START_TIME",
            jiff::Timestamp::now().as_millisecond().to_string(),
        ),
        variable("GOPATH", format!("/go:{output}")),
        variable("HOME", "/root"),
    ]
}
