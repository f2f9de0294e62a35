//! A host of git repositories: `git http-backend` behind HTTP or HTTPS, with or without a login.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

use crate::GitRepository;
use crate::authority::server_config;

/// Name of the file with the server's certificate.
const CERTIFICATE: &str = ".certificate.pem";

/// A server on a free port of this machine, which ends with this value.
#[derive(Debug)]
pub struct GitServer {
    root: TempDir,
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What the connections of a server share.
struct Shared {
    root: PathBuf,
    /// The value of `Authorization` that opens the server; none if everybody may enter.
    authorization: Option<String>,
    tls: Option<Arc<ServerConfig>>,
    ended: AtomicBool,
    /// Whether requests are never answered.
    silent: AtomicBool,
    /// How many of the next requests are answered with 503.
    failures: AtomicU64,
    sent_bytes: AtomicU64,
    requests: Mutex<Vec<String>>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Shared({})", self.root.display())
    }
}

struct Request {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl GitServer {
    /// A server that everybody may enter.
    pub fn open() -> Self {
        Self::start(None, false)
    }

    /// A server that wants a login.
    pub fn with_login(user: &str, password: &str) -> Self {
        Self::start(Some((user, password)), false)
    }

    /// A server over TLS whose certificate nobody vouches for.
    pub fn with_self_signed_certificate() -> Self {
        Self::start(None, true)
    }

    fn start(login: Option<(&str, &str)>, tls: bool) -> Self {
        let root = tempfile::tempdir().expect("a temporary directory can be made");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let authorization = login.map(|(user, password)| {
            format!("Basic {}", base64(format!("{user}:{password}").as_bytes()))
        });
        let shared = Arc::new(Shared {
            root: root.path().to_owned(),
            authorization,
            tls: tls.then(|| self_signed(root.path())),
            ended: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            failures: AtomicU64::new(0),
            sent_bytes: AtomicU64::new(0),
            requests: Mutex::new(Vec::new()),
        });
        let thread = thread::spawn({
            let shared = Arc::clone(&shared);
            move || listen(&listener, &shared)
        });
        Self {
            root,
            address,
            shared,
            thread: Some(thread),
        }
    }

    /// Publishes a repository under a name, or publishes it again, and gives its address.
    pub fn publish(&self, repository: &GitRepository, name: &str) -> String {
        repository.publish(&self.bare(name));
        self.url(name)
    }

    /// The bare repository of a name.
    pub fn bare(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// The address of a name.
    pub fn url(&self, name: &str) -> String {
        let scheme = if self.shared.tls.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}/{name}", self.address)
    }

    /// The certificate of a server over TLS, in PEM form.
    pub fn certificate(&self) -> String {
        let path = self.root.path().join(CERTIFICATE);
        std::fs::read_to_string(path).expect("the server has a certificate")
    }

    /// Host and port.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The requests so far: method and path.
    pub fn requests(&self) -> Vec<String> {
        self.shared
            .requests
            .lock()
            .expect("no thread panicked")
            .clone()
    }

    /// How much was sent in answers so far.
    pub fn sent_bytes(&self) -> u64 {
        self.shared.sent_bytes.load(Ordering::SeqCst)
    }

    /// From now on, no request is answered.
    pub fn fall_silent(&self) {
        self.shared.silent.store(true, Ordering::SeqCst);
    }

    /// The next requests are answered with 503.
    pub fn fail_next(&self, requests: u64) {
        self.shared.failures.store(requests, Ordering::SeqCst);
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Wakes the thread up.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn listen(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming().flatten() {
        if shared.ended.load(Ordering::SeqCst) {
            return;
        }
        let shared = Arc::clone(shared);
        // A client that goes away in mid-sentence is what some tests are about.
        thread::spawn(move || serve(stream, &shared));
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    match &shared.tls {
        None => answer(stream, shared),
        Some(config) => {
            let connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
            let mut stream = StreamOwned::new(connection, stream);
            let answered = answer(&mut stream, shared);
            // Without a farewell, the client takes the answer for one that was cut off.
            stream.conn.send_close_notify();
            answered.and(stream.flush())
        }
    }
}

fn answer(stream: impl Read + Write, shared: &Shared) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let request = Request::read(&mut stream)?;
    let line = format!("{} {}", request.method, request.path);
    shared
        .requests
        .lock()
        .expect("no thread panicked")
        .push(line);
    let client = stream.get_mut();
    if shared.silent.load(Ordering::SeqCst) {
        // Until the client gives up.
        return client.read_exact(&mut [0]);
    }
    let fails = shared
        .failures
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            left.checked_sub(1)
        });
    if fails.is_ok() {
        return client.write_all(
            b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        );
    }
    if shared.authorization.is_some()
        && request.header("authorization") != shared.authorization.as_deref()
    {
        return client.write_all(b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    run_backend(&request, client, shared)
}

/// Runs `git http-backend` as a web server does (RFC 3875).
fn run_backend(request: &Request, client: &mut impl Write, shared: &Shared) -> io::Result<()> {
    let mut child = Command::new("git")
        .args(["-c", "safe.directory=*", "http-backend"])
        .env("GIT_PROJECT_ROOT", &shared.root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("REQUEST_METHOD", &request.method)
        .env("PATH_INFO", &request.path)
        .env("QUERY_STRING", &request.query)
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .env(
            "CONTENT_TYPE",
            request.header("content-type").unwrap_or_default(),
        )
        .env(
            "HTTP_CONTENT_ENCODING",
            request.header("content-encoding").unwrap_or_default(),
        )
        .env(
            "GIT_PROTOCOL",
            request.header("git-protocol").unwrap_or_default(),
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut stdin = child.stdin.take().expect("standard input is a pipe");
    let body = request.body.clone();
    let writer = thread::spawn(move || stdin.write_all(&body));
    let mut stdout = BufReader::new(child.stdout.take().expect("standard output is a pipe"));
    let mut status = "200 OK".to_owned();
    let mut headers = String::new();
    loop {
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        let line = line.trim_end();
        match line.split_once(": ") {
            _ if line.is_empty() => break,
            Some(("Status", given)) => given.clone_into(&mut status),
            _ => headers.extend([line, "\r\n"]),
        }
    }
    let head = format!("HTTP/1.1 {status}\r\n{headers}Connection: close\r\n\r\n");
    client.write_all(head.as_bytes())?;
    let copied = io::copy(&mut stdout, client);
    shared
        .sent_bytes
        .fetch_add(*copied.as_ref().unwrap_or(&0), Ordering::SeqCst);
    let _ = writer.join();
    let _ = child.kill();
    child.wait()?;
    copied?;
    client.flush()
}

impl Request {
    fn read(stream: &mut impl BufRead) -> io::Result<Self> {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let mut words = line.split_ascii_whitespace();
        let (method, target) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut request = Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        };
        loop {
            let mut line = String::new();
            stream.read_line(&mut line)?;
            match line.trim_end().split_once(':') {
                Some((name, value)) => {
                    request
                        .headers
                        .push((name.to_ascii_lowercase(), value.trim().to_owned()));
                }
                None => break,
            }
        }
        request.read_body(stream)?;
        Ok(request)
    }

    fn read_body(&mut self, stream: &mut impl BufRead) -> io::Result<()> {
        if self.header("transfer-encoding") != Some("chunked") {
            let length = self
                .header("content-length")
                .and_then(|length| length.parse().ok());
            stream
                .take(length.unwrap_or(0))
                .read_to_end(&mut self.body)?;
            return Ok(());
        }
        loop {
            let mut line = String::new();
            stream.read_line(&mut line)?;
            let length = u64::from_str_radix(line.trim_end(), 16).map_err(io::Error::other)?;
            stream.take(length).read_to_end(&mut self.body)?;
            stream.read_line(&mut line)?;
            if length == 0 {
                return Ok(());
            }
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

fn self_signed(directory: &Path) -> Arc<ServerConfig> {
    let (key, certificate) = (directory.join(".key.pem"), directory.join(CERTIFICATE));
    let made = Command::new("openssl")
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        ])
        .args([
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
        ])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .stderr(Stdio::null())
        .status();
    assert!(
        made.is_ok_and(|status| status.success()),
        "openssl makes a certificate; run `make setup`"
    );
    server_config(&certificate, &key)
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let number = (0..3).fold(0, |number, at| {
            number << 8 | usize::from(*three.get(at).unwrap_or(&0))
        });
        for digit in 0..4 {
            let known = digit <= three.len();
            text.push(if known {
                DIGITS[number >> (18 - 6 * digit) & 63].into()
            } else {
                '='
            });
        }
    }
    text
}
