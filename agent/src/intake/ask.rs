//! From the members of `StartBuild` to the request for a build.

use std::slice;

use super::Refusal;
use crate::model::{BuildRequest, Overrides, Site, StoredProject};
use crate::store::{Kind, Needs, Store};

/// What somebody asks for.
#[derive(Debug)]
pub(super) struct Ask {
    /// The members of `StartBuild`.
    pub(super) overrides: Overrides,
    /// The project, where it was sent along; otherwise the store has it.
    pub(super) project: Option<StoredProject>,
    /// Who is said to have asked.
    pub(super) initiator: String,
}

/// Makes the request for it.
pub(super) async fn request(
    ask: &Ask,
    store: &dyn Store,
    site: &Site,
) -> Result<BuildRequest, Refusal> {
    let stored;
    let project = if let Some(project) = &ask.project {
        project
    } else {
        stored = stored_project(ask, store, site).await?;
        &stored
    };
    let request = BuildRequest::ask(project, &ask.overrides, ask.initiator.clone(), site);
    request.map_err(|error| Refusal::ForGood(error.to_string()))
}

async fn stored_project(
    ask: &Ask,
    store: &dyn Store,
    site: &Site,
) -> Result<StoredProject, Refusal> {
    let name = ask.overrides.project_name.as_deref();
    let name = name.ok_or_else(|| Refusal::ForGood("projectName is required".to_owned()))?;
    // As an ARN or as it is.
    let name = match name.rsplit_once(":project/") {
        Some((_, name)) => name.to_owned(),
        None => name.to_owned(),
    };
    let found = store
        .resources(Kind::Project, slice::from_ref(&name))
        .await?;
    let found = found.into_iter().next().ok_or_else(|| {
        let Site {
            region, account, ..
        } = site;
        Refusal::ForGood(format!(
            "Project cannot be found: arn:aws:codebuild:{region}:{account}:project/{name}"
        ))
    })?;
    StoredProject::read(found.body)
        .map_err(|error| Refusal::ForNow(format!("project {name} cannot be read: {error}")))
}

/// Makes sure that a build goes where somebody can run it: one that no worker of this store could ever run would
/// wait for nothing, while another store's may be able to.
pub(super) async fn check_workers(
    request: &BuildRequest,
    store: &dyn Store,
) -> Result<(), Refusal> {
    let needs = Needs::of(request);
    let agents = store.agents().await?;
    if agents.is_empty() {
        return Err(Refusal::ForNow("no worker has shown itself yet".to_owned()));
    }
    if agents
        .iter()
        .any(|(agent, _)| agent.share(&needs).is_some())
    {
        return Ok(());
    }
    let fleet = match &needs.fleet {
        Some(fleet) => format!(" of fleet {fleet}"),
        None => String::new(),
    };
    Err(Refusal::ForGood(format!(
        "no worker of this store runs builds of type {:?}{fleet} of this size",
        needs.environment_type
    )))
}
