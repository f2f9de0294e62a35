//! A proxy before a service on a Unix socket that does to connections what a broken network does: whatever
//! protocol they speak, they hang or they break.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// Bytes that are passed on at a time.
const PIECE_BYTES: usize = 64 * 1024;

/// What becomes of connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Weather {
    /// They pass.
    #[default]
    Fair,
    /// They stay, and no byte passes.
    Hanging,
    /// There are none.
    Cut,
    /// The proxy is about to end.
    Over,
}

#[derive(Debug, Default)]
struct State {
    weather: Weather,
    /// The two ends of each connection, to be broken, and how many there have been.
    open: HashMap<u64, [UnixStream; 2]>,
    count: u64,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, weather: Weather) {
        let mut state = self.state();
        state.weather = weather;
        if matches!(weather, Weather::Cut | Weather::Over) {
            for end in state.open.drain().flat_map(|(_, ends)| ends) {
                drop(end.shutdown(Shutdown::Both));
            }
        }
        self.changed.notify_all();
    }

    /// Waits for as long as connections hang; tells whether bytes pass then.
    fn passes(&self) -> bool {
        let hangs = |state: &mut State| state.weather == Weather::Hanging;
        let state = self.changed.wait_while(self.state(), hangs);
        let state = state.unwrap_or_else(PoisonError::into_inner);
        state.weather == Weather::Fair
    }
}

/// The proxy, which ends with this value.
#[derive(Debug)]
pub struct WireProxy {
    socket: PathBuf,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl WireProxy {
    /// Starts a proxy at `socket` before the service at another socket. It lets everything pass.
    pub fn start(service: &Path, socket: &Path) -> Self {
        let listener =
            UnixListener::bind(socket).expect("a socket can be made in one's own directory");
        let shared = Arc::new(Shared::default());
        let service = service.to_owned();
        let accepting = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &service, &shared)
        });
        Self {
            socket: socket.to_owned(),
            shared,
            accepting: Some(accepting),
        }
    }

    /// Lets no byte pass any more; connections stay, also new ones.
    pub fn hang(&self) {
        self.shared.set(Weather::Hanging);
    }

    /// Breaks all connections, and refuses new ones.
    pub fn cut(&self) {
        self.shared.set(Weather::Cut);
    }

    /// Lets everything pass again.
    pub fn heal(&self) {
        self.shared.set(Weather::Fair);
    }
}

impl Drop for WireProxy {
    fn drop(&mut self) {
        self.shared.set(Weather::Over);
        // Wakes the thread that accepts.
        drop(UnixStream::connect(&self.socket));
        if let Some(accepting) = self.accepting.take() {
            drop(accepting.join());
        }
    }
}

fn accept(listener: &UnixListener, service: &Path, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.state().weather == Weather::Over {
            return;
        }
        let Ok(client) = client else { continue };
        let (service, shared) = (service.to_owned(), Arc::clone(shared));
        thread::spawn(move || {
            // A connection that breaks is what this program is for.
            drop(serve(&client, &service, &shared));
            drop(client.shutdown(Shutdown::Both));
        });
    }
}

/// Passes bytes on in both directions until both have ended.
fn serve(client: &UnixStream, service: &Path, shared: &Shared) -> std::io::Result<()> {
    if !shared.passes() {
        return Ok(());
    }
    let upstream = UnixStream::connect(service)?;
    let ends = [client.try_clone()?, upstream.try_clone()?];
    let number = {
        let mut state = shared.state();
        state.count += 1;
        let number = state.count;
        state.open.insert(number, ends);
        number
    };
    thread::scope(|scope| {
        scope.spawn(|| pass_on(client, &upstream, shared));
        pass_on(&upstream, client, shared);
    });
    shared.state().open.remove(&number);
    Ok(())
}

/// Passes bytes on until there are no more, and says so to the other side.
fn pass_on(mut from: &UnixStream, mut to: &UnixStream, shared: &Shared) {
    let mut piece = vec![0; PIECE_BYTES];
    while let Ok(read @ 1..) = from.read(&mut piece) {
        if !shared.passes() || to.write_all(&piece[..read]).is_err() {
            break;
        }
    }
    drop(to.shutdown(Shutdown::Write));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A service that says everything again.
    fn echo(socket: &Path) {
        let listener = UnixListener::bind(socket).unwrap();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                thread::spawn(move || drop(std::io::copy(&mut &client, &mut &client)));
            }
        });
    }

    fn say(mut connection: &UnixStream) -> std::io::Result<[u8; 2]> {
        connection.write_all(b"hi")?;
        let mut said = [0; 2];
        connection.read_exact(&mut said)?;
        Ok(said)
    }

    #[test]
    fn connections_hang_and_break_and_come_again() {
        let directory = tempfile::tempdir().unwrap();
        let (service, socket) = (directory.path().join("a"), directory.path().join("b"));
        echo(&service);
        let proxy = WireProxy::start(&service, &socket);
        let connection = UnixStream::connect(&socket).unwrap();
        assert_eq!(&say(&connection).unwrap(), b"hi");
        proxy.hang();
        thread::scope(|scope| {
            let hanging = scope.spawn(|| say(&connection));
            let newer = UnixStream::connect(&socket).unwrap();
            let waiting = scope.spawn(move || say(&newer));
            proxy.heal();
            assert_eq!(&hanging.join().unwrap().unwrap(), b"hi");
            assert_eq!(&waiting.join().unwrap().unwrap(), b"hi");
        });
        proxy.cut();
        assert!(say(&connection).is_err());
        assert!(say(&UnixStream::connect(&socket).unwrap()).is_err());
        proxy.heal();
        assert_eq!(&say(&UnixStream::connect(&socket).unwrap()).unwrap(), b"hi");
    }
}
