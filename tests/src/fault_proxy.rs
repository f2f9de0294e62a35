//! A proxy before an HTTP service that does to requests what outages do.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::aws_request::{self, AwsRequest};

/// Bytes that are passed on at a time.
const PIECE_BYTES: usize = 64 * 1024;

/// Longest head of a request or an answer, in bytes.
const HEAD_LIMIT_BYTES: usize = 64 * 1024;

/// Time between two pieces of a slow answer.
const SLOW_INTERVAL: Duration = Duration::from_millis(20);

/// What happens to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The connection is closed before a byte of the request is read.
    Refuse,
    /// The request is read, and no answer comes until [`FaultProxy::release`] or the end of the proxy.
    Hang,
    /// The request is read and answered with this status and this body, without asking the service.
    Answer(u16, &'static str),
    /// The connection ends when this many bytes of the request's body were read; the service gets none of it.
    CutRequest(u64),
    /// The service does its work, and the connection ends after this many bytes of its answer's body.
    CutAnswer(u64),
    /// The service does its work, and the connection ends before anything of its answer has come.
    LoseAnswer,
    /// The request's body is read at most this many bytes at a time, 50 times a second.
    Slow(usize),
}

impl Fault {
    /// S3's answer when it is asked too much.
    pub const SLOW_DOWN: Self = Self::Answer(
        503,
        "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>",
    );

    /// The answer of a broken service.
    pub const INTERNAL_ERROR: Self = Self::Answer(500, "{\"__type\":\"InternalFailure\"}");

    /// What a service that speaks JSON answers when it is asked too often.
    pub const THROTTLED: Self = Self::Answer(
        400,
        "{\"__type\":\"ThrottlingException\",\"message\":\"Rate exceeded\"}",
    );
}

/// Which requests meet which fault.
#[derive(Debug, Default)]
struct Script {
    /// For the requests that come next, one each; `None` lets one pass.
    next: VecDeque<Option<Fault>>,
    /// For all requests after those.
    then: Option<Fault>,
    /// Text that a request's line has to hold for it to count.
    only: String,
    /// First lines of all requests seen, with the operation of AWS where a header names it.
    seen: Vec<String>,
    /// Those of them that are signed for AWS.
    signed: Vec<AwsRequest>,
    /// Counts releases of hanging requests.
    releases: u64,
    is_over: bool,
}

#[derive(Debug, Default)]
struct Shared {
    script: Mutex<Script>,
    changed: Condvar,
}

impl Shared {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The proxy, which ends with this value.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl FaultProxy {
    /// Starts a proxy on a free port before the service at `host:port`. It lets everything pass.
    pub fn start(service: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port can be had");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let shared = Arc::new(Shared::default());
        let service = service.to_owned();
        let accepting = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &service, &shared)
        });
        Self {
            address,
            shared,
            accepting: Some(accepting),
        }
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Its URL.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests from now on meet a fault, or none.
    pub fn set(&self, fault: impl Into<Option<Fault>>) {
        self.shared.script().then = fault.into();
    }

    /// The next requests meet these faults, one each; those after them what [`set`](Self::set) says.
    pub fn next(&self, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.shared.script().next.extend(faults);
    }

    /// Only requests whose first line, or whose operation of AWS, holds `text`, such as `PUT /bucket` or
    /// `DeleteMessage`, meet faults.
    pub fn only(&self, text: &str) {
        text.clone_into(&mut self.shared.script().only);
    }

    /// Closes the connections of all requests that hang.
    pub fn release(&self) {
        self.shared.script().releases += 1;
        self.shared.changed.notify_all();
    }

    /// First lines of the requests seen so far, with the operation of AWS where a header names it.
    pub fn seen(&self) -> Vec<String> {
        self.shared.script().seen.clone()
    }

    /// The requests to AWS seen so far.
    pub fn signed(&self) -> Vec<AwsRequest> {
        self.shared.script().signed.clone()
    }

    /// Waits until `count` requests were seen whose first line, or whose operation of AWS, holds `text`.
    pub fn wait_for(&self, text: &str, count: usize) {
        let is_enough = |script: &mut Script| {
            let found = script.seen.iter().filter(|line| line.contains(text));
            found.count() < count
        };
        let waited = self.shared.changed.wait_timeout_while(
            self.shared.script(),
            Duration::from_mins(2),
            is_enough,
        );
        let (script, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(
            !waited.timed_out(),
            "no {count} of {text}: {:?}",
            script.seen
        );
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.script().is_over = true;
        self.shared.changed.notify_all();
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
        if let Some(accepting) = self.accepting.take() {
            drop(accepting.join());
        }
    }
}

fn accept(listener: &TcpListener, service: &str, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.script().is_over {
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

/// Serves one request: the answer closes the connection, so that every request meets its own fault.
fn serve(client: &TcpStream, service: &str, shared: &Shared) -> io::Result<()> {
    if shared.script().next.is_empty() && shared.script().then == Some(Fault::Refuse) {
        return Ok(());
    }
    if begins_with_tls(client)? {
        return Ok(());
    }
    let (head, begun) = read_head(client)?;
    let line = line(&head);
    let mut body = Body::new(&head, begun, client);
    let signed = body.signed(&head)?;
    let (fault, releases) = {
        let mut script = shared.script();
        let counts = line.contains(&script.only);
        script.seen.push(line);
        script.signed.extend(signed);
        let fault = if counts {
            script
                .next
                .pop_front()
                .unwrap_or_else(|| script.then.clone())
        } else {
            None
        };
        (fault, script.releases)
    };
    shared.changed.notify_all();
    match fault {
        Some(Fault::Refuse) => Ok(()),
        Some(Fault::Hang) => {
            body.pass_on(&mut io::sink(), u64::MAX, None)?;
            hang(shared, releases);
            Ok(())
        }
        Some(Fault::Answer(status, text)) => {
            body.pass_on(&mut io::sink(), u64::MAX, None)?;
            answer(client, status, text)
        }
        Some(Fault::CutRequest(bytes)) => body.pass_on(&mut io::sink(), bytes, None),
        Some(Fault::LoseAnswer) => forward(&mut io::sink(), &head, body, service, (u64::MAX, None)),
        Some(Fault::CutAnswer(bytes)) => {
            forward(&mut &*client, &head, body, service, (bytes, None))
        }
        Some(Fault::Slow(piece)) => {
            forward(&mut &*client, &head, body, service, (u64::MAX, Some(piece)))
        }
        None => forward(&mut &*client, &head, body, service, (u64::MAX, None)),
    }
}

/// The first line of a head, and the operation of AWS that it names.
fn line(head: &str) -> String {
    let first = head.lines().next().unwrap_or_default();
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    let operation = fields.find(|(name, _)| name.eq_ignore_ascii_case("x-amz-target"));
    match operation {
        Some((_, operation)) => format!("{first} {}", operation.trim()),
        None => first.to_owned(),
    }
}

/// Whether a client wants TLS, of which there is none here: it has to hear so at once.
fn begins_with_tls(client: &TcpStream) -> io::Result<bool> {
    const HANDSHAKE: u8 = 22;
    let mut first = [0];
    let seen = client.peek(&mut first)?;
    Ok(seen == 1 && first == [HANDSHAKE])
}

/// Waits for a release after those there were when the request was seen.
fn hang(shared: &Shared, releases: u64) {
    let script = shared.script();
    let waits = |script: &mut Script| script.releases == releases && !script.is_over;
    drop(shared.changed.wait_while(script, waits));
}

fn answer(mut client: &TcpStream, status: u16, text: &str) -> io::Result<()> {
    let length = text.len();
    let head = format!(
        "HTTP/1.1 {status} Fault\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    client.write_all(head.as_bytes())?;
    client.write_all(text.as_bytes())
}

/// Asks the service, with a limit on the bytes of the answer's body and on those of the request passed on at a time.
fn forward(
    client: &mut impl Write,
    head: &str,
    mut body: Body<'_>,
    service: &str,
    (limit, piece): (u64, Option<usize>),
) -> io::Result<()> {
    let mut upstream = TcpStream::connect(service)?;
    let kept = head.lines().filter(|line| {
        let name = line.split(':').next().unwrap_or_default();
        !line.is_empty() && !["connection", "expect"].contains(&name.to_ascii_lowercase().as_str())
    });
    let mut head: String = kept.flat_map(|line| [line, "\r\n"]).collect();
    head.push_str("Connection: close\r\n\r\n");
    upstream.write_all(head.as_bytes())?;
    body.pass_on(&mut upstream, u64::MAX, piece)?;
    let (head, begun) = read_head(&upstream)?;
    client.write_all(head.as_bytes())?;
    let mut answer = begun.as_slice().chain(&upstream).take(limit);
    io::copy(&mut answer, client).map(drop)
}

/// Reads up to the end of the head: the head, and what came after it.
fn read_head(mut stream: &TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut piece = vec![0; 8192];
    loop {
        let read = stream.read(&mut piece)?;
        bytes.extend_from_slice(&piece[..read]);
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return Ok((String::from_utf8_lossy(&bytes).into_owned(), rest));
        }
        if read == 0 || bytes.len() > HEAD_LIMIT_BYTES {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// The body of a request.
struct Body<'c> {
    left: u64,
    begun: Vec<u8>,
    client: &'c TcpStream,
    expects_go_ahead: bool,
}

impl<'c> Body<'c> {
    /// Clients of AWS say how long a body is, also where they sign it in pieces.
    fn new(head: &str, begun: Vec<u8>, client: &'c TcpStream) -> Self {
        let value = |name: &str| {
            let mut fields = head.lines().filter_map(|line| line.split_once(':'));
            let found = fields.find(|(known, _)| known.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.trim())
        };
        let length = value("content-length").and_then(|value| value.parse().ok());
        Self {
            left: length.unwrap_or(0),
            begun,
            client,
            expects_go_ahead: value("expect").is_some(),
        }
    }

    /// What the request asks of AWS, if it is signed for AWS.
    fn signed(&mut self, head: &str) -> io::Result<Option<AwsRequest>> {
        let is_form = aws_request::is_form(head) && self.left < HEAD_LIMIT_BYTES as u64;
        if is_form && !self.expects_go_ahead {
            let missing = self.left.saturating_sub(self.begun.len() as u64);
            self.client.take(missing).read_to_end(&mut self.begun)?;
        }
        Ok(AwsRequest::of(head, &self.begun))
    }

    /// Passes at most `limit` bytes on, `piece` bytes at a time.
    fn pass_on(&mut self, to: &mut impl Write, limit: u64, piece: Option<usize>) -> io::Result<()> {
        if self.expects_go_ahead {
            let mut client = self.client;
            client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let mut from = self
            .begun
            .as_slice()
            .chain(self.client)
            .take(self.left.min(limit));
        let mut bytes = vec![0; piece.unwrap_or(PIECE_BYTES)];
        loop {
            let read = from.read(&mut bytes)?;
            if read == 0 {
                return Ok(());
            }
            to.write_all(&bytes[..read])?;
            if piece.is_some() {
                #[expect(clippy::disallowed_methods, reason = "being slow is what it is for")]
                thread::sleep(SLOW_INTERVAL);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{self, Answer};

    /// A service that answers every request with the length of its body.
    fn service() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (head, begun) = read_head(&client).unwrap();
                let mut body = Body::new(&head, begun, &client);
                let mut received = Vec::new();
                body.pass_on(&mut received, u64::MAX, None).unwrap();
                answer(
                    &client,
                    200,
                    if received.len() == 5 { "five" } else { "other" },
                )
                .unwrap();
            }
        });
        address
    }

    fn post(proxy: &FaultProxy) -> io::Result<Answer> {
        http::request(&proxy.address(), "POST", "/x", &[], b"12345")
    }

    #[test]
    fn requests_meet_their_faults_in_order_and_pass_afterwards() {
        let proxy = FaultProxy::start(&service().to_string());
        assert_eq!(post(&proxy).unwrap().text(), "five");
        proxy.next([
            Some(Fault::Refuse),
            None,
            Some(Fault::SLOW_DOWN),
            Some(Fault::CutAnswer(2)),
            Some(Fault::CutRequest(2)),
            Some(Fault::Slow(2)),
        ]);
        assert!(post(&proxy).is_err());
        assert_eq!(post(&proxy).unwrap().text(), "five");
        assert_eq!(post(&proxy).unwrap().status, 503);
        assert_eq!(post(&proxy).unwrap().text(), "fi");
        assert!(post(&proxy).is_err());
        assert_eq!(post(&proxy).unwrap().text(), "five");
        assert_eq!(proxy.seen().len(), 7);
    }

    #[test]
    fn a_request_hangs_until_it_is_released_and_others_pass() {
        let proxy = FaultProxy::start(&service().to_string());
        proxy.only("POST /x");
        proxy.set(Fault::Hang);
        thread::scope(|scope| {
            let hanging = scope.spawn(|| post(&proxy));
            proxy.wait_for("POST /x", 1);
            let other = http::request(&proxy.address(), "POST", "/y", &[], b"");
            assert_eq!(other.unwrap().text(), "other");
            proxy.release();
            assert!(hanging.join().unwrap().is_err());
        });
        proxy.set(None);
        assert_eq!(post(&proxy).unwrap().text(), "five");
    }
}
