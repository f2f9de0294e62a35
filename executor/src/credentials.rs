//! Hands the credentials of the build's role to the programs of the build, the way AWS's SDKs and command line
//! ask for them in a container.
//!
//! Protocol: SDKs and tools reference guide, "Container credential provider". They ask the address in
//! `AWS_CONTAINER_CREDENTIALS_FULL_URI`, which may be a loopback one, and show `AWS_CONTAINER_AUTHORIZATION_TOKEN`.
//! The server listens inside the container's own network, so that no other build can reach it; a process of this
//! build that was not given the variables lacks the token. It knows nothing but what the agent's orders bring.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use executor::protocol::{CredentialsPlan, RoleCredentials, Variable};
use serde_json::json;

/// Path of the credentials.
const PATH: &str = "/role-credentials";

/// Longest request that is read, in bytes: clients send a few hundred.
const REQUEST_LIMIT_BYTES: usize = 16 * 1024;

/// How long a client may take with its request, and with taking the answer.
const CLIENT_LIMIT: Duration = Duration::from_secs(2);

/// Clients that are served at a time; further ones are turned away, and try again.
const CLIENT_COUNT_LIMIT: usize = 32;

/// Credentials that are handed out.
#[derive(Debug)]
pub(crate) struct Credentials {
    shared: Arc<Shared>,
    port: u16,
}

#[derive(Debug)]
struct Shared {
    token: String,
    current: Mutex<RoleCredentials>,
    clients: AtomicUsize,
}

impl Credentials {
    /// Begins to hand them out, in a thread that lives as long as the executor.
    pub(crate) fn serve(plan: CredentialsPlan) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            token: plan.token.expose().to_owned(),
            current: Mutex::new(plan.credentials),
            clients: AtomicUsize::new(0),
        });
        let serving = Arc::clone(&shared);
        thread::Builder::new()
            .name("credentials".to_owned())
            .spawn(move || accept(&listener, &serving))?;
        Ok(Self { shared, port })
    }

    /// The variables that lead the build's programs here.
    pub(crate) fn variables(&self) -> [Variable; 2] {
        let variable = |name: &str, value: String| Variable {
            name: name.to_owned(),
            value,
        };
        let uri = format!("http://127.0.0.1:{}{PATH}", self.port);
        [
            variable("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri),
            variable(
                "AWS_CONTAINER_AUTHORIZATION_TOKEN",
                self.shared.token.clone(),
            ),
        ]
    }

    /// Hands out others from now on.
    pub(crate) fn renew(&self, credentials: RoleCredentials) {
        *self
            .shared
            .current
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = credentials;
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming().flatten() {
        if shared.clients.fetch_add(1, Ordering::Relaxed) >= CLIENT_COUNT_LIMIT {
            shared.clients.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let serving = Arc::clone(shared);
        let spawned = thread::Builder::new().spawn(move || {
            // A client that goes away asks again.
            drop(serve(client, &serving));
            serving.clients.fetch_sub(1, Ordering::Relaxed);
        });
        if spawned.is_err() {
            shared.clients.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn serve(mut client: TcpStream, shared: &Shared) -> io::Result<()> {
    client.set_write_timeout(Some(CLIENT_LIMIT))?;
    let request = read_request(&mut client)?;
    let (status, body) = answer(&request, shared);
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
    );
    client.write_all(head.as_bytes())?;
    client.write_all(body.as_bytes())
}

/// Reads up to the blank line; a request for credentials has no body.
fn read_request(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let end = Instant::now() + CLIENT_LIMIT;
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || request.len() > REQUEST_LIMIT_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        client.set_read_timeout(Some(left))?;
        match client.read(&mut piece)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => request.extend_from_slice(&piece[..read]),
        }
    }
    Ok(request)
}

/// Status and body of the answer to a request.
fn answer(request: &[u8], shared: &Shared) -> (&'static str, String) {
    let request = String::from_utf8_lossy(request);
    let mut lines = request.split("\r\n");
    let mut line = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (line.next(), line.next().unwrap_or_default());
    if method != Some("GET") || target.split('?').next() != Some(PATH) {
        return ("404 Not Found", refusal("NotFound", "nothing is here"));
    }
    let shown = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("authorization"))
        .map_or("", |(_, value)| value.trim());
    if !is_same(shown.as_bytes(), shared.token.as_bytes()) {
        let message = "the value of AWS_CONTAINER_AUTHORIZATION_TOKEN is wanted";
        return ("403 Forbidden", refusal("AccessDenied", message));
    }
    let current = shared
        .current
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let body = json!({
        "RoleArn": current.role_arn,
        "AccessKeyId": current.access_key_id,
        "SecretAccessKey": current.secret_access_key.expose(),
        "Token": current.session_token.expose(),
        "Expiration": current.expiration,
    });
    ("200 OK", body.to_string())
}

fn refusal(code: &str, message: &str) -> String {
    json!({"code": code, "message": message}).to_string()
}

/// Compares in a time that tells nothing of where two texts differ.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let differences = one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b));
    one.len() == other.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use executor::protocol::Secret;

    use super::*;

    fn credentials(key: &str) -> RoleCredentials {
        RoleCredentials {
            role_arn: "arn:aws:iam::123456789012:role/r".to_owned(),
            access_key_id: key.to_owned(),
            secret_access_key: Secret::new("secret"),
            session_token: Secret::new("session"),
            expiration: "2026-01-31T12:34:56Z".to_owned(),
        }
    }

    fn ask(served: &Credentials, request: &str) -> (String, serde_json::Value) {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, served.port)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().to_owned();
        (status, serde_json::from_str(body).unwrap())
    }

    #[test]
    fn who_shows_the_token_gets_the_present_credentials() {
        let served = Credentials::serve(CredentialsPlan {
            token: Secret::new("t0ken"),
            credentials: credentials("ASIA1"),
        })
        .unwrap();
        let uri = &served.variables()[0].value;
        assert_eq!(*uri, format!("http://127.0.0.1:{}{PATH}", served.port));
        let request = format!("GET {PATH} HTTP/1.1\r\nHost: x\r\nauthorization: t0ken\r\n\r\n");
        let (status, body) = ask(&served, &request);
        assert_eq!(
            (status.as_str(), &body["AccessKeyId"]),
            ("200", &"ASIA1".into())
        );
        assert_eq!(body["Token"], "session");
        served.renew(credentials("ASIA2"));
        assert_eq!(ask(&served, &request).1["AccessKeyId"], "ASIA2");
        for (label, request, expected) in [
            ("no token", format!("GET {PATH} HTTP/1.1\r\n\r\n"), "403"),
            (
                "another token",
                format!("GET {PATH} HTTP/1.1\r\nAuthorization: t0kex\r\n\r\n"),
                "403",
            ),
            (
                "a part of the token",
                format!("GET {PATH} HTTP/1.1\r\nAuthorization: t0k\r\n\r\n"),
                "403",
            ),
            (
                "another path",
                "GET / HTTP/1.1\r\nAuthorization: t0ken\r\n\r\n".to_owned(),
                "404",
            ),
            (
                "another method",
                format!("PUT {PATH} HTTP/1.1\r\n\r\n"),
                "404",
            ),
        ] {
            let (status, body) = ask(&served, &request);
            assert_eq!(status, expected, "{label}");
            assert!(!body.to_string().contains("ASIA"), "{label}");
        }
    }

    #[test]
    fn a_request_without_an_end_is_given_up() {
        let served = Credentials::serve(CredentialsPlan {
            token: Secret::new("t"),
            credentials: credentials("ASIA1"),
        })
        .unwrap();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, served.port)).unwrap();
        // The server may close the connection while this is still being sent.
        drop(stream.write_all(&vec![b'x'; REQUEST_LIMIT_BYTES * 2]));
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer));
        assert_eq!(answer, b"");
    }
}
