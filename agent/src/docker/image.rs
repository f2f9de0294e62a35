//! Images of build containers.

use std::collections::HashMap;

use bollard::auth::DockerCredentials;
use bollard::errors::Error as ClientError;
use bollard::models::CreateImageInfo;
use bollard::query_parameters::{CreateImageOptions, TagImageOptions};
use futures_util::StreamExt;
use secrecy::{ExposeSecret, SecretString};

use super::{DockerError, Engine, is_not_found};

/// An image that the engine has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredImage {
    /// Its ENTRYPOINT.
    pub entrypoint: Vec<String>,
    /// Its size, in bytes.
    pub size_bytes: u64,
    /// When it was made, in RFC 3339.
    pub created: Option<String>,
}

/// What a registry wants to see before it hands out an image.
#[derive(Debug, Clone)]
pub struct RegistryLogin {
    /// The user.
    pub username: String,
    /// The password, or the token that stands for one.
    pub password: SecretString,
}

/// How far a pull has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PullProgress {
    /// Layers that are complete.
    pub layers_done: usize,
    /// Layers that are known of.
    pub layers: usize,
    /// Bytes that have arrived.
    pub bytes_done: u64,
    /// Bytes of all layers whose size is known.
    pub bytes: u64,
}

impl Engine {
    /// An image by its name; `None` if the engine does not have it.
    pub async fn stored_image(&self, image: &str) -> Result<Option<StoredImage>, DockerError> {
        match self.client.inspect_image(image).await {
            Ok(stored) => Ok(Some(StoredImage {
                size_bytes: stored
                    .size
                    .and_then(|size| size.try_into().ok())
                    .unwrap_or_default(),
                created: stored.created,
                entrypoint: stored
                    .config
                    .and_then(|config| config.entrypoint)
                    .unwrap_or_default(),
            })),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(DockerError::request(format!("inspect image {image}"))(
                error,
            )),
        }
    }

    /// Pulls an image by its whole name, which has a tag or a digest. `progress` is called with every
    /// message of the engine's: often.
    pub async fn pull_image(
        &self,
        image: &str,
        login: Option<&RegistryLogin>,
        progress: &mut (dyn FnMut(PullProgress) + Send),
    ) -> Result<(), DockerError> {
        tracing::info!(image, "pulling image {image}");
        let options = CreateImageOptions {
            from_image: Some(image.to_owned()),
            ..CreateImageOptions::default()
        };
        let credentials = login.map(|login| DockerCredentials {
            username: Some(login.username.clone()),
            password: Some(login.password.expose_secret().to_owned()),
            ..DockerCredentials::default()
        });
        let mut layers = Layers::default();
        let messages = self.client.create_image(Some(options), None, credentials);
        let mut messages = std::pin::pin!(messages);
        while let Some(message) = messages.next().await {
            match message {
                Ok(message) => progress(layers.take(message)),
                Err(
                    ClientError::DockerResponseServerError { message, .. }
                    | ClientError::DockerStreamError { error: message },
                ) => {
                    return Err(DockerError::Pull {
                        image: image.to_owned(),
                        message,
                    });
                }
                Err(error) => {
                    return Err(DockerError::request(format!("pull image {image}"))(error));
                }
            }
        }
        Ok(())
    }

    /// Gives an image that the engine has a further name, `repository` and `tag`.
    pub async fn tag_image(
        &self,
        image: &str,
        repository: &str,
        tag: &str,
    ) -> Result<(), DockerError> {
        let options = TagImageOptions {
            repo: Some(repository.to_owned()),
            tag: Some(tag.to_owned()),
        };
        let tagged = self.client.tag_image(image, Some(options)).await;
        tagged.map_err(DockerError::request(format!("tag image {image}")))
    }
}

/// The layers of an image on their way, by the identifiers that the engine gives them.
#[derive(Debug, Default)]
struct Layers(HashMap<String, Layer>);

#[derive(Debug, Default)]
struct Layer {
    done: bool,
    bytes_done: u64,
    bytes: u64,
}

impl Layers {
    /// Takes a message of the engine's, and tells how far the pull has come.
    fn take(&mut self, message: CreateImageInfo) -> PullProgress {
        let status = message.status.unwrap_or_default();
        if let Some(id) = message.id
            && !status.starts_with("Pulling from")
        {
            let layer = self.0.entry(id).or_default();
            match status.as_str() {
                "Downloading" => {
                    let detail = message.progress_detail.unwrap_or_default();
                    let bytes = |count: Option<i64>| {
                        count
                            .and_then(|count| count.try_into().ok())
                            .unwrap_or_default()
                    };
                    layer.bytes_done = bytes(detail.current);
                    layer.bytes = bytes(detail.total).max(layer.bytes_done);
                }
                "Download complete" => layer.bytes_done = layer.bytes,
                "Pull complete" | "Already exists" => {
                    layer.bytes_done = layer.bytes;
                    layer.done = true;
                }
                _ => {}
            }
        }
        let layers = self.0.values();
        PullProgress {
            layers_done: layers.clone().filter(|layer| layer.done).count(),
            layers: layers.len(),
            bytes_done: layers.clone().map(|layer| layer.bytes_done).sum(),
            bytes: layers.map(|layer| layer.bytes).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_the_sum_of_the_layers() {
        let mut layers = Layers::default();
        let mut take = |json: &str| layers.take(serde_json::from_str(json).unwrap());
        take(r#"{"status": "Pulling from library/debian", "id": "12"}"#);
        take(r#"{"status": "Pulling fs layer", "id": "a"}"#);
        take(r#"{"status": "Already exists", "id": "b"}"#);
        let progress = take(
            r#"{"status": "Downloading", "id": "a", "progressDetail": {"current": 30, "total": 100}}"#,
        );
        let expected = PullProgress {
            layers_done: 1,
            layers: 2,
            bytes_done: 30,
            bytes: 100,
        };
        assert_eq!(progress, expected);
        take(r#"{"status": "Download complete", "id": "a"}"#);
        let progress = take(r#"{"status": "Pull complete", "id": "a"}"#);
        assert_eq!((progress.layers_done, progress.bytes_done), (2, 100));
    }
}
