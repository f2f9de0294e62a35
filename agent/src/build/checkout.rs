//! Where the sources lie, on the host and in the container, and how they get there.

use std::fs;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::Abort;
use crate::data_directory::{BuildDirectory, DirectoryError};
use crate::docker::Mount;
use crate::model::{BuildRequest, Placement, SourceLocation, SourceType};
use crate::source::{self, SourceError};

/// The place of the source.
#[derive(Debug)]
pub(super) struct Checkout {
    on_host: PathBuf,
    in_container: String,
    placement: Placement,
    secondary: Vec<Secondary>,
}

/// The place of a further source.
#[derive(Debug)]
struct Secondary {
    identifier: String,
    from: SourceLocation,
    on_host: PathBuf,
    in_container: String,
}

impl Checkout {
    /// Chooses the place. In the container it is `/codebuild/output/src<digits>/src`, with other
    /// digits for every build.
    pub(super) fn choose(
        request: &BuildRequest,
        directory: &BuildDirectory,
    ) -> Result<Self, DirectoryError> {
        let digits = request.id.uuid.as_fields().0;
        let relative = format!("src{digits}/src");
        let in_workspace = directory.output().join(&relative);
        fs::create_dir_all(&in_workspace)
            .map_err(DirectoryError::new("create directory", &in_workspace))?;
        let secondary = request.secondary_sources.iter().map(|source| {
            let relative = format!("src{digits}/secSrc/{}", source.identifier);
            Secondary {
                identifier: source.identifier.clone(),
                from: source.location.clone(),
                on_host: directory.output().join(&relative),
                in_container: format!("/codebuild/output/{relative}"),
            }
        });
        let (on_host, placement) = match &request.source {
            SourceLocation::Directory {
                path,
                placement: Placement::InPlace,
            } => (path.clone(), Placement::InPlace),
            _ => (in_workspace, Placement::Copy),
        };
        Ok(Self {
            secondary: secondary.collect(),
            on_host,
            in_container: format!("/codebuild/output/{relative}"),
            placement,
        })
    }

    /// `CODEBUILD_SRC_DIR`.
    pub(super) fn in_container(&self) -> &str {
        &self.in_container
    }

    /// Identifier and `CODEBUILD_SRC_DIR_<identifier>` of each further source.
    pub(super) fn secondary(&self) -> impl Iterator<Item = (&str, &str)> {
        self.secondary
            .iter()
            .map(|source| (source.identifier.as_str(), source.in_container.as_str()))
    }

    /// The source directory on this machine.
    pub(super) fn on_host(&self) -> &Path {
        &self.on_host
    }

    /// The mount a source outside the workspace needs.
    pub(super) fn mount(&self) -> Option<Mount> {
        (self.placement == Placement::InPlace).then(|| Mount {
            source: self.on_host.clone(),
            target: self.in_container.clone(),
            read_only: false,
        })
    }
}

/// Puts the sources into their places.
pub(super) async fn fetch(
    request: &BuildRequest,
    checkout: &Checkout,
    stop: &CancellationToken,
) -> Result<(), Abort> {
    let primary =
        (checkout.placement == Placement::Copy).then_some((&request.source, &checkout.on_host));
    let secondary = checkout
        .secondary
        .iter()
        .map(|source| (&source.from, &source.on_host));
    for (from, to) in primary.into_iter().chain(secondary) {
        let from = match from {
            SourceLocation::Directory { path, .. } => path,
            SourceLocation::Project(source) if source.source_type == SourceType::NoSource => {
                continue;
            }
            SourceLocation::Project(_) => {
                return Err(Abort::failed(
                    "CLIENT_ERROR",
                    "sources of this type are not supported yet: name a directory of this machine",
                ));
            }
        };
        match source::fetch_directory(from, to, stop).await {
            Err(SourceError::Stopped) => return Err(Abort::Stopped),
            fetched => fetched?,
        }
    }
    Ok(())
}
