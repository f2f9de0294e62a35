//! Shells in paused builds, for clients elsewhere: a request that asks for an upgraded connection comes
//! in, the connection becomes the terminal of a shell.
//!
//! From the client come the executor's own messages (`executor::protocol::TerminalInput`), which are
//! passed on as they are: it reads them as carefully as if they came from here. To the client go
//! [`Frame`]s.

mod frame;

use anyhow::Context;
use executor::protocol::WindowSize;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

pub use frame::{Frame, FrameError, Frames};

use super::error::ApiError;
use super::operations::{Call, paused};
use crate::docker::{Exec, ExecInput, ExecOutput};

/// The protocol to which a connection is upgraded.
pub const PROTOCOL: &str = "buildspec-agent-shell";

/// Most that is read of the client at once, in bytes.
const PIECE: usize = 16 * 1024;

/// Longest name of a kind of terminal, such as `xterm-256color`.
const LONGEST_KIND: usize = 64;

/// Which build, and what the terminal of the person is like.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AttachInput {
    id: Option<String>,
    rows: Option<u16>,
    columns: Option<u16>,
    terminal: Option<String>,
}

/// A shell that runs, and the connection that will be its terminal.
#[derive(Debug)]
pub(super) struct Session {
    exec: Exec,
    connection: OnUpgrade,
    build: String,
}

/// Starts a shell in the place of the command at which a build is paused.
pub(super) async fn open(
    call: &Call,
    input: AttachInput,
    connection: Option<OnUpgrade>,
) -> Result<Session, ApiError> {
    let connection = connection.ok_or_else(|| {
        ApiError::invalid(format!(
            "Invalid request: AttachBuild needs a connection that can be upgraded to {PROTOCOL}"
        ))
    })?;
    let kind = input.terminal.filter(|kind| is_kind(kind));
    let size = WindowSize {
        rows: input.rows.filter(|rows| *rows > 0).unwrap_or(24),
        columns: input.columns.filter(|columns| *columns > 0).unwrap_or(80),
    };
    let paused = paused::find(call, input.id.as_deref()).await?;
    let engine = call.engine().ok_or_else(|| {
        ApiError::invalid(
            "Invalid request: this server runs no builds itself, so that no shell can be opened through it",
        )
    })?;
    let exec = paused.shell(engine, size, kind.as_deref()).await;
    Ok(Session {
        exec: exec.map_err(ApiError::fault)?,
        connection,
        build: paused.pause.build,
    })
}

/// Whether a text can name a kind of terminal: it becomes a variable of the shell.
fn is_kind(text: &str) -> bool {
    (1..=LONGEST_KIND).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_+.".contains(&byte))
}

impl Session {
    /// Lets client and shell talk until one of them has gone, or `stop` is cancelled. The shell is hung
    /// up in any case.
    pub(super) async fn run(self, stop: &CancellationToken) {
        let build = self.build.clone();
        match stop.run_until_cancelled(self.talk()).await {
            Some(Ok(())) => tracing::info!(build.id = %build, "a shell in build {build} has ended"),
            Some(Err(error)) => {
                tracing::warn!(build.id = %build, "a shell in build {build} broke off: {error:#}");
            }
            None => {}
        }
    }

    async fn talk(mut self) -> anyhow::Result<()> {
        let connection = self.connection.await.context("the client has gone")?;
        let (reader, mut writer) = tokio::io::split(TokioIo::new(connection));
        let input = pass_on_input(reader, &mut self.exec.input);
        tokio::select! {
            ended = pass_on_output(&mut self.exec.output, &mut writer) => ended?,
            ended = input => return ended,
        }
        let code = self.exec.end.exit_code().await?;
        let end = code.map_or(Frame::Lost, |code| {
            Frame::Ended(u8::try_from(code).unwrap_or(u8::MAX))
        });
        writer.write_all(&end.encode()).await?;
        Ok(writer.shutdown().await?)
    }
}

/// Ends with the client only: the shell is hung up then, and its output ends.
async fn pass_on_input(
    mut reader: impl AsyncRead + Unpin,
    input: &mut ExecInput,
) -> anyhow::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let read = reader.read(&mut piece).await.unwrap_or(0);
        if read == 0 {
            input.end().await;
            return Ok(());
        }
        input.write(&piece[..read]).await?;
    }
}

async fn pass_on_output(
    output: &mut ExecOutput,
    writer: &mut (impl AsyncWrite + Unpin),
) -> anyhow::Result<()> {
    while let Some(piece) = output.next().await {
        writer.write_all(&Frame::Output(piece?).encode()).await?;
        writer.flush().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::is_kind;

    #[test]
    fn a_kind_of_terminal_is_a_plain_name() {
        for (text, expected) in [
            ("xterm-256color", true),
            ("", false),
            ("a b", false),
            ("x\nLD_PRELOAD=/evil", false),
            (&"x".repeat(65), false),
        ] {
            assert_eq!(is_kind(text), expected, "{text:?}");
        }
    }
}
