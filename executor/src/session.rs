//! The socket of a debug session, inside the container: processes of the build wait there at a
//! breakpoint, or ask that the build goes on.
//!
//! Each of the two sides says one byte. Nothing else passes, and who asks is known from the kernel:
//! every process of the container may connect, whatever its user.

use std::fs::{self, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};

use nix::sys::socket::{getsockopt, sockopt};

use crate::places::Places;

/// Connections at a time. Whoever needs more than these is up to something else.
const CONNECTION_LIMIT: usize = 64;

/// What a process of the build asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// To wait at a breakpoint.
    Breakpoint,
    /// That the build goes on.
    Resume,
}

impl Request {
    /// The byte that stands for it.
    pub(crate) fn byte(self) -> u8 {
        match self {
            Self::Breakpoint => b'b',
            Self::Resume => b'r',
        }
    }
}

/// What it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// There is nothing to wait for, or nobody waits.
    Ignored,
    /// The build goes on.
    Resumed,
    /// The build goes on, and the command is to fail.
    GivenUp,
}

impl Answer {
    /// The byte that stands for it.
    pub(crate) fn byte(self) -> u8 {
        match self {
            Self::Ignored => b'i',
            Self::Resumed => b'r',
            Self::GivenUp => b'g',
        }
    }
}

/// The listening side. Nothing here waits.
#[derive(Debug)]
pub(crate) struct Session {
    listener: UnixListener,
    /// Those that have asked for nothing yet.
    silent: Vec<UnixStream>,
    /// Those that wait at a breakpoint, in the order in which they came.
    waiting: Vec<Waiting>,
    /// Those that want the build to go on.
    resuming: Vec<UnixStream>,
}

/// A process at a breakpoint.
#[derive(Debug)]
struct Waiting {
    stream: UnixStream,
    process: i32,
}

impl Session {
    /// Makes the socket, before any process of the build runs.
    pub(crate) fn listen(places: &Places) -> io::Result<Self> {
        let path = places.session();
        let listener = UnixListener::bind(&path)?;
        // Commands run as other users too.
        fs::set_permissions(&path, Permissions::from_mode(0o666))?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener,
            silent: Vec::new(),
            waiting: Vec::new(),
            resuming: Vec::new(),
        })
    }

    /// What to wait for.
    pub(crate) fn sources(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let waiting = self.waiting.iter().map(|waiting| waiting.stream.as_fd());
        std::iter::once(self.listener.as_fd())
            .chain(self.silent.iter().map(AsFd::as_fd))
            .chain(waiting)
    }

    /// Takes what has arrived.
    pub(crate) fn take(&mut self) {
        // Not all that want to: whoever connects without end would hold the executor.
        for _ in 0..CONNECTION_LIMIT {
            let Ok((stream, _)) = self.listener.accept() else {
                break;
            };
            let open = self.silent.len() + self.waiting.len();
            if open < CONNECTION_LIMIT && stream.set_nonblocking(true).is_ok() {
                self.silent.push(stream);
            }
        }
        for stream in std::mem::take(&mut self.silent) {
            match read_byte(&stream) {
                Heard::Nothing => self.silent.push(stream),
                Heard::Byte(byte) if byte == Request::Breakpoint.byte() => {
                    if let Some(process) = process(&stream) {
                        self.waiting.push(Waiting { stream, process });
                    }
                }
                Heard::Byte(byte) if byte == Request::Resume.byte() => self.resuming.push(stream),
                Heard::Byte(_) | Heard::End => {}
            }
        }
        self.waiting
            .retain(|waiting| matches!(read_byte(&waiting.stream), Heard::Nothing));
    }

    /// The process that waits longest.
    pub(crate) fn first(&self) -> Option<i32> {
        self.waiting.first().map(|waiting| waiting.process)
    }

    /// Whether a process waits.
    pub(crate) fn is_waiting(&self, process: i32) -> bool {
        self.waiting
            .iter()
            .any(|waiting| waiting.process == process)
    }

    /// Turns away the processes that are not to wait.
    pub(crate) fn admit(&mut self, is_admitted: impl Fn(i32) -> bool) {
        self.waiting.retain(|waiting| {
            let admitted = is_admitted(waiting.process);
            if !admitted {
                answer(&waiting.stream, Answer::Ignored);
            }
            admitted
        });
    }

    /// Lets a process go on.
    pub(crate) fn release(&mut self, process: i32, with: Answer) {
        self.waiting.retain(|waiting| {
            let released = waiting.process == process;
            if released {
                answer(&waiting.stream, with);
            }
            !released
        });
    }

    /// Whether somebody wants the build to go on; each of them is told `with`.
    pub(crate) fn take_resuming(&mut self, with: Answer) -> bool {
        let resuming = std::mem::take(&mut self.resuming);
        for stream in &resuming {
            answer(stream, with);
        }
        !resuming.is_empty()
    }
}

/// Whoever does not wait for the answer has been heard all the same.
fn answer(mut stream: &UnixStream, answer: Answer) {
    let _ = stream.write_all(&[answer.byte()]);
}

/// The process at the other end, by its id in this container; none for one of another container.
fn process(stream: &UnixStream) -> Option<i32> {
    let credentials = getsockopt(stream, sockopt::PeerCredentials).ok()?;
    Some(credentials.pid()).filter(|pid| *pid > 0)
}

enum Heard {
    Byte(u8),
    Nothing,
    End,
}

fn read_byte(mut stream: &UnixStream) -> Heard {
    let mut byte = [0];
    match stream.read(&mut byte) {
        Ok(1..) => Heard::Byte(byte[0]),
        Ok(0) => Heard::End,
        Err(error) => match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Heard::Nothing,
            _ => Heard::End,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> (tempfile::TempDir, Session, Places) {
        let root = tempfile::TempDir::with_prefix("x").unwrap();
        let places = Places::below(root.path());
        fs::create_dir_all(&places.state).unwrap();
        let session = Session::listen(&places).unwrap();
        (root, session, places)
    }

    fn ask(places: &Places, request: Request) -> UnixStream {
        let mut stream = UnixStream::connect(places.session()).unwrap();
        stream.write_all(&[request.byte()]).unwrap();
        stream
    }

    #[test]
    fn who_hangs_up_at_once_is_heard_and_who_waits_is_let_go() {
        let (_root, mut session, places) = session();
        let own = i32::try_from(std::process::id()).unwrap();
        let mut waiting = ask(&places, Request::Breakpoint);
        drop(ask(&places, Request::Resume));
        session.take();
        assert_eq!(session.first(), Some(own));
        assert!(session.take_resuming(Answer::Resumed));
        assert!(!session.take_resuming(Answer::Resumed));
        session.release(own, Answer::Resumed);
        assert_eq!(session.first(), None);
        let mut answer = Vec::new();
        waiting.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, [Answer::Resumed.byte()]);
    }

    #[test]
    fn who_leaves_or_says_something_else_does_not_wait() {
        let (_root, mut session, places) = session();
        let waiting = ask(&places, Request::Breakpoint);
        session.take();
        assert!(session.first().is_some());
        drop(waiting);
        let mut other = UnixStream::connect(places.session()).unwrap();
        other.write_all(b"xb").unwrap();
        session.take();
        assert_eq!(session.first(), None);
        let mut turned_away = ask(&places, Request::Breakpoint);
        session.take();
        session.admit(|_| false);
        assert_eq!(session.first(), None);
        let mut answer = Vec::new();
        turned_away.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, [Answer::Ignored.byte()]);
    }

    #[test]
    fn connections_that_say_nothing_are_few() {
        let (_root, mut session, places) = session();
        let connect = || UnixStream::connect(places.session()).unwrap();
        let silent: Vec<UnixStream> = (0..100).map(|_| connect()).collect();
        for _ in 0..2 {
            session.take();
            assert_eq!(session.silent.len(), CONNECTION_LIMIT);
        }
        drop(silent);
        session.take();
        assert_eq!(session.silent.len(), 0);
    }
}
