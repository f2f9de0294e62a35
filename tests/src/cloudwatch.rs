//! An endpoint of CloudWatch Logs that holds what it gets, keeps the service's limits, and fails as
//! the test wants.
//!
//! The emulators at hand accept any batch; this one refuses what the service would refuse (API,
//! `PutLogEvents`), so that a log that arrives here would arrive there.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::json_service::{read_request, write_response};

/// Longer than any test waits for events: only something that hangs takes as long.
const LIMIT: Duration = Duration::from_mins(5);

/// Most events of one page.
const PAGE_EVENTS: usize = 10_000;

/// How the endpoint fails. Counts are of `PutLogEvents` calls, from 1; 0 is never.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// Every so many calls are throttled.
    pub throttled_every: usize,
    /// Of every so many calls the events are taken, and the connection is cut before the answer.
    pub unanswered_every: usize,
    /// Of every so many calls the connection is cut before the events are taken.
    pub cut_every: usize,
    /// With so many events the endpoint breaks down, once, for so long.
    pub outage: Option<(usize, Duration)>,
    /// All calls are refused for want of permission.
    pub denies: bool,
    /// The same for calls that read.
    pub denies_reading: bool,
}

/// The endpoint. It listens for as long as the process lives.
#[derive(Debug, Clone)]
pub struct CloudWatch {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    groups: HashSet<String>,
    streams: BTreeMap<(String, String), Vec<(i64, String)>>,
    faults: Faults,
    puts: usize,
    events: usize,
    broken_until: Option<Instant>,
    outages: usize,
    violations: Vec<String>,
}

/// What the endpoint does with a call.
enum Answer {
    Json(u16, Value),
    Cut,
}

#[derive(Deserialize)]
struct PutLogEvents {
    #[serde(rename = "logGroupName")]
    group: String,
    #[serde(rename = "logStreamName")]
    stream: String,
    #[serde(rename = "logEvents")]
    events: Vec<LogEvent>,
}

#[derive(Deserialize)]
struct LogEvent {
    timestamp: i64,
    message: String,
}

impl CloudWatch {
    /// Starts to listen on this machine's loopback address.
    pub fn start(faults: Faults) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let address = listener.local_addr().expect("a listener has an address");
        let endpoint = Self {
            address,
            shared: Arc::default(),
        };
        endpoint.set_faults(faults);
        let shared = Arc::clone(&endpoint.shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                // A client that goes away in the middle is none of the endpoint's business.
                thread::spawn(move || drop(shared.serve(&stream)));
            }
        });
        endpoint
    }

    /// Its address, as in `AWS_ENDPOINT_URL_CLOUDWATCH_LOGS`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes how it fails from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.shared.state().faults = faults;
    }

    /// The streams there are, as `group/stream`.
    pub fn streams(&self) -> Vec<String> {
        let state = self.shared.state();
        let names = state.streams.keys();
        names
            .map(|(group, stream)| format!("{group}/{stream}"))
            .collect()
    }

    /// The events of a stream in the order in which they came: times in milliseconds, and messages.
    pub fn events(&self, group: &str, stream: &str) -> Vec<(i64, String)> {
        let key = (group.to_owned(), stream.to_owned());
        let state = self.shared.state();
        state.streams.get(&key).cloned().unwrap_or_default()
    }

    /// Number of all events.
    pub fn event_count(&self) -> usize {
        self.shared.state().events
    }

    /// Number of times it broke down.
    pub fn outages(&self) -> usize {
        self.shared.state().outages
    }

    /// What clients did that the service refuses.
    pub fn violations(&self) -> Vec<String> {
        self.shared.state().violations.clone()
    }

    /// Waits until there are so many events.
    pub fn wait_for_events(&self, count: usize) {
        let state = self.shared.state();
        let waited = self
            .shared
            .changed
            .wait_timeout_while(state, LIMIT, |state| state.events < count);
        let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(
            !timeout.timed_out(),
            "{} of {count} events came in {LIMIT:?}",
            state.events
        );
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers the calls of one connection, until it ends.
    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::with_capacity(256 * 1024, stream);
        while let Some((operation, body)) = read_request(&mut reader)? {
            let answer = self.state().answer(&operation, &body);
            self.changed.notify_all();
            match answer {
                Answer::Json(status, value) => write_response(stream, status, &value)?,
                Answer::Cut => return Ok(()),
            }
        }
        Ok(())
    }
}

fn error(status: u16, code: &str) -> Answer {
    Answer::Json(status, json!({"__type": code, "message": code}))
}

impl State {
    fn answer(&mut self, operation: &str, body: &[u8]) -> Answer {
        if self
            .broken_until
            .is_some_and(|until| Instant::now() < until)
        {
            return error(503, "ServiceUnavailableException");
        }
        let reads = operation == "GetLogEvents";
        if self.faults.denies || (self.faults.denies_reading && reads) {
            return error(400, "AccessDeniedException");
        }
        match operation {
            "CreateLogGroup" => {
                let name = member(body, "logGroupName");
                if self.groups.insert(name) {
                    Answer::Json(200, json!({}))
                } else {
                    error(400, "ResourceAlreadyExistsException")
                }
            }
            "CreateLogStream" => {
                let key = (member(body, "logGroupName"), member(body, "logStreamName"));
                if !self.groups.contains(&key.0) {
                    return error(400, "ResourceNotFoundException");
                }
                if self.streams.contains_key(&key) {
                    return error(400, "ResourceAlreadyExistsException");
                }
                self.streams.insert(key, Vec::new());
                Answer::Json(200, json!({}))
            }
            "PutLogEvents" => self.put(body),
            "GetLogEvents" => self.get(body),
            _ => error(400, "UnknownOperationException"),
        }
    }

    fn put(&mut self, body: &[u8]) -> Answer {
        self.puts += 1;
        let is_turn = |every: usize| every > 0 && self.puts.is_multiple_of(every);
        let (throttled, unanswered, cut) = (
            is_turn(self.faults.throttled_every),
            is_turn(self.faults.unanswered_every),
            is_turn(self.faults.cut_every),
        );
        if throttled {
            return error(400, "ThrottlingException");
        }
        if cut {
            return Answer::Cut;
        }
        let Ok(put) = serde_json::from_slice::<PutLogEvents>(body) else {
            return self.refuse("not a PutLogEvents request".to_owned());
        };
        if let Some(problem) = problem_of(&put.events) {
            return self.refuse(problem);
        }
        let key = (put.group, put.stream);
        let Some(stream) = self.streams.get_mut(&key) else {
            return error(400, "ResourceNotFoundException");
        };
        self.events += put.events.len();
        let events = put.events.into_iter();
        stream.extend(events.map(|event| (event.timestamp, event.message)));
        if let Some((count, duration)) = self.faults.outage
            && self.events >= count
        {
            self.faults.outage = None;
            self.outages += 1;
            self.broken_until = Some(Instant::now() + duration);
            return error(500, "InternalFailure");
        }
        if unanswered {
            return Answer::Cut;
        }
        Answer::Json(200, json!({"nextSequenceToken": "0"}))
    }

    fn refuse(&mut self, problem: String) -> Answer {
        self.violations.push(problem);
        error(400, "InvalidParameterException")
    }

    /// Pages from the head of a stream, as the service gives them: the same token marks the end.
    fn get(&self, body: &[u8]) -> Answer {
        let request: Value = serde_json::from_slice(body).unwrap_or_default();
        let key = (member(body, "logGroupName"), member(body, "logStreamName"));
        let Some(stream) = self.streams.get(&key) else {
            return error(400, "ResourceNotFoundException");
        };
        let start = request["startTime"].as_i64().unwrap_or(0);
        let from = request["nextToken"]
            .as_str()
            .and_then(|token| token.strip_prefix("f/")?.parse().ok())
            .unwrap_or(0);
        // From the end, because a stream is long and what is asked for is new.
        let first = stream.partition_point(|(time, _)| *time < start);
        let page: Vec<Value> = stream[first..]
            .iter()
            .skip(from)
            .take(PAGE_EVENTS)
            .map(|(time, message)| json!({"timestamp": time, "message": message, "ingestionTime": time}))
            .collect();
        let next = format!("f/{}", from + page.len());
        Answer::Json(
            200,
            json!({"events": page, "nextForwardToken": next, "nextBackwardToken": "b/0"}),
        )
    }
}

/// What of a batch the service refuses.
fn problem_of(events: &[LogEvent]) -> Option<String> {
    let bytes: usize = events.iter().map(|event| event.message.len() + 26).sum();
    let times = || events.iter().map(|event| event.timestamp);
    let span = times().max()? - times().min()?;
    if bytes > 1_048_576 {
        Some(format!("a batch of {bytes} bytes"))
    } else if events.len() > 10_000 {
        Some(format!("a batch of {} events", events.len()))
    } else if !times().is_sorted() {
        Some("a batch out of order".to_owned())
    } else if span > 24 * 60 * 60 * 1000 {
        Some(format!("a batch over {span} ms"))
    } else if events.iter().any(|event| event.message.is_empty()) {
        Some("an empty message".to_owned())
    } else {
        events
            .iter()
            .find(|event| event.message.len() > 256 * 1024 - 26)
            .map(|event| format!("a message of {} bytes", event.message.len()))
    }
}

fn member(body: &[u8], name: &str) -> String {
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    request[name].as_str().unwrap_or_default().to_owned()
}
