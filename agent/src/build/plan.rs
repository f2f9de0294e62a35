//! From the buildspec to the plan that the executor carries out.

use std::time::Duration;

use buildspec_parser::model::{Artifacts, Buildspec, OnFailure, PhaseName, Shell, Version};
use executor::protocol::{
    self, ArtifactPlan, CredentialsPlan, DebugPlan, GitCredential, Owner, Packaging, PhasePlan,
    Plan, ReportPlan, Reports, RuntimeSelection, Secret, ShellKind, StateCarrying, Variable,
};
use nix::unistd::{getegid, geteuid};

use super::cache;
use super::checkout::Checkout;
use super::environment::Environment;
use crate::model::{ArtifactDestination, ArtifactPackaging, BuildRequest};

/// Segments the spool may have before the build's output is held back: 1 GiB.
const SEGMENT_LIMIT: u32 = 64;

/// Time between SIGTERM and SIGKILL when a build is stopped or timed out.
pub(super) const GRACE: Duration = Duration::from_secs(10);

/// What the steps before have found out.
#[derive(Debug)]
pub(super) struct Given {
    /// The variables.
    pub(super) environment: Environment,
    /// What opens the repositories of the sources.
    pub(super) git_credentials: Vec<GitCredential>,
    /// The selected runtimes; `None` if the image does not support the choice.
    pub(super) runtimes: Option<Vec<RuntimeSelection>>,
    /// Program and arguments of the image that have to run first.
    pub(super) entrypoint: Vec<String>,
    /// A cache of more bytes is not kept.
    pub(super) cache_limit_bytes: u64,
    /// Credentials of the build's role.
    pub(super) credentials: Option<CredentialsPlan>,
    /// What is said when a command calls Docker in vain.
    pub(super) docker_hint: Option<String>,
    /// Where the executor goes on with the spool: segment and sequence.
    pub(super) next: (u32, u64),
}

/// Makes the plan.
pub(super) fn of(
    request: &BuildRequest,
    buildspec: &Buildspec,
    checkout: &Checkout,
    given: Given,
) -> Plan {
    let Given {
        environment,
        git_credentials,
        runtimes,
        entrypoint,
        cache_limit_bytes,
        credentials,
        docker_hint,
        next,
    } = given;
    Plan {
        first_segment: next.0,
        first_sequence: next.1,
        segment_limit: SEGMENT_LIMIT,
        secrets: secrets(request, &environment, &git_credentials),
        git_credentials,
        environment: environment.variables,
        source_directory: checkout.in_container().to_owned(),
        shell: match buildspec.env.shell.as_ref().map(|shell| shell.value) {
            Some(Shell::Bash) => ShellKind::Bash,
            _ => ShellKind::Sh,
        },
        state: match buildspec.version.value {
            Version::V0_1 => StateCarrying::Fresh,
            Version::V0_2 => StateCarrying::Carried,
        },
        entrypoint,
        docker_hint,
        runtimes,
        phases: PhaseName::ALL.map(|name| phase(buildspec, name)).into(),
        exported_variables: exported(buildspec),
        mask_encodings: true,
        cache: buildspec
            .cache
            .as_ref()
            .map(|cache| cache::plan(cache, request, cache_limit_bytes)),
        reports: reports(buildspec),
        artifacts: artifacts(&request.artifacts, buildspec),
        debug: debug(request),
        credentials,
        owner: Owner {
            user: geteuid().as_raw(),
            group: getegid().as_raw(),
        },
        timeout_millis: millis(request.timeout),
        grace_millis: millis(GRACE),
    }
}

/// The values that must not appear in the log: stored ones, and those of the variables the request
/// names.
fn secrets(
    request: &BuildRequest,
    environment: &Environment,
    git_credentials: &[GitCredential],
) -> Vec<Secret> {
    let is_masked = |variable: &&Variable| {
        request.masked_variables.contains(&variable.name)
            || environment.secret.contains(&variable.name)
    };
    environment
        .variables
        .iter()
        .filter(is_masked)
        .map(|variable| Secret::new(variable.value.clone()))
        .chain(
            git_credentials
                .iter()
                .map(|credential| credential.password.clone()),
        )
        .collect()
}

/// Names that start with `AWS_` cannot be exported (buildspec reference, env/exported-variables).
fn exported(buildspec: &Buildspec) -> Vec<String> {
    let names = buildspec
        .env
        .exported_variables
        .iter()
        .map(|name| name.value.clone());
    names.filter(|name| !name.starts_with("AWS_")).collect()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn phase(buildspec: &Buildspec, name: PhaseName) -> PhasePlan {
    let phase = buildspec.phases.get(name);
    let texts = |list: &[buildspec_parser::Spanned<String>]| {
        list.iter().map(|text| text.value.clone()).collect()
    };
    PhasePlan {
        phase: match name {
            PhaseName::Install => protocol::Phase::Install,
            PhaseName::PreBuild => protocol::Phase::PreBuild,
            PhaseName::Build => protocol::Phase::Build,
            PhaseName::PostBuild => protocol::Phase::PostBuild,
        },
        in_buildspec: phase.is_some(),
        run_as: buildspec.run_as(name).map(str::to_owned),
        on_failure: match phase
            .and_then(|phase| phase.on_failure.as_ref())
            .map(|rule| &rule.value)
        {
            None => protocol::OnFailure::Standard,
            Some(OnFailure::Abort) => protocol::OnFailure::Abort,
            Some(OnFailure::Continue) => protocol::OnFailure::Continue,
            Some(OnFailure::Retry { count, pattern }) => protocol::OnFailure::Retry {
                limit: (*count).into(),
                pattern: pattern.clone(),
            },
        },
        commands: phase
            .map(|phase| texts(&phase.commands))
            .unwrap_or_default(),
        finally: phase.map(|phase| texts(&phase.finally)).unwrap_or_default(),
    }
}

/// What lets a person in, where the request asks for it.
fn debug(request: &BuildRequest) -> Option<DebugPlan> {
    if !request.debug_session && request.keep_on_failure.is_none() {
        return None;
    }
    let id = &request.id;
    Some(DebugPlan {
        build: id.to_string(),
        invitation: vec![
            format!("Look into it with `buildspec-agent attach {id}`"),
            format!(
                "Let it go on with `buildspec-agent resume {id}`, or `codebuild-resume` inside"
            ),
        ],
        breakpoints: request.debug_session,
        failure_grace_millis: request.keep_on_failure.map(millis),
    })
}

/// Without `reports` in the buildspec, they are discovered.
fn reports(buildspec: &Buildspec) -> Reports {
    if buildspec.reports.is_empty() {
        return Reports::Discovered;
    }
    let reports = buildspec.reports.iter().map(|(group, report)| {
        let files = report.files.patterns.iter();
        let base = report.files.base_directory.as_ref();
        ReportPlan {
            group: group.value.clone(),
            format: report.format().as_str().to_owned(),
            files: files.map(|pattern| pattern.value.clone()).collect(),
            base_directory: base.map(|directory| directory.value.clone()),
        }
    });
    Reports::Configured(reports.collect())
}

/// The primary artifact first, if the buildspec has one and it is wanted, then the secondary ones in
/// the buildspec's order.
fn artifacts(destination: &ArtifactDestination, buildspec: &Buildspec) -> Vec<ArtifactPlan> {
    let Some(artifacts) = &buildspec.artifacts else {
        return Vec::new();
    };
    let primary = (!artifacts.files.patterns.is_empty()).then_some((None, artifacts));
    // The only output of a pipeline's job is one or the other.
    let has_secondary = primary.is_none() || !destination.is_one_place();
    let secondary = artifacts
        .secondary
        .iter()
        .filter(|_| has_secondary)
        .map(|(identifier, artifacts)| (Some(&identifier.value), artifacts));
    primary
        .into_iter()
        .chain(secondary)
        .filter_map(|(identifier, artifacts)| {
            let packaging = destination.packaging(identifier.map(String::as_str))?;
            Some(artifact(identifier, artifacts, packaging))
        })
        .collect()
}

fn artifact(
    identifier: Option<&String>,
    artifacts: &Artifacts,
    packaging: ArtifactPackaging,
) -> ArtifactPlan {
    let texts = |list: &[buildspec_parser::Spanned<String>]| {
        list.iter().map(|text| text.value.clone()).collect()
    };
    let keeps_links = artifacts
        .enable_symlinks
        .as_ref()
        .is_some_and(|keeps| keeps.value);
    ArtifactPlan {
        identifier: identifier.cloned(),
        files: texts(&artifacts.files.patterns),
        exclude_paths: texts(&artifacts.files.exclude_paths),
        base_directory: artifacts
            .files
            .base_directory
            .as_ref()
            .map(|directory| directory.value.clone()),
        discard_paths: artifacts.files.discards_paths(),
        name: artifacts.name.as_ref().map(|name| name.value.clone()),
        packaging: match packaging {
            ArtifactPackaging::None => Packaging::None,
            ArtifactPackaging::Zip if keeps_links => Packaging::ZipWithLinks,
            ArtifactPackaging::Zip => Packaging::Zip,
        },
    }
}

#[cfg(test)]
mod tests {
    use buildspec_parser::plan::{Next, phases};
    use executor::protocol::Status;
    use executor::transitions::{EndedPhase, Follow};

    use super::*;

    /// The preview tells people what follows a failure, the executor decides it: they must agree.
    #[test]
    fn the_preview_and_the_executor_agree_on_what_follows_a_failure() {
        for rule in [
            "",
            "on-failure: ABORT, ",
            "on-failure: CONTINUE, ",
            "on-failure: RETRY-2-x, ",
        ] {
            for name in PhaseName::ALL {
                let text = format!("version: 0.2\nphases: {{{name}: {{{rule}commands: [x]}}}}\n");
                let buildspec = buildspec_parser::parse(&text).buildspec.unwrap();
                let shown = &phases(&buildspec)[name as usize].on_failure;
                let planned = phase(&buildspec, name);
                let ended = |attempt| EndedPhase {
                    phase: planned.phase,
                    status: Status::Failed,
                    message: "x",
                    attempt,
                };
                let retries = shown
                    .retry
                    .as_ref()
                    .map_or(0, |retry| u32::from(retry.count));
                let again = (0..100).take_while(|run| {
                    ended(*run).followed_by(&planned.on_failure) == Follow::SamePhase
                });
                assert_eq!(again.count(), retries as usize, "{text}");
                let follow = ended(retries).followed_by(&planned.on_failure);
                assert_eq!(follow == Follow::End, shown.next == Next::End, "{text}");
            }
        }
    }
}
