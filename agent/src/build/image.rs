//! The image of a build: chosen, and pulled where the engine lacks it.

use std::time::{Duration, Instant};

use anyhow::Context;

use super::{Abort, Tools, registry_login};
use crate::config::PullPolicy;
use crate::docker::{DockerError, PullProgress, RegistryLogin, StoredImage};
use crate::images::{Catalog, Reference};
use crate::logs::AgentLog;
use crate::model::{BuildRequest, PhaseContext};

/// Time between two lines of the log that tell how far a pull has come.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

/// Our own images. They are built and not pulled: in a public registry the name may be a stranger's.
const OWN: &str = "buildspec-agent/";

/// The image in which a build runs.
#[derive(Debug)]
pub(super) struct Image {
    /// Its name, which the engine knows.
    pub(super) name: String,
    /// Its ENTRYPOINT.
    pub(super) entrypoint: Vec<String>,
}

/// Finds the image of a build, or pulls it. What takes time is told in the log.
pub(super) async fn provide(
    request: &BuildRequest,
    tools: &Tools,
    log: &mut AgentLog,
) -> Result<Image, Abort> {
    let mut provider = Provider {
        request,
        tools,
        log,
    };
    let catalog = Catalog::new(tools.config.image_aliases.clone());
    let candidates = catalog.candidates(&request.image);
    let image = provider.first_of(&candidates).await?;
    if image.name != request.image {
        let line = format!("Image {} runs here as {}", request.image, image.name);
        provider.log.line(&line)?;
    }
    Ok(image)
}

/// The engine's name of an image that stands for a build's, where the engine has one.
pub(super) async fn stored_name(image: &str, tools: &Tools) -> Result<Option<String>, DockerError> {
    let catalog = Catalog::new(tools.config.image_aliases.clone());
    for name in catalog.candidates(image) {
        if tools.engine.stored_image(&name).await?.is_some() {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

struct Provider<'a> {
    request: &'a BuildRequest,
    tools: &'a Tools,
    log: &'a mut AgentLog,
}

impl Provider<'_> {
    /// The first candidate that the engine has, or else the first that can be pulled; told is why the
    /// best one cannot.
    async fn first_of(&mut self, candidates: &[String]) -> Result<Image, Abort> {
        let policy = self.tools.config.pull_policy;
        if policy != PullPolicy::Always {
            for name in candidates {
                if let Some(image) = self.stored(name).await? {
                    return Ok(image);
                }
            }
        }
        let mut failure = None;
        for name in candidates {
            match self.pulled(name, policy).await {
                Ok(image) => return Ok(image),
                Err(DockerError::Pull { image, message }) => {
                    failure.get_or_insert(DockerError::Pull { image, message });
                }
                Err(error) => return Err(error.into()),
            }
        }
        let failure = failure.context("there is no candidate for an image's name")?;
        Err(cannot_pull(failure))
    }

    async fn stored(&self, name: &str) -> Result<Option<Image>, DockerError> {
        let stored = self.tools.engine.stored_image(name).await?;
        Ok(stored.map(|StoredImage { entrypoint, .. }| Image {
            name: name.to_owned(),
            entrypoint,
        }))
    }

    /// Pulls one image, from a mirror of its registry where there is one that has it.
    async fn pulled(&mut self, name: &str, policy: PullPolicy) -> Result<Image, DockerError> {
        let failed = |message: &str| DockerError::Pull {
            image: name.to_owned(),
            message: message.to_owned(),
        };
        if name.starts_with(OWN) {
            let stored = self.stored(name).await?;
            return stored.ok_or_else(|| {
                failed("it is one of ours and was not built: run `buildspec-agent images build`")
            });
        }
        if policy == PullPolicy::Never {
            return Err(failed("it is not there, and `pull_policy` is `never`"));
        }
        let reference = Reference::parse(name);
        let registries = &self.tools.config.registries;
        let settings = registries
            .get(&reference.registry)
            .cloned()
            .unwrap_or_default();
        let login = registry_login::find(&reference, self.request, self.tools).await;
        let login = login.map_err(|error| failed(&error.to_string()))?;
        for mirror in &settings.mirrors {
            let mirrored = reference.in_mirror(mirror);
            let login = login.as_ref().filter(|_| settings.login_to_mirrors);
            match self.pull(&mirrored, login).await {
                Ok(()) => return self.renamed(&reference, &mirrored).await,
                Err(DockerError::Pull { message, .. }) => {
                    tracing::warn!(image = name, mirror, "mirror {mirror}: {message}");
                }
                Err(error) => return Err(error),
            }
        }
        self.pull(&reference, login.as_ref()).await?;
        let stored = self.stored(&reference.name()).await?;
        stored.ok_or_else(|| failed("it was pulled and is not there"))
    }

    /// Gives an image that came from a mirror the name it was asked for. A digest is no name that one
    /// could give: such an image keeps its mirror's.
    async fn renamed(
        &self,
        reference: &Reference,
        mirrored: &Reference,
    ) -> Result<Image, DockerError> {
        let mut name = mirrored.name();
        if reference.digest().is_none() {
            let tag = reference.version.trim_start_matches(':');
            let whole = reference.name();
            let repository = whole.strip_suffix(&reference.version).unwrap_or(&whole);
            self.tools.engine.tag_image(&name, repository, tag).await?;
            name = whole;
        }
        let stored = self.stored(&name).await?;
        stored.ok_or_else(|| DockerError::Pull {
            image: name.clone(),
            message: "it was pulled and is not there".to_owned(),
        })
    }

    /// Pulls an image by one name, and tells of it.
    async fn pull(
        &mut self,
        reference: &Reference,
        login: Option<&RegistryLogin>,
    ) -> Result<(), DockerError> {
        let name = reference.name();
        let started = Instant::now();
        let mut told = started;
        // A line that cannot be written is no reason to stop a pull: the next writer will say why.
        let _ = self.log.line(&format!("Pulling image {name}"));
        let mut last = PullProgress::default();
        let log = &mut *self.log;
        let mut progress = |progress: PullProgress| {
            last = progress;
            if told.elapsed() >= PROGRESS_INTERVAL {
                told = Instant::now();
                let _ = log.line(&format!("Pulling image {name}: {}", so_far(progress)));
            }
        };
        let engine = &self.tools.engine;
        engine.pull_image(&name, login, &mut progress).await?;
        let seconds = started.elapsed().as_secs_f64();
        let _ = self.log.line(&format!(
            "Pulled image {name}: {}, {seconds:.1} s",
            so_far(last)
        ));
        Ok(())
    }
}

/// How far a pull has come, in words.
fn so_far(progress: PullProgress) -> String {
    let megabytes = |bytes: u64| bytes.div_ceil(100_000);
    let (done, all) = (megabytes(progress.bytes_done), megabytes(progress.bytes));
    format!(
        "{} of {} layers, {}.{} of {}.{} MB",
        progress.layers_done,
        progress.layers,
        done / 10,
        done % 10,
        all / 10,
        all % 10
    )
}

/// CodeBuild's words for an image that cannot be pulled (API, `PhaseContext`).
fn cannot_pull(cause: DockerError) -> Abort {
    let daemon = match &cause {
        DockerError::Pull { message, .. } => message.clone(),
        other => other.to_string(),
    };
    let limit = if cause.is_rate_limit() {
        ". The registry limits how often images are pulled from it: log in to it, or pull through a mirror"
    } else {
        ""
    };
    let message = format!(
        "Unable to pull customer's container image. CannotPullContainerError: Error response from daemon: {daemon}{limit}"
    );
    let context = PhaseContext::new("BUILD_CONTAINER_UNABLE_TO_PULL_IMAGE", message);
    Abort::Failed {
        context,
        cause: Some(cause.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_limit_is_named() {
        let pull = |message: &str| {
            cannot_pull(DockerError::Pull {
                image: "debian:12".to_owned(),
                message: message.to_owned(),
            })
        };
        for (message, is_limit) in [
            (
                "toomanyrequests: You have reached your pull rate limit.",
                true,
            ),
            ("manifest unknown", false),
        ] {
            let Abort::Failed { context, .. } = pull(message) else {
                panic!("{message}")
            };
            assert_eq!(
                context.message.contains("limits how often"),
                is_limit,
                "{message}"
            );
        }
    }

    #[test]
    fn progress_reads_in_megabytes() {
        let progress = PullProgress {
            layers_done: 1,
            layers: 3,
            bytes_done: 1_250_000,
            bytes: 20_000_000,
        };
        assert_eq!(so_far(progress), "1 of 3 layers, 1.3 of 20.0 MB");
    }
}
