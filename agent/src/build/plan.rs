//! From the buildspec to the plan that the executor carries out.

use std::time::Duration;

use buildspec_parser::model::{Artifacts, Buildspec, OnFailure, PhaseName, Shell, Version};
use executor::protocol::{
    self, ArtifactPlan, Owner, PhasePlan, Plan, ShellKind, StateCarrying, Variable,
};
use nix::unistd::{getegid, geteuid};

use super::checkout::Checkout;
use crate::model::{ArtifactDestination, BuildRequest};

/// Segments the spool may have before the build's output is held back: 1 GiB.
const SEGMENT_LIMIT: u32 = 64;

/// Time between SIGTERM and SIGKILL when a build is stopped or timed out.
pub(super) const GRACE: Duration = Duration::from_secs(10);

/// Makes the plan. `next` is where the executor goes on with the spool: segment and sequence.
pub(super) fn of(
    request: &BuildRequest,
    buildspec: &Buildspec,
    environment: Vec<Variable>,
    checkout: &Checkout,
    next: (u32, u64),
) -> Plan {
    Plan {
        first_segment: next.0,
        first_sequence: next.1,
        segment_limit: SEGMENT_LIMIT,
        environment,
        source_directory: checkout.in_container().to_owned(),
        shell: match buildspec.env.shell.as_ref().map(|shell| shell.value) {
            Some(Shell::Bash) => ShellKind::Bash,
            _ => ShellKind::Sh,
        },
        state: match buildspec.version.value {
            Version::V0_1 => StateCarrying::Fresh,
            Version::V0_2 => StateCarrying::Carried,
        },
        entrypoint: Vec::new(),
        runtimes: Vec::new(),
        phases: PhaseName::ALL.map(|name| phase(buildspec, name)).into(),
        exported_variables: buildspec
            .env
            .exported_variables
            .iter()
            .map(|name| name.value.clone())
            .collect(),
        secrets: Vec::new(),
        mask_encodings: true,
        artifacts: match request.artifacts {
            ArtifactDestination::None => Vec::new(),
            ArtifactDestination::Directory(_) => artifacts(buildspec),
        },
        owner: Owner {
            user: geteuid().as_raw(),
            group: getegid().as_raw(),
        },
        timeout_millis: millis(request.timeout),
        grace_millis: millis(GRACE),
    }
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

/// The primary artifact first, if the buildspec has one, then the secondary ones in its order.
fn artifacts(buildspec: &Buildspec) -> Vec<ArtifactPlan> {
    let Some(artifacts) = &buildspec.artifacts else {
        return Vec::new();
    };
    let primary = (!artifacts.files.patterns.is_empty()).then(|| artifact(None, artifacts));
    let secondary = artifacts
        .secondary
        .iter()
        .map(|(identifier, artifact_of)| artifact(Some(&identifier.value), artifact_of));
    primary.into_iter().chain(secondary).collect()
}

fn artifact(identifier: Option<&String>, artifacts: &Artifacts) -> ArtifactPlan {
    let texts = |list: &[buildspec_parser::Spanned<String>]| {
        list.iter().map(|text| text.value.clone()).collect()
    };
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
    }
}
