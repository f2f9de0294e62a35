//! A request: an operation, a protocol, an input, and what is wrong with them.

use std::fmt::Write;

use serde_json::Value;

use super::Answer;
use super::dice::Dice;
use super::inputs;

const OPERATIONS: [&str; 26] = [
    "CodeBuild_20161006.StartBuild",
    "CodeBuild_20161006.StartBuild",
    "CodeBuild_20161006.BatchGetBuilds",
    "CodeBuild_20161006.BatchDeleteBuilds",
    "CodeBuild_20161006.BatchGetProjects",
    "CodeBuild_20161006.CreateProject",
    "CodeBuild_20161006.UpdateProject",
    "CodeBuild_20161006.ListBuilds",
    "CodeBuild_20161006.ListBuildsForProject",
    "CodeBuild_20161006.ListProjects",
    "CodeBuild_20161006.StopBuild",
    "CodeBuild_20161006.RetryBuild",
    "CodeBuild_20161006.ImportSourceCredentials",
    "CodeBuild_20161006.CreateReportGroup",
    "CodeBuild_20161006.DescribeTestCases",
    "CodeBuild_20161006.DescribeCodeCoverages",
    "CodeBuild_20161006.StartBuildBatch",
    "CodeBuild_20161006.UpdateProjectVisibility",
    "CodeBuild_20161006.NoSuchOperation",
    "Logs_20140328.GetLogEvents",
    "Logs_20140328.FilterLogEvents",
    "Logs_20140328.DescribeLogStreams",
    "BuildspecAgent_20261101.AttachBuild",
    "BuildspecAgent_20261101.ExplainBuild",
    "BuildspecAgent_20261101.ResumeBuild",
    "NoSuchService_1.StartBuild",
];

/// Bytes to send, and what has to come back.
#[derive(Debug)]
pub(super) struct Strike {
    pub(super) bytes: Vec<u8>,
    pub(super) expected: Expected,
}

/// What has to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// An output, or an error that blames the client, in the protocol of the request.
    Answer {
        /// Whether the body was written in CBOR.
        is_cbor: bool,
        /// Whether the body cannot be decoded: then only that may be said, or that it is not let in.
        is_undecodable: bool,
    },
    /// Any error that blames the client, or nothing: what was sent is hardly HTTP.
    Anything,
}

impl Strike {
    pub(super) fn new(dice: &mut Dice, address: &str) -> Self {
        let is_cbor = dice.one_in(2);
        let input = inputs::spoilt(dice);
        let mut body = Vec::new();
        if is_cbor {
            inputs::cbor(&input, dice, &mut body);
        } else {
            body = input.to_string().into_bytes();
        }
        let is_undecodable = spoil_bytes(&mut body, dice);
        let mut bytes = head(dice, address, is_cbor, body.len()).into_bytes();
        bytes.extend_from_slice(&body);
        let mut expected = Expected::Answer {
            is_cbor,
            is_undecodable,
        };
        // What is hardly HTTP takes a connection each.
        if dice.one_in(40) {
            expected = Expected::Anything;
            spoil_http(&mut bytes, dice);
        }
        Self { bytes, expected }
    }
}

/// Breaks the body; tells whether it is certain that nobody can decode it.
fn spoil_bytes(body: &mut Vec<u8>, dice: &mut Dice) -> bool {
    if body.is_empty() {
        return false;
    }
    match dice.roll(8) {
        // The end of a sensible body that is a list or a map is not optional.
        0 if matches!(body[0], b'{' | b'[') => {
            let length = 1 + dice.roll(body.len() - 1);
            body.truncate(length);
            true
        }
        0 => {
            body.truncate(dice.roll(body.len()));
            false
        }
        1 => {
            *body = dice.bytes(200);
            false
        }
        2 => {
            let place = dice.roll(body.len());
            body.insert(place, dice.byte());
            false
        }
        3 => {
            for _ in 0..=dice.roll(4) {
                let place = dice.roll(body.len());
                body[place] = dice.byte();
            }
            false
        }
        _ => false,
    }
}

fn head(dice: &mut Dice, address: &str, is_cbor: bool, length: usize) -> String {
    let target = dice.pick(&OPERATIONS);
    let (service, operation) = target.split_once('.').unwrap_or_default();
    let mut head = if is_cbor {
        format!(
            "POST /service/{service}/operation/{operation} HTTP/1.1\r\nsmithy-protocol: rpc-v2-cbor\r\n"
        )
    } else {
        format!("POST / HTTP/1.1\r\nX-Amz-Target: {target}\r\n")
    };
    let _ = write!(head, "Host: {address}\r\nContent-Length: {length}\r\n");
    if dice.one_in(3) {
        let authorization = dice.pick(&[
            "AWS4-HMAC-SHA256 Credential=AKIAWRONG/20261123/us-east-1/codebuild/aws4_request, SignedHeaders=host;x-amz-date;x-amz-target, Signature=6ebb",
            "AWS4-HMAC-SHA256 Credential=/////, SignedHeaders=;;;, Signature=",
            "AWS4-HMAC-SHA256",
            "Basic YTpi",
            "AWS4-HMAC-SHA256 Credential=AKIA/20261123/us-east-1/codebuild/aws4_request,SignedHeaders=host,Signature=0000000000000000000000000000000000000000000000000000000000000000",
        ]);
        let _ = write!(head, "Authorization: {authorization}\r\n");
        let date = dice.pick(&["20261123T201515Z", "yesterday", "20261399T999999Z", ""]);
        let _ = write!(head, "X-Amz-Date: {date}\r\n");
    }
    if dice.one_in(10) {
        head.push_str("x-amz-content-sha256: UNSIGNED-PAYLOAD\r\nx-amz-security-token: x\r\n");
    }
    if dice.one_in(10) {
        head.push_str("amz-sdk-invocation-id: 5fa64d07-6b5a-486b-ab63-8b01e1b95fd6\r\n");
    }
    head.push_str("\r\n");
    head
}

/// Makes something of a request that is hardly HTTP any more.
fn spoil_http(bytes: &mut Vec<u8>, dice: &mut Dice) {
    match dice.roll(7) {
        0 => bytes.truncate(dice.roll(bytes.len())),
        1 => *bytes = dice.bytes(300),
        2 => replace(
            bytes,
            b"POST",
            dice.pick(&[&b"GET"[..], b"PUT", b"\x00", b"OPTIONS"]),
        ),
        3 => replace(bytes, b"Content-Length: ", b"Content-Length: 9"),
        4 => replace(
            bytes,
            b"Content-Length: ",
            b"Transfer-Encoding: chunked\r\nX: ",
        ),
        5 => replace(
            bytes,
            b"HTTP/1.1",
            dice.pick(&[&b"HTTP/9.9"[..], b"HTTP/1.0", b"", b"X"]),
        ),
        _ => {
            for _ in 0..=dice.roll(6) {
                let place = dice.roll(bytes.len().min(300));
                bytes[place] = dice.byte();
            }
        }
    }
}

fn replace(bytes: &mut Vec<u8>, what: &[u8], by: &[u8]) {
    let found = bytes.windows(what.len()).position(|window| window == what);
    if let Some(place) = found {
        bytes.splice(place..place + what.len(), by.iter().copied());
    }
}

impl Expected {
    /// The error says what is wrong with an answer.
    pub(super) fn check(self, answer: &Answer) -> Result<(), String> {
        let shown = || {
            let body = String::from_utf8_lossy(&answer.body);
            format!("it was answered with {}: {body:?}", answer.status)
        };
        let is_class = matches!(answer.status, 200 | 400..=499);
        let Self::Answer {
            is_cbor,
            is_undecodable,
        } = self
        else {
            return if is_class { Ok(()) } else { Err(shown()) };
        };
        if !is_class || answer.body.is_empty() || answer.is_cbor != is_cbor {
            return Err(shown());
        }
        if answer.status == 200 {
            return if is_undecodable { Err(shown()) } else { Ok(()) };
        }
        // What every client looks for.
        let code = if is_cbor {
            String::from_utf8_lossy(&answer.body).into_owned()
        } else {
            let error: Value = serde_json::from_slice(&answer.body).map_err(|_| shown())?;
            error["message"].as_str().ok_or_else(shown)?;
            error["__type"].as_str().ok_or_else(shown)?.to_owned()
        };
        let may_be = [
            "SerializationException",
            "UnknownOperationException",
            "MissingAuthenticationTokenException",
            "IncompleteSignatureException",
            "UnrecognizedClientException",
            "InvalidSignatureException",
        ];
        let is_named = code.contains("Exception");
        if !is_named || is_undecodable && !may_be.iter().any(|name| code.contains(name)) {
            return Err(shown());
        }
        Ok(())
    }
}
