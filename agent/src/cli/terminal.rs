//! The terminal of the person: raw, while a shell in a container has it.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use async_trait::async_trait;
use executor::protocol::{TerminalInput, WindowSize};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, WriteHalf};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::place::ShellConnection;
use crate::api::{Frame, Frames};
use crate::build::PausedBuild;
use crate::config;
use crate::docker::{Engine, ExecInput, ExecOutput};

/// Most that is read of the keyboard at once, in bytes.
const PIECE: usize = 16 * 1024;

/// Pieces on their way to the shell; when they pile up, nothing more is read.
const PIECES: usize = 4;

/// Whether there is a terminal to show a shell in.
pub(super) fn is_there() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Gives the terminal to a shell in the place of the paused command, until the shell ends; gives its
/// exit code. Dropped, the shell is hung up and the terminal is as it was.
pub(super) async fn run_shell(engine: &Engine, paused: &PausedBuild) -> anyhow::Result<u8> {
    let resized = signal(SignalKind::window_change())?;
    let mut exec = paused.shell(engine, size(), kind().as_deref()).await?;
    let raw = RawMode::enter().context("cannot use the terminal")?;
    let ended = pass_on(&mut exec.input, &mut exec.output, resized).await;
    drop(raw);
    ended?;
    let code = exec.end.exit_code().await?;
    let code = code.context(BUILD_ENDED)?;
    Ok(u8::try_from(code).unwrap_or(u8::MAX))
}

/// The same for a shell that a server has opened at the other end of a connection.
pub(super) async fn run_remote_shell(connection: ShellConnection) -> anyhow::Result<u8> {
    let resized = signal(SignalKind::window_change())?;
    let (reader, mut writer) = tokio::io::split(connection.stream);
    let mut output = RemoteOutput {
        frames: Frames::new(reader),
        end: None,
    };
    let raw = RawMode::enter().context("cannot use the terminal")?;
    let ended = pass_on(&mut writer, &mut output, resized).await;
    drop(raw);
    ended?;
    match output.end {
        Some(Frame::Ended(code)) => Ok(code),
        _ => Err(anyhow!(BUILD_ENDED)),
    }
}

/// What is said when a shell has no end of its own.
const BUILD_ENDED: &str = "the build has ended, and its container with it";

/// The kind of terminal, if it is known.
pub(super) fn kind() -> Option<String> {
    config::process_environment("TERM")
}

/// Where the keys go.
#[async_trait]
trait Input: Send {
    async fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()>;

    /// Nothing follows: the shell is hung up.
    async fn end(&mut self);
}

/// Where the screen comes from.
#[async_trait]
trait Output: Send {
    /// The next piece; `None` when the shell has ended.
    async fn next(&mut self) -> anyhow::Result<Option<Vec<u8>>>;
}

#[async_trait]
impl Input for ExecInput {
    async fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(ExecInput::write(self, bytes).await?)
    }

    async fn end(&mut self) {
        ExecInput::end(self).await;
    }
}

#[async_trait]
impl Output for ExecOutput {
    async fn next(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        Ok(ExecOutput::next(self).await.transpose()?)
    }
}

#[async_trait]
impl<W: AsyncWrite + Send + Unpin> Input for WriteHalf<W> {
    async fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.write_all(bytes).await?;
        Ok(self.flush().await?)
    }

    async fn end(&mut self) {
        // Fails only where the server has gone, which needs no telling.
        let _ = self.shutdown().await;
    }
}

/// What a server sends of a shell, and how it ended.
struct RemoteOutput<R> {
    frames: Frames<R>,
    end: Option<Frame>,
}

#[async_trait]
impl<R: AsyncRead + Send + Unpin> Output for RemoteOutput<R> {
    async fn next(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        match self.frames.next().await? {
            Frame::Output(bytes) => Ok(Some(bytes)),
            end => {
                self.end = Some(end);
                Ok(None)
            }
        }
    }
}

/// The size of the window; of one that has none, that of old.
pub(super) fn size() -> WindowSize {
    let found = tcgetwinsize(io::stdout()).ok();
    let (rows, columns) = found
        .map(|size| (size.ws_row, size.ws_col))
        .filter(|(rows, columns)| *rows > 0 && *columns > 0)
        .unwrap_or((24, 80));
    WindowSize { rows, columns }
}

/// Passes everything on until the shell has ended. The two directions do not wait for each other: a
/// shell that does not read while it writes would wait for ever.
async fn pass_on(
    input: &mut dyn Input,
    output: &mut dyn Output,
    resized: Signal,
) -> anyhow::Result<()> {
    let mut keyboard = Keyboard::start()?;
    let input = async {
        pass_on_input(&mut keyboard, resized, input).await?;
        // The shell is hung up, and its output ends.
        input.end().await;
        std::future::pending().await
    };
    tokio::select! {
        ended = pass_on_output(output) => ended,
        ended = input => ended,
    }
}

async fn pass_on_input(
    keyboard: &mut Keyboard,
    mut resized: Signal,
    input: &mut dyn Input,
) -> anyhow::Result<()> {
    loop {
        let message = tokio::select! {
            keys = keyboard.pieces.recv() => match keys {
                Some(keys) => TerminalInput::Keys(keys),
                None => return Ok(()),
            },
            Some(()) = resized.recv() => TerminalInput::Size(size()),
        };
        input.write(&message.encode()).await?;
    }
}

async fn pass_on_output(output: &mut dyn Output) -> anyhow::Result<()> {
    while let Some(piece) = output.next().await? {
        let mut screen = io::stdout().lock();
        screen.write_all(&piece)?;
        screen.flush()?;
    }
    Ok(())
}

/// A terminal that passes every key on as it is. Dropped, it is as it was.
struct RawMode {
    before: Termios,
}

impl RawMode {
    fn enter() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Drain, &raw)?;
        Ok(Self { before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // Fails only if the terminal is gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &self.before);
    }
}

/// Reads the keyboard in a thread of its own, which can be called off: one that waits for a key would
/// hold the program at its end.
struct Keyboard {
    pieces: mpsc::Receiver<Vec<u8>>,
    called_off: Arc<EventFd>,
}

impl Keyboard {
    fn start() -> io::Result<Self> {
        let called_off = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC)?);
        let (sender, pieces) = mpsc::channel(PIECES);
        let until = Arc::clone(&called_off);
        // Waited for through the channel, which closes when the thread ends.
        tokio::task::spawn_blocking(move || {
            while let Some(piece) = read_keys(&until) {
                if sender.blocking_send(piece).is_err() {
                    return;
                }
            }
        });
        Ok(Self { pieces, called_off })
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        // Fails only for a counter that is full, which is as good.
        let _ = self.called_off.write(1);
    }
}

/// What was typed; `None` at the end of the input, or when the reading is called off.
fn read_keys(called_off: &EventFd) -> Option<Vec<u8>> {
    let input = io::stdin();
    let mut sources =
        [input.as_fd(), called_off.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
    loop {
        match poll(&mut sources, PollTimeout::NONE) {
            Ok(_) => break,
            Err(nix::Error::EINTR) => {}
            Err(_) => return None,
        }
    }
    if sources[1].any().unwrap_or(true) {
        return None;
    }
    let mut piece = vec![0; PIECE];
    let read = nix::unistd::read(input.as_fd(), &mut piece).ok()?;
    piece.truncate(read);
    (read > 0).then_some(piece)
}
