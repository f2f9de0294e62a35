//! Programs started in a running container, beside its first process.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error as ClientError;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::{BuildContainer, DockerError, Engine};

/// How often the engine is asked for the exit code of a program whose output has ended: it learns of
/// the end a moment later.
const INTERVAL: Duration = Duration::from_millis(10);

/// How long it is asked.
const PATIENCE: Duration = Duration::from_secs(10);

/// A program in a container.
#[derive(Debug)]
pub struct Exec {
    /// Its standard input.
    pub input: ExecInput,
    /// Its standard output and error.
    pub output: ExecOutput,
    /// How it ends.
    pub end: ExecEnd,
}

/// How a program in a container ends.
#[derive(Debug)]
pub struct ExecEnd {
    engine: Engine,
    id: String,
    what: String,
}

/// The input of a program in a container. Dropped, it is at its end.
pub struct ExecInput {
    stream: Pin<Box<dyn AsyncWrite + Send>>,
    what: String,
}

/// The output of a program in a container.
pub struct ExecOutput {
    stream: Pin<Box<dyn Stream<Item = Result<LogOutput, ClientError>> + Send>>,
    what: String,
}

impl fmt::Debug for ExecInput {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "input of {}", self.what)
    }
}

impl fmt::Debug for ExecOutput {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "output of {}", self.what)
    }
}

impl BuildContainer {
    /// Starts a program as root, with these variables over those of the image.
    pub async fn exec(
        &self,
        command: Vec<String>,
        environment: Vec<String>,
    ) -> Result<Exec, DockerError> {
        let what = format!("a program in container {}", self.name());
        let options = CreateExecOptions {
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            user: Some("0:0".to_owned()),
            cmd: Some(command),
            env: Some(environment),
            ..CreateExecOptions::default()
        };
        let client = &self.engine().client;
        let created = client.create_exec(&self.name().to_string(), options).await;
        let id = created
            .map_err(DockerError::request(format!("start {what}")))?
            .id;
        let started = client.start_exec(&id, None::<StartExecOptions>).await;
        match started.map_err(DockerError::request(format!("start {what}")))? {
            StartExecResults::Attached { output, input } => Ok(Exec {
                input: ExecInput {
                    stream: input,
                    what: what.clone(),
                },
                output: ExecOutput {
                    stream: output,
                    what: what.clone(),
                },
                end: ExecEnd {
                    engine: self.engine().clone(),
                    id,
                    what,
                },
            }),
            StartExecResults::Detached => Err(DockerError::Request {
                operation: format!("start {what}"),
                source: "the engine gave no connection".into(),
            }),
        }
    }
}

impl ExecInput {
    /// Writes to the program.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), DockerError> {
        let written = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        written.await.map_err(|error| DockerError::Request {
            operation: format!("write to {}", self.what),
            source: error.into(),
        })
    }

    /// Tells the program that nothing follows.
    pub async fn end(&mut self) {
        // Fails only where the program has gone, which needs no telling.
        let _ = self.stream.shutdown().await;
    }
}

impl ExecOutput {
    /// What the program writes next; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Vec<u8>, DockerError>> {
        let piece = self.stream.next().await?;
        let piece = piece.map(|piece| piece.into_bytes().to_vec());
        Some(piece.map_err(DockerError::request(format!("read from {}", self.what))))
    }
}

impl ExecEnd {
    /// The exit code of the program, whose output has ended; `None` if its container is gone.
    pub async fn exit_code(&self) -> Result<Option<i64>, DockerError> {
        let asked = async {
            loop {
                match self.engine.client.inspect_exec(&self.id).await {
                    Ok(state) if state.running != Some(true) && state.exit_code.is_some() => {
                        return Ok(state.exit_code);
                    }
                    Ok(_) => tokio::time::sleep(INTERVAL).await,
                    Err(error) if super::is_not_found(&error) => return Ok(None),
                    Err(error) => return Err(error),
                }
            }
        };
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(asked) => asked.map_err(DockerError::request(format!("ask for {}", self.what))),
            // It has closed its output and lives on.
            Err(_) => Ok(None),
        }
    }
}
