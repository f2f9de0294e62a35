//! Somebody who is told things over HTTP: an endpoint that takes requests, answers all of them well, and
//! remembers them.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

/// Longer than any test waits for a request: only something that hangs takes as long.
const LIMIT: Duration = Duration::from_mins(1);

/// A larger request is not read, in bytes.
const REQUEST_LIMIT_BYTES: u64 = 4 * 1024 * 1024;

/// A request.
#[derive(Debug, Clone, Default)]
pub struct Received {
    /// Method and path.
    pub line: String,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: String,
}

impl Received {
    /// The value of a header; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    /// The body, which has to be JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("the body is JSON")
    }
}

/// What requests are answered with unless the test says otherwise.
const WELL: &str = "200 OK";

#[derive(Debug, Default)]
struct Shared {
    tls: Option<Arc<ServerConfig>>,
    is_silent: AtomicBool,
    refusal: Mutex<Option<&'static str>>,
    received: Mutex<Vec<Received>>,
    changed: Condvar,
}

impl Shared {
    fn received(&self) -> MutexGuard<'_, Vec<Received>> {
        lock(&self.received)
    }
}

/// The endpoint. It listens for as long as the process lives.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Receiver {
    /// Starts to listen on a free port.
    pub fn start() -> Self {
        Self::start_with(None)
    }

    /// The same over TLS.
    pub fn start_over_tls(tls: Arc<ServerConfig>) -> Self {
        Self::start_with(Some(tls))
    }

    fn start_with(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port can be had");
        let address = listener.local_addr();
        let address = address.expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            tls,
            ..Shared::default()
        });
        let receiver = Self {
            address,
            shared: Arc::clone(&shared),
        };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                // A client that goes away is not the test's business.
                thread::spawn(move || drop(serve(stream, &shared)));
            }
        });
        receiver
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Its URL.
    pub fn url(&self) -> String {
        let scheme = if self.shared.tls.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", self.address)
    }

    /// From now on, requests are remembered, and the connection is closed in the place of an answer, or they
    /// are answered again.
    pub fn set_silent(&self, is_silent: bool) {
        self.shared.is_silent.store(is_silent, Ordering::SeqCst);
    }

    /// From now on, requests are remembered and answered with this status line, which may have headers after it;
    /// `None` answers them well again.
    pub fn refuse(&self, with: Option<&'static str>) {
        *lock(&self.shared.refusal) = with;
    }

    /// The requests so far.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received().clone()
    }

    /// Waits until the requests are as wanted, and gives them.
    pub fn wait_until(&self, are_as_wanted: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        let waited =
            self.shared
                .changed
                .wait_timeout_while(self.shared.received(), LIMIT, |received| {
                    !are_as_wanted(received)
                });
        let (received, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.timed_out(), "it received only: {received:#?}");
        received.clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    match &shared.tls {
        Some(tls) => {
            let connection = ServerConnection::new(Arc::clone(tls)).map_err(io::Error::other)?;
            let mut stream = StreamOwned::new(connection, stream);
            take(&mut stream, shared)?;
            stream.conn.send_close_notify();
            stream.flush()
        }
        None => take(&mut stream, shared),
    }
}

fn take(stream: &mut (impl Read + Write), shared: &Shared) -> io::Result<()> {
    let mut reader = BufReader::new(Read::take(&mut *stream, REQUEST_LIMIT_BYTES));
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut received = Received {
        line: line.trim().trim_end_matches(" HTTP/1.1").to_owned(),
        ..Received::default()
    };
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim().split_once(':') else {
            break;
        };
        let header = (name.to_ascii_lowercase(), value.trim().to_owned());
        received.headers.push(header);
    }
    let length = received.header("content-length").parse().unwrap_or(0);
    reader.take(length).read_to_string(&mut received.body)?;
    shared.received().push(received);
    shared.changed.notify_all();
    if shared.is_silent.load(Ordering::SeqCst) {
        return Ok(());
    }
    let head = lock(&shared.refusal).unwrap_or(WELL);
    let answer = format!("HTTP/1.1 {head}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}");
    stream.write_all(answer.as_bytes())
}
