//! Which caller may do what.

use super::Caller;
use super::keys::{GuardedOverride, Role};
use crate::api::error::{ApiError, Code};
use crate::model::Overrides;

/// What an operation needs of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum Access {
    /// It looks at something.
    Read,
    /// It starts or ends builds.
    Start,
    /// It enters a build that is paused, or lets it go on.
    Enter,
    /// It changes what builds are, or forgets something.
    Admin,
}

impl Access {
    /// Whether it changes anything; such calls stand in the audit log.
    pub(in crate::api) fn is_mutating(self) -> bool {
        self != Self::Read
    }

    /// Refuses callers whose role is not enough for `action`, such as `codebuild:StartBuild`.
    pub(in crate::api) fn check(self, caller: &Caller, action: &str) -> Result<(), ApiError> {
        let needed = match self {
            Self::Read => Role::Read,
            Self::Start => Role::Start,
            Self::Enter | Self::Admin => Role::Admin,
        };
        match caller {
            Caller::Local | Caller::User(_) => Ok(()),
            Caller::Key(open) if self == Self::Enter && open.key.may_attach => Ok(()),
            Caller::Key(open) if open.key.role >= needed => Ok(()),
            Caller::Key(open) => Err(denied(
                caller,
                action,
                &format!("the role of its key is {:?}, not {needed:?}", open.key.role),
            )),
        }
    }
}

fn denied(caller: &Caller, action: &str, reason: &str) -> ApiError {
    let name = caller.name();
    ApiError::new(
        Code::AccessDenied,
        format!("User: {name} is not authorized to perform: {action}: {reason}"),
    )
}

/// Refuses guarded overrides that the caller's key does not allow.
pub(in crate::api) fn check_overrides(
    caller: &Caller,
    overrides: &Overrides,
) -> Result<(), ApiError> {
    let Caller::Key(open) = caller else {
        return Ok(());
    };
    if open.key.role == Role::Admin {
        return Ok(());
    }
    for (member, is_given, guard) in guarded(overrides) {
        if is_given && !open.key.may_override.contains(&guard) {
            let reason = format!("its key does not allow `{member}`");
            return Err(denied(caller, "codebuild:StartBuild", &reason));
        }
    }
    Ok(())
}

/// The guarded members, whether they are given, and what guards them.
fn guarded(overrides: &Overrides) -> [(&'static str, bool, GuardedOverride); 16] {
    use GuardedOverride::{Buildspec, Image, PrivilegedMode, ServiceRole, Source};
    let given = overrides;
    [
        ("buildspecOverride", given.buildspec.is_some(), Buildspec),
        ("sourceTypeOverride", given.source_type.is_some(), Source),
        (
            "sourceLocationOverride",
            given.source_location.is_some(),
            Source,
        ),
        ("sourceAuthOverride", given.source_auth.is_some(), Source),
        ("insecureSslOverride", given.insecure_ssl.is_some(), Source),
        ("certificateOverride", given.certificate.is_some(), Source),
        (
            "secondarySourcesOverride",
            given.secondary_sources.is_some(),
            Source,
        ),
        ("imageOverride", given.image.is_some(), Image),
        (
            "environmentTypeOverride",
            given.environment_type.is_some(),
            Image,
        ),
        ("fleetOverride", given.fleet.is_some(), Image),
        (
            "registryCredentialOverride",
            given.registry_credential.is_some(),
            Image,
        ),
        (
            "imagePullCredentialsTypeOverride",
            given.image_pull_credentials_type.is_some(),
            Image,
        ),
        (
            "privilegedModeOverride",
            given.privileged_mode == Some(true),
            PrivilegedMode,
        ),
        (
            "serviceRoleOverride",
            given.service_role.is_some(),
            ServiceRole,
        ),
        (
            "encryptionKeyOverride",
            given.encryption_key.is_some(),
            ServiceRole,
        ),
        (
            "debugSessionEnabled",
            given.debug_session_enabled == Some(true),
            Buildspec,
        ),
    ]
}
