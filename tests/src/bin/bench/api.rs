//! What the API takes to answer, over HTTP, with a store on a disk. The peer is the time that is promised.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent::api::{self, Endpoint, Settings};
use agent::data_directory::DataDirectory;
use agent::store;
use agent::vault::Vault;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tests::postgres::{Durability, Postgres};
use tests::{Project, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Row, median, readable};

/// Builds that one client starts, one after the other.
const STARTS: usize = 300;

/// Builds that many clients start at once, and how many clients.
const MANY_STARTS: usize = 4000;
const CLIENTS: usize = 16;

/// Builds in the store of which 100 are looked up, and how often.
const STORED: u32 = 100_000;
const LOOKS: usize = 50;

/// Fills a store with copies of its one build.
const COPY_BUILD: &str = "
WITH RECURSIVE series (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < $1)
INSERT INTO builds (id, project, number, status, submitted_at, ended_at, request, record)
SELECT printf('%08x-0000-4000-8000-000000000000', n), project, 1 + n, 'SUCCEEDED',
       submitted_at - n, submitted_at, request, record
FROM series, (SELECT * FROM builds LIMIT 1)";

/// A server in this process, on a port of its own.
struct Served {
    address: SocketAddr,
    tasks: JoinSet<()>,
}

impl Served {
    async fn start(directory: &Path, store: &str) -> Self {
        let data = DataDirectory::open(directory).expect("one's own directory");
        let settings = Settings {
            region: "us-east-1".to_owned(),
            account: "123456789012".to_owned(),
            requests_per_second: 1_000_000,
            is_local: true,
            allows_privileged_mode: false,
            logs_to_aws: false,
            patience: Duration::from_secs(30),
        };
        let store = store::open(store).await.expect("the store opens");
        let vault = Vault::open(&directory.join("vault.key")).expect("one's own file");
        let endpoint =
            Endpoint::new(settings, store, vault, &data, None).expect("one's own directory");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a listener knows its port");
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            api::serve(listener, None, endpoint, &CancellationToken::new()).await;
        });
        let served = Self { address, tasks };
        served.client().await.call("CreateProject", &demo()).await;
        served
    }

    async fn client(&self) -> Client {
        let stream = TcpStream::connect(self.address).await;
        let stream = stream.expect("the server listens");
        stream.set_nodelay(true).expect("a socket can do that");
        Client(stream)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.tasks.abort_all();
    }
}

/// A connection that is kept, as SDKs keep theirs.
struct Client(TcpStream);

impl Client {
    async fn call(&mut self, operation: &str, input: &Value) -> Value {
        serde_json::from_slice(&self.answer(operation, input).await).expect("JSON")
    }

    /// The body of an answer: what the client makes of it is not the server's time.
    async fn answer(&mut self, operation: &str, input: &Value) -> Vec<u8> {
        let body = input.to_string();
        let request = format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: CodeBuild_20161006.{operation}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.0
            .write_all(request.as_bytes())
            .await
            .expect("it reads");
        let mut answer = Vec::new();
        loop {
            let read = self.0.read_buf(&mut answer).await.expect("it answers");
            assert!(read > 0, "the server hung up");
            if let Some(body) = whole_body(&answer) {
                assert!(
                    answer.starts_with(b"HTTP/1.1 200"),
                    "{}",
                    String::from_utf8_lossy(&answer)
                );
                return body.to_vec();
            }
        }
    }
}

/// The body, once all of it is there.
fn whole_body(answer: &[u8]) -> Option<&[u8]> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
    let (_, length) = head.split_once("content-length: ")?;
    let length: usize = length.split("\r\n").next()?.parse().ok()?;
    answer.get(end..end + length)
}

fn against(what: String, agent: Duration, limit: Duration) -> Row {
    Row {
        what,
        agent: readable(agent),
        peer: readable(limit),
        ratio: agent.as_secs_f64() / limit.as_secs_f64(),
        promised: "at most 1",
    }
}

fn runtime() -> Runtime {
    Runtime::new().expect("a runtime starts")
}

fn sqlite(directory: &Path) -> String {
    format!("sqlite:{}", directory.join("store.db").display())
}

/// `StartBuild` of one client after the other, SQLite on the disk.
pub(crate) fn start_build() -> Row {
    let directory = tempfile::tempdir().expect("a temporary directory");
    runtime().block_on(async {
        let served = Served::start(directory.path(), &sqlite(directory.path())).await;
        let mut client = served.client().await;
        let mut times = Vec::new();
        for _ in 0..STARTS {
            let start = Instant::now();
            client
                .call("StartBuild", &json!({"projectName": "demo"}))
                .await;
            times.push(start.elapsed());
        }
        against(
            "StartBuild, SQLite on disk, median".to_owned(),
            median(times),
            Duration::from_millis(5),
        )
    })
}

/// `StartBuild` of many clients at once, PostgreSQL with everything flushed.
pub(crate) fn start_builds() -> Row {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let postgres = Postgres::start(Durability::Full);
    runtime().block_on(async {
        let database = postgres.database().await;
        let served = Arc::new(Served::start(directory.path(), &database).await);
        let mut clients = JoinSet::new();
        let start = Instant::now();
        for _ in 0..CLIENTS {
            let served = Arc::clone(&served);
            clients.spawn(async move {
                let mut client = served.client().await;
                let mut times = Vec::new();
                for _ in 0..MANY_STARTS / CLIENTS {
                    let start = Instant::now();
                    client
                        .call("StartBuild", &json!({"projectName": "demo"}))
                        .await;
                    times.push(start.elapsed());
                }
                times
            });
        }
        let mut times: Vec<Duration> = clients.join_all().await.into_iter().flatten().collect();
        let one = start.elapsed() / u32::try_from(times.len()).unwrap_or(1);
        times.sort();
        let slow = readable(times[times.len() * 99 / 100]);
        against(
            format!("StartBuild, PostgreSQL, {CLIENTS} clients (p99 {slow})"),
            one,
            Duration::from_millis(1),
        )
    })
}

/// What a server holds after many requests, against what it held after some.
pub(crate) fn memory() -> Row {
    let project = Project::empty();
    let server = Server::start(&project, &["--no-worker"]);
    server.call("CreateProject", &demo());
    let rounds = async |client: &mut Client, count: usize| {
        for _ in 0..count {
            let started = client
                .call("StartBuild", &json!({"projectName": "demo"}))
                .await;
            let id = &started["build"]["id"];
            client.call("BatchGetBuilds", &json!({"ids": [id]})).await;
            client.call("ListBuilds", &json!({})).await;
            client.call("StopBuild", &json!({"id": id})).await;
        }
    };
    let (some, many) = runtime().block_on(async {
        let stream = TcpStream::connect(server.address()).await;
        let mut client = Client(stream.expect("the server listens"));
        rounds(&mut client, 500).await;
        let some = server.resident_kib();
        rounds(&mut client, 4500).await;
        (some, server.resident_kib())
    });
    #[expect(
        clippy::cast_precision_loss,
        reason = "memory of this size fits a double"
    )]
    let ratio = many as f64 / some as f64;
    Row {
        what: "memory of a server, 20,000 requests to 2,000".to_owned(),
        agent: format!("{} MiB", many / 1024),
        peer: format!("{} MiB", some / 1024),
        ratio,
        promised: "at most 1.1",
    }
}

/// A project that needs nothing of the world.
fn demo() -> Value {
    json!({
        "name": "demo",
        "source": {"type": "NO_SOURCE", "buildspec": "version: 0.2\nphases: {build: {commands: [true]}}"},
        "artifacts": {"type": "NO_ARTIFACTS"},
        "environment": {"type": "LINUX_CONTAINER", "image": "a:1", "computeType": "BUILD_GENERAL1_SMALL"},
        "serviceRole": "arn:aws:iam::123456789012:role/build",
    })
}

/// Looking 100 builds up among many.
pub(crate) fn batch_get() -> Row {
    let directory = tempfile::tempdir().expect("a temporary directory");
    runtime().block_on(async {
        let served = Served::start(directory.path(), &sqlite(directory.path())).await;
        let mut client = served.client().await;
        client
            .call("StartBuild", &json!({"projectName": "demo"}))
            .await;
        let options = SqliteConnectOptions::new().filename(directory.path().join("store.db"));
        let mut connection = options.connect().await.expect("the store is a file");
        let copied = sqlx::query(COPY_BUILD)
            .bind(STORED)
            .execute(&mut connection);
        copied.await.expect("builds can be copied");
        connection.close().await.expect("a connection closes");
        let step = STORED / 100;
        let ids =
            (0..100).map(|n| format!("demo:{:08x}-0000-4000-8000-000000000000", 1 + n * step));
        let input = json!({"ids": ids.collect::<Vec<_>>()});
        let mut times = Vec::new();
        for _ in 0..LOOKS {
            let start = Instant::now();
            let found = client.answer("BatchGetBuilds", &input).await;
            times.push(start.elapsed());
            let found: Value = serde_json::from_slice(&found).expect("JSON");
            assert_eq!(found["builds"].as_array().map(Vec::len), Some(100));
        }
        against(
            format!("BatchGetBuilds of 100 among {STORED}"),
            median(times),
            Duration::from_millis(10),
        )
    })
}
