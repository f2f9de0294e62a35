//! Malformed requests for a server, as many as one likes: what an attacker or a broken client sends.
//!
//! Every one has to be answered, in its protocol, by an error that blames the client (or carried out,
//! where it is sensible by accident). Numbers look random and are the same for the same seed.

mod dice;
mod inputs;
mod request;

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use dice::Dice;
use request::{Expected, Strike};

/// How long the server may be silent: far above what any answer takes.
const SILENCE_LIMIT: Duration = Duration::from_mins(1);

/// Longest answer that is read, in bytes.
const ANSWER_LIMIT_BYTES: usize = 16 * 1024 * 1024;

/// How many answers there were of each status; 0 stands for a connection that was closed because what
/// came over it was no HTTP.
pub type Tally = BTreeMap<u16, u64>;

/// Sends `count` requests over `clients` connections at a time. The error is the first answer that is
/// not as it has to be.
pub fn hammer(address: &str, count: u64, clients: u64, seed: u64) -> Result<Tally, String> {
    let shares = (0..clients).map(|client| {
        let share = count / clients + u64::from(client < count % clients);
        let dice = Dice::new(seed.wrapping_mul(1_000_003).wrapping_add(client));
        (share, dice)
    });
    let shares: Vec<_> = shares.collect();
    thread::scope(|scope| {
        let clients: Vec<_> = shares
            .into_iter()
            .map(|(share, dice)| scope.spawn(move || strike(address, share, dice)))
            .collect();
        let mut tally = Tally::new();
        for client in clients {
            let own = client
                .join()
                .map_err(|_| "a client has failed".to_owned())??;
            for (status, count) in own {
                *tally.entry(status).or_insert(0) += count;
            }
        }
        Ok(tally)
    })
}

fn strike(address: &str, count: u64, mut dice: Dice) -> Result<Tally, String> {
    let mut tally = Tally::new();
    let mut kept = None;
    for turn in 0..count {
        let strike = Strike::new(&mut dice, address);
        let told = |why: &dyn std::fmt::Display| {
            let shown = String::from_utf8_lossy(&strike.bytes[..strike.bytes.len().min(2000)]);
            format!("request {turn}: {why}\n{shown:?}")
        };
        let status = match send(address, &strike, &mut kept) {
            Ok(Some(answer)) => {
                strike.expected.check(&answer).map_err(|why| told(&why))?;
                answer.status
            }
            Ok(None) if strike.expected == Expected::Anything => 0,
            Ok(None) => return Err(told(&"the server hung up")),
            Err(error) => return Err(told(&error)),
        };
        *tally.entry(status).or_insert(0) += 1;
    }
    Ok(tally)
}

/// Sends one request, and gives its answer; `None` if the server hung up. Requests that are HTTP go over
/// one connection, which stays; the others have one each.
fn send(
    address: &str,
    strike: &Strike,
    kept: &mut Option<TcpStream>,
) -> io::Result<Option<Answer>> {
    let connect = || {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(SILENCE_LIMIT))?;
        stream.set_nodelay(true)?;
        io::Result::Ok(stream)
    };
    if strike.expected == Expected::Anything {
        let mut stream = connect()?;
        // The server may have had enough before the end.
        let _ = stream.write_all(&strike.bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        return Ok(Answer::read(&mut stream).unwrap_or(None));
    }
    let mut stream = match kept.take() {
        Some(stream) => stream,
        None => connect()?,
    };
    stream.write_all(&strike.bytes)?;
    let answer = Answer::read(&mut stream)?;
    if answer.as_ref().is_some_and(|answer| !answer.is_last) {
        *kept = Some(stream);
    }
    Ok(answer)
}

/// What the server has answered.
#[derive(Debug)]
struct Answer {
    status: u16,
    is_cbor: bool,
    /// Whether the connection ends with it.
    is_last: bool,
    body: Vec<u8>,
}

impl Answer {
    fn read(stream: &mut TcpStream) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        let mut piece = [0; 16 * 1024];
        loop {
            if let Some(answer) = Self::whole(&bytes)? {
                return Ok(Some(answer));
            }
            let read = stream.read(&mut piece)?;
            if read == 0 {
                return Ok(None);
            }
            bytes.extend_from_slice(&piece[..read]);
            if bytes.len() > ANSWER_LIMIT_BYTES {
                return Err(io::Error::other("the answer has no end"));
            }
        }
    }

    /// The answer, once all of it is there.
    fn whole(bytes: &[u8]) -> io::Result<Option<Self>> {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let header = |name: &str| {
            let mut lines = head.split("\r\n").skip(1);
            lines.find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
        };
        let no_http = || io::Error::other(format!("no answer of HTTP: {head}"));
        let status = head.split(' ').nth(1).and_then(|text| text.parse().ok());
        let length: usize = header("content-length")
            .unwrap_or("0")
            .parse()
            .map_err(|_| no_http())?;
        let body = bytes.get(end + 4..end + 4 + length);
        Ok(body.map(<[u8]>::to_vec).map(|body| Self {
            status: status.unwrap_or(0),
            is_cbor: header("content-type") == Some("application/cbor"),
            is_last: header("connection") == Some("close"),
            body,
        }))
    }
}
