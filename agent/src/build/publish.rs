//! `UPLOAD_ARTIFACTS`: reports are read, collected artifacts go to where they are wanted.

use std::path::{Component, Path, PathBuf};

use executor::protocol::Plan;
use jiff::Timestamp;

use super::journal::{Collected, Journal};
use super::report::{self, Reported};
use super::{Abort, Finished};
use crate::artifacts;
use crate::config::Config;
use crate::data_directory::BuildDirectory;
use crate::logs::AgentLog;
use crate::model::{Artifact, ArtifactDestination, BuildRequest, PhaseContext, PhaseType, Status};

/// What is known when artifacts and reports are published.
#[derive(Debug)]
pub(super) struct Upload<'a> {
    /// What was asked for.
    pub(super) request: &'a BuildRequest,
    /// Settings of the agent.
    pub(super) config: &'a Config,
    /// What was carried out.
    pub(super) plan: &'a Plan,
    /// Where the collected files lie.
    pub(super) directory: &'a BuildDirectory,
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
    journal
        .phases
        .enter(PhaseType::UploadArtifacts, Timestamp::now());
    let Reported { reports, failure } = report::reports(upload, journal, &mut log).await?;
    let (stored, failed) = artifacts(upload, journal).await?;
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
    journal
        .phases
        .leave(status, Some(context), Timestamp::now());
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
    journal: &Journal<'_>,
) -> Result<(Vec<Artifact>, Option<PhaseContext>), Abort> {
    let Upload {
        request,
        plan,
        directory,
        ..
    } = upload;
    let mut stored = Vec::new();
    let mut failure = None;
    for (index, artifact) in plan.artifacts.iter().enumerate() {
        let Some(collected) = journal.collected.get(&index) else {
            continue;
        };
        match store(
            request,
            directory,
            index,
            artifact.identifier.as_deref(),
            collected,
        )
        .await?
        {
            Ok(artifact) => stored.push(artifact),
            Err(context) => failure = failure.or(Some(context)),
        }
    }
    Ok((stored, failure))
}

/// Stores one artifact. The inner error is the build's, the outer one the agent's.
async fn store(
    request: &BuildRequest,
    directory: &BuildDirectory,
    index: usize,
    identifier: Option<&str>,
    collected: &Collected,
) -> Result<Result<Artifact, PhaseContext>, Abort> {
    let name = match collected {
        Collected::Failed(context) => return Ok(Err(context.clone())),
        Collected::Complete { name } => name.as_deref(),
    };
    let ArtifactDestination::Directory(root) = &request.artifacts else {
        return Err(anyhow::anyhow!("an artifact was collected that nobody asked for").into());
    };
    let Some(destination) = destination(root, identifier, name) else {
        let message = format!(
            "artifact name `{}` is not a path inside the artifact directory",
            name.unwrap_or_default()
        );
        return Ok(Err(PhaseContext::new("CLIENT_ERROR", message)));
    };
    let source = directory.artifact(index);
    let location = destination.display().to_string();
    let files =
        tokio::task::spawn_blocking(move || artifacts::store_in_directory(&source, &destination))
            .await??;
    Ok(Ok(Artifact {
        artifact_identifier: identifier.map(str::to_owned),
        location,
        files,
    }))
}

/// The directory of an artifact: the primary one's is the root, a secondary one's is named by its
/// identifier; below it stands the name, if the buildspec has one. `None` for a name that leads
/// somewhere else.
fn destination(root: &Path, identifier: Option<&str>, name: Option<&str>) -> Option<PathBuf> {
    let mut path = root.join(identifier.unwrap_or_default());
    let name = Path::new(name.unwrap_or_default().trim_matches('/'));
    for part in name.components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            _ => return None,
        }
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifacts_name_is_a_path_below_its_directory() {
        let root = Path::new("/out");
        for (identifier, name, expected) in [
            (None, None, Some("/out")),
            (None, Some("v1/app"), Some("/out/v1/app")),
            (Some("docs"), None, Some("/out/docs")),
            (Some("docs"), Some("/v1/"), Some("/out/docs/v1")),
            (None, Some("/"), Some("/out")),
            (None, Some("../x"), None),
            (None, Some("a/../../x"), None),
        ] {
            let path = destination(root, identifier, name);
            // Compared as paths: a trailing slash means nothing.
            assert_eq!(
                path.as_deref(),
                expected.map(Path::new),
                "{identifier:?} {name:?}"
            );
        }
    }
}
