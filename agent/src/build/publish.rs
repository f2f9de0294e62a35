//! `UPLOAD_ARTIFACTS`: reports are read, collected artifacts go to where they are wanted.

use std::io;
use std::path::PathBuf;

use buildspec_parser::Buildspec;
use executor::protocol::{Plan, channel};
use tokio_util::sync::CancellationToken;

use super::journal::Journal;
use super::learnt::Collected;
use super::report::{self, Reported};
use super::{Abort, Finished, bucket};
use crate::artifacts::{self, StoreError};
use crate::credentials::Session;
use crate::data_directory::BuildDirectory;
use crate::logs::AgentLog;
use crate::model::{
    Artifact, ArtifactDestination, BuildRequest, KeyParts, PhaseContext, PhaseType, Status, Wanted,
    inner_path,
};

/// What is known when artifacts and reports are published.
#[derive(Debug)]
pub(super) struct Upload<'a> {
    /// What was asked for.
    pub(super) request: &'a BuildRequest,
    /// What the buildspec says.
    pub(super) buildspec: &'a Buildspec,
    /// What was carried out.
    pub(super) plan: &'a Plan,
    /// Whether the plan has the values that must not be shown. A process that took the build up does
    /// not know them.
    pub(super) knows_secrets: bool,
    /// Where the collected files lie.
    pub(super) directory: &'a BuildDirectory,
    /// Clients of AWS with the build's role.
    pub(super) aws: &'a Session,
    /// Clients of AWS with the agent's own credentials.
    pub(super) agent: &'a Session,
    /// Stops the build.
    pub(super) stop: &'a CancellationToken,
}

/// Reads the reports, stores the collected artifacts and ends `UPLOAD_ARTIFACTS`, if the build got
/// there.
pub(super) async fn upload(
    upload: &Upload<'_>,
    journal: &mut Journal<'_>,
    mut log: AgentLog,
) -> Result<Finished, Abort> {
    let ended = journal.ended()?;
    if !ended.upload {
        return Ok(Finished {
            status: ended.status,
            artifacts: Vec::new(),
            reports: Vec::new(),
        });
    }
    journal.enter(PhaseType::UploadArtifacts)?;
    let Reported { reports, failure } = report::reports(upload, journal, &mut log).await?;
    let (stored, failed) = artifacts(upload, journal, &mut log).await?;
    // The first failure is the one reported.
    let failure = failure.or(failed);
    let status = if failure.is_none() {
        Status::Succeeded
    } else {
        Status::Failed
    };
    let context = failure.unwrap_or_else(|| PhaseContext::new("", ""));
    log.phase_complete(PhaseType::UploadArtifacts.name(), status, &context)?;
    drop(log);
    journal.show_rest().await?;
    journal.leave_as(status, Some(context));
    let status = if ended.status == Status::Succeeded {
        status
    } else {
        ended.status
    };
    Ok(Finished {
        status,
        artifacts: stored,
        reports,
    })
}

/// Stores all artifacts that it can: those stored, and the first failure.
async fn artifacts(
    upload: &Upload<'_>,
    journal: &mut Journal<'_>,
    log: &mut AgentLog,
) -> Result<(Vec<Artifact>, Option<PhaseContext>), Abort> {
    let mut failure = unmatched(upload, log)?;
    let mut stored = Vec::new();
    for (index, artifact) in upload.plan.artifacts.iter().enumerate() {
        if let Some(artifact) = journal.learnt().stored.get(&index) {
            stored.push(artifact.clone());
            continue;
        }
        if !journal.learnt().collected.contains_key(&index) {
            continue;
        }
        journal.writes_follow(upload.stop).await?;
        let Some(collected) = journal.learnt().collected.get(&index) else {
            continue;
        };
        let permit = journal.permit();
        let storing = store(upload, index, artifact.identifier.as_deref(), collected);
        let stored_one = Box::pin(permit.while_held(storing)).await;
        match stored_one.unwrap_or(Err(Abort::Stopped))? {
            Ok(artifact) => {
                journal.store(index, artifact.clone())?;
                stored.push(artifact);
            }
            Err(context) => failure = failure.or(Some(context)),
        }
    }
    Ok((stored, failure))
}

/// Identifiers that are in the buildspec or in the settings only. CodeBuild does not document what
/// happens: an artifact that nobody wants is ignored, one that cannot be had fails the build.
fn unmatched(upload: &Upload<'_>, log: &mut AgentLog) -> io::Result<Option<PhaseContext>> {
    let artifacts = upload.buildspec.artifacts.as_ref();
    let in_buildspec: Vec<&str> = artifacts
        .iter()
        .flat_map(|artifacts| artifacts.secondary.iter())
        .map(|(identifier, _)| identifier.value.as_str())
        .collect();
    let wanted = &upload.request.artifacts;
    for identifier in &in_buildspec {
        if *wanted != ArtifactDestination::None && wanted.settings(Some(identifier)) == Wanted::No {
            log.line(&format!(
                "Ignoring secondary artifacts {identifier}: the build has no artifact of this identifier"
            ))?;
        }
    }
    if wanted.is_one_place() && upload.plan.artifacts.is_empty() {
        let message = "no artifacts in the buildspec for the output artifact of the pipeline";
        return Ok(Some(PhaseContext::new("CLIENT_ERROR", message)));
    }
    let missing = wanted
        .secondary_identifiers()
        .find(|identifier| !in_buildspec.contains(identifier));
    Ok(missing.map(|identifier| {
        let message = format!("no secondary artifact {identifier} in the buildspec");
        PhaseContext::new("CLIENT_ERROR", message)
    }))
}

/// Stores one artifact. The inner error is the build's, the outer one the agent's.
async fn store(
    upload: &Upload<'_>,
    index: usize,
    identifier: Option<&str>,
    collected: &Collected,
) -> Result<Result<Artifact, PhaseContext>, Abort> {
    let (name, archive) = match collected {
        Collected::Failed(context) => return Ok(Err(context.clone())),
        Collected::Complete { name, archive } => (name.as_deref(), archive.clone()),
    };
    let Some(key) = key(upload, identifier, name, archive.is_some()) else {
        let message = format!(
            "artifact name `{}` is not a path inside the place of artifacts",
            name.unwrap_or_default()
        );
        return Ok(Err(PhaseContext::new("CLIENT_ERROR", message)));
    };
    let source = upload.directory.artifact(index);
    let artifacts = &upload.request.artifacts;
    let stored = match (artifacts, artifacts.settings(identifier)) {
        (ArtifactDestination::Directory { root, .. }, _) => {
            in_directory(source, root.join(key), archive.is_some()).await
        }
        (ArtifactDestination::S3 { .. }, Wanted::With(settings)) => {
            bucket::store(upload, settings, &source, &key, archive.as_ref()).await
        }
        _ => {
            return Err(anyhow::anyhow!("an artifact was collected that nobody asked for").into());
        }
    };
    let (location, files) = match stored {
        Ok(stored) => stored,
        Err(StoreError::Stopped) => return Err(Abort::Stopped),
        Err(StoreError::Upload { reason, .. }) => {
            let message = format!("Failed to upload artifacts: {reason}");
            return Ok(Err(PhaseContext::new("CLIENT_ERROR", message)));
        }
        Err(error) => return Err(error.into()),
    };
    let (sha256sum, md5sum) = archive.map(|sums| (sums.sha256, sums.md5)).unzip();
    Ok(Ok(Artifact {
        artifact_identifier: identifier.map(str::to_owned),
        location,
        files,
        sha256sum,
        md5sum,
    }))
}

/// Stores one artifact in a directory of this machine: its location and, if it is no archive, its files.
async fn in_directory(
    collected: PathBuf,
    destination: PathBuf,
    is_archive: bool,
) -> Result<(String, Vec<String>), StoreError> {
    let location = destination.display().to_string();
    let store = move || {
        if is_archive {
            let archive = collected.join(channel::ARCHIVE);
            artifacts::store_as_file(&archive, &destination).map(|()| Vec::new())
        } else {
            artifacts::store_in_directory(&collected, &destination)
        }
    };
    let stored = tokio::task::spawn_blocking(store).await;
    let files = stored.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
    Ok((location, files))
}

/// The place of an artifact below the artifact directory. In the simple layout the primary one's is the directory itself,
/// a secondary one's is named by its identifier; below it stands the name, if the buildspec has one.
/// An archive without a name has the project's. `None` for a name that leads somewhere else.
fn key(
    upload: &Upload<'_>,
    identifier: Option<&str>,
    name: Option<&str>,
    is_archive: bool,
) -> Option<String> {
    let id = &upload.request.id;
    let artifacts = upload.buildspec.artifacts.as_ref();
    let artifacts = match identifier {
        None => artifacts,
        Some(identifier) => artifacts.and_then(|artifacts| {
            let mut secondary = artifacts.secondary.iter();
            let found = secondary.find(|(known, _)| known.value == identifier);
            found.map(|(_, artifacts)| artifacts)
        }),
    };
    let prefix = artifacts.and_then(|artifacts| artifacts.s3_prefix.as_ref());
    match upload.request.artifacts.settings(identifier) {
        Wanted::No => None,
        Wanted::With(settings) => settings.key(&KeyParts {
            project: &id.project,
            build: id.uuid,
            buildspec_name: name,
            prefix: prefix.map(|prefix| prefix.value.as_str()),
        }),
        Wanted::Simply if is_archive => {
            let name = name.map_or_else(|| id.project.to_string(), str::to_owned);
            let name = name.trim_end_matches('/');
            let name = name.strip_suffix(".zip").unwrap_or(name);
            inner_path(&[identifier.unwrap_or_default(), &format!("{name}.zip")])
        }
        Wanted::Simply => inner_path(&[identifier.unwrap_or_default(), name.unwrap_or_default()]),
    }
}
