//! Sends malformed requests to an endpoint in this process, a million unless told otherwise:
//!
//! ```text
//! cargo run --release -p agent --example hammer [COUNT [SEED]]
//! ```
//!
//! Ends with an error at the first answer that blames us, has no body, or does not come; tells at the
//! end how many there were of each status, and how much memory was taken at the beginning and the end.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use agent::api::{Endpoint, Settings};
use agent::data_directory::DataDirectory;
use agent::store;
use agent::vault::Vault;
use anyhow::{Context, ensure};
use axum::body::{Body, to_bytes};
use axum::http::Request;

/// Requests after which memory is looked at for the first time: caches are warm then.
const WARM: u64 = 10_000;

const OPERATIONS: [&str; 14] = [
    "StartBuild",
    "BatchGetBuilds",
    "CreateProject",
    "UpdateProject",
    "ListBuilds",
    "ListBuildsForProject",
    "StopBuild",
    "RetryBuild",
    "ImportSourceCredentials",
    "CreateReportGroup",
    "DescribeTestCases",
    "GetLogEvents",
    "FilterLogEvents",
    "NoSuchOperation",
];

/// Inputs to spoil: each is near enough to a good one to get far.
const JSON: [&str; 5] = [
    r#"{"projectName":"demo","sourceVersion":"main","environmentVariablesOverride":[{"name":"A","value":"1","type":"PLAINTEXT"}],"timeoutInMinutesOverride":30}"#,
    r#"{"ids":["demo:11111111-2222-3333-4444-555555555555","demo:nope"],"nextToken":"00","maxResults":100}"#,
    r#"{"name":"demo","source":{"type":"NO_SOURCE","buildspec":"version: 0.2"},"artifacts":{"type":"NO_ARTIFACTS"},"environment":{"type":"LINUX_CONTAINER","image":"a","computeType":"BUILD_GENERAL1_SMALL"},"serviceRole":"r"}"#,
    r#"{"logGroupName":"g","logStreamName":"s","nextToken":"f/0","limit":1,"filterPattern":"a"}"#,
    r#"{"reportArn":"a","sortOrder":"ASCENDING","minLineCoveragePercentage":1e308}"#,
];

/// StartBuild as boto3 and as the SDK for Rust write it.
const CBOR: [&[u8]; 2] = [
    b"\xa2\x6bprojectName\x64demo\x78\x18timeoutInMinutesOverride\x18\x1e",
    b"\xbf\x63ids\x9f\x78\x29demo:11111111-2222-3333-4444-555555555555\x69demo:nope\xff\xff",
];

/// Numbers that look random and are the same for the same seed (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap_or_default()
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.roll(256)).unwrap_or_default()
    }

    /// A body that is broken in one of several ways.
    fn body(&mut self, is_cbor: bool) -> Vec<u8> {
        let mut body = if is_cbor {
            CBOR[self.roll(CBOR.len())].to_vec()
        } else {
            JSON[self.roll(JSON.len())].as_bytes().to_vec()
        };
        match self.roll(5) {
            0 => body.truncate(self.roll(body.len())),
            1 => body = (0..self.roll(200)).map(|_| self.byte()).collect(),
            2 => body.insert(self.roll(body.len()), self.byte()),
            _ => {
                for _ in 0..=self.roll(4) {
                    let place = self.roll(body.len());
                    body[place] = self.byte();
                }
            }
        }
        body
    }
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "a program for people")]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |usual: u64| -> anyhow::Result<u64> {
        let argument = arguments.next().map(|argument| argument.parse());
        Ok(argument.transpose()?.unwrap_or(usual))
    };
    let (count, seed) = (number(1_000_000)?, number(1)?);
    let directory = tempfile::tempdir()?;
    let endpoint = endpoint(directory.path()).await?;
    let mut dice = Dice(seed.max(1));
    let mut statuses = BTreeMap::new();
    let (start, mut warm) = (Instant::now(), 0);
    for turn in 0..count {
        if turn == WARM.min(count / 2) {
            warm = resident_kib()?;
        }
        let status = one(&endpoint, &mut dice)
            .await
            .with_context(|| format!("request {turn} of seed {seed}"))?;
        *statuses.entry(status).or_insert(0_u64) += 1;
    }
    println!(
        "{count} requests in {:.1} s; by status: {statuses:?}; resident {warm} KiB, then {} KiB",
        start.elapsed().as_secs_f64(),
        resident_kib()?
    );
    Ok(())
}

async fn endpoint(directory: &std::path::Path) -> anyhow::Result<Endpoint> {
    let data = DataDirectory::open(directory)?;
    let address = format!("sqlite:{}", directory.join("store.db").display());
    let settings = Settings {
        region: "us-east-1".to_owned(),
        account: "123456789012".to_owned(),
        requests_per_second: 1,
        is_local: true,
        allows_privileged_mode: false,
        logs_to_aws: false,
    };
    let vault = Vault::open(&directory.join("vault.key"))?;
    Ok(Endpoint::new(
        settings,
        store::open(&address).await?,
        vault,
        &data,
    )?)
}

/// Sends one request, and gives the status of its answer.
async fn one(endpoint: &Endpoint, dice: &mut Dice) -> anyhow::Result<u16> {
    let operation = OPERATIONS[dice.roll(OPERATIONS.len())];
    let is_cbor = dice.roll(2) == 0;
    let service = if operation.contains("Log") {
        "Logs_20140328"
    } else {
        "CodeBuild_20161006"
    };
    let request = Request::builder()
        .method("POST")
        .header("host", "localhost");
    let request = if is_cbor {
        request
            .uri(format!("/service/{service}/operation/{operation}"))
            .header("smithy-protocol", "rpc-v2-cbor")
    } else {
        request
            .uri("/")
            .header("x-amz-target", format!("{service}.{operation}"))
    };
    let body = dice.body(is_cbor);
    let shown = String::from_utf8_lossy(&body).into_owned();
    let from = SocketAddr::from(([127, 0, 0, 1], 1));
    let answer = endpoint.answer(request.body(Body::from(body))?, from).await;
    let status = answer.status().as_u16();
    let answer = to_bytes(answer.into_body(), usize::MAX).await?;
    ensure!(
        status < 500 && !answer.is_empty(),
        "{operation} with {shown:?} was answered with {status}"
    );
    Ok(status)
}

fn resident_kib() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let digits = line.unwrap_or_default().split_whitespace().nth(1);
    Ok(digits.unwrap_or_default().parse()?)
}
