//! Images of build containers.

use bollard::errors::Error as ClientError;
use bollard::query_parameters::CreateImageOptions;
use futures_util::TryStreamExt;

use super::{DockerError, Engine, is_not_found};

impl Engine {
    /// Pulls an image unless the engine has it, and gives its ENTRYPOINT.
    pub async fn ensure_image(&self, image: &str) -> Result<Vec<String>, DockerError> {
        if let Some(entrypoint) = self.entrypoint(image).await? {
            return Ok(entrypoint);
        }
        self.pull_image(image).await?;
        Ok(self.entrypoint(image).await?.unwrap_or_default())
    }

    /// The ENTRYPOINT of an image; `None` if the engine does not have it.
    async fn entrypoint(&self, image: &str) -> Result<Option<Vec<String>>, DockerError> {
        match self.client.inspect_image(image).await {
            Ok(image) => Ok(Some(
                image
                    .config
                    .and_then(|config| config.entrypoint)
                    .unwrap_or_default(),
            )),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(DockerError::request(format!("inspect image {image}"))(
                error,
            )),
        }
    }

    async fn pull_image(&self, image: &str) -> Result<(), DockerError> {
        tracing::info!(image, "pulling image {image}");
        let options = CreateImageOptions {
            from_image: Some(with_tag(image)),
            ..CreateImageOptions::default()
        };
        let pulled: Result<Vec<_>, _> = self
            .client
            .create_image(Some(options), None, None)
            .try_collect()
            .await;
        match pulled {
            Ok(_) => Ok(()),
            Err(
                ClientError::DockerResponseServerError { message, .. }
                | ClientError::DockerStreamError { error: message },
            ) => Err(DockerError::Pull {
                image: image.to_owned(),
                message,
            }),
            Err(error) => Err(DockerError::request(format!("pull image {image}"))(error)),
        }
    }
}

/// An image's name with a tag: without one the engine would pull every tag there is.
fn with_tag(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    if last.contains([':', '@']) {
        image.to_owned()
    } else {
        format!("{image}:latest")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_without_a_tag_is_the_latest() {
        for (image, expected) in [
            ("debian", "debian:latest"),
            ("host:5000/debian", "host:5000/debian:latest"),
            ("debian:12", "debian:12"),
            ("debian@sha256:00", "debian@sha256:00"),
        ] {
            assert_eq!(with_tag(image), expected);
        }
    }
}
