//! AWS as moto plays it: a server of its own for each test, with real clients before it.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;

use serde_json::Value;

use crate::http::{self, Answer};

/// Region of everything in the tests.
pub const REGION: &str = "us-east-1";

/// The account that moto plays.
pub const ACCOUNT: &str = "123456789012";

/// Access key id and secret key that every stand-in service accepts.
pub const KEYS: (&str, &str) = ("testing", "testing-secret");

/// A program of the tests' Python environment.
pub fn python_program(name: &str) -> PathBuf {
    provided(&format!("venv/bin/{name}"))
}

/// Version 2 of the AWS CLI; version 1 is in the Python environment.
pub fn cli_v2() -> PathBuf {
    provided("aws-v2")
}

/// What `make setup` has put into the cache directory.
fn provided(path: &str) -> PathBuf {
    // The same place that the scripts choose.
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let cache = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    let program = cache
        .expect("XDG_CACHE_HOME or HOME is set")
        .join("buildspec-agent")
        .join(path);
    assert!(
        program.exists(),
        "{} is missing; run `make setup`",
        program.display()
    );
    program
}

/// The variables that lead a client of AWS to an endpoint instead, and to no credentials but those of the tests.
pub fn environment(endpoint: &str) -> Vec<(&'static str, String)> {
    vec![
        ("AWS_ENDPOINT_URL", endpoint.to_owned()),
        ("AWS_ACCESS_KEY_ID", KEYS.0.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", KEYS.1.to_owned()),
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_DEFAULT_REGION", REGION.to_owned()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ("AWS_CONFIG_FILE", "/dev/null".to_owned()),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".to_owned()),
        ("AWS_PAGER", String::new()),
    ]
}

/// A moto server, ended with this value.
#[derive(Debug)]
pub struct Moto {
    server: Child,
    address: String,
}

impl Moto {
    /// Starts a server on a free port and waits until it listens.
    pub fn start() -> Self {
        Self::start_on("127.0.0.1")
    }

    /// The same, for clients at another address of this machine.
    pub fn start_on(host: &str) -> Self {
        let mut server = Command::new(python_program("moto_server"))
            .args(["--host", host, "--port", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a program that exists starts");
        let said = server.stderr.take().expect("standard error is a pipe");
        let mut said = BufReader::new(said);
        let mut heard = String::new();
        let address = loop {
            let mut line = String::new();
            let read = said.read_line(&mut line).expect("moto speaks UTF-8");
            assert!(read > 0, "moto gave up:\n{heard}");
            if let Some((_, address)) = line.split_once("Running on http://") {
                break address.trim().to_owned();
            }
            heard.push_str(&line);
        };
        // It logs every request, and would wait for a reader.
        thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Self { server, address }
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its URL.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The variables that lead clients to it.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        environment(&self.endpoint())
    }

    /// Calls an operation of a service that speaks JSON, such as `AmazonSSM.PutParameter`.
    pub fn call(&self, target: &str, input: &Value) -> Value {
        let service = match target.split('.').next() {
            Some("AmazonSSM") => "ssm",
            Some("secretsmanager") => "secretsmanager",
            Some("Logs_20140328") => "logs",
            Some("AmazonSQS") => "sqs",
            Some(service) if service.starts_with("AmazonEC2ContainerRegistry") => "ecr",
            _ => panic!("the service of {target} is not known here"),
        };
        let headers = [
            ("X-Amz-Target", target),
            ("Content-Type", "application/x-amz-json-1.1"),
            ("Authorization", &authorization(service)),
        ];
        let body = input.to_string();
        let answer = http::request(&self.address, "POST", "/", &headers, body.as_bytes());
        let answer = answer.unwrap_or_else(|error| panic!("{target}: {error}"));
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        serde_json::from_slice(&answer.body).unwrap_or(Value::Null)
    }

    /// Sends a request to S3: `/bucket/key?query`.
    pub fn s3(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        let headers = [("Authorization", authorization("s3"))];
        let headers = headers
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        let answer = http::request(&self.address, method, path, &headers, body);
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// Makes a bucket.
    pub fn create_bucket(&self, name: &str) {
        let answer = self.s3("PUT", &format!("/{name}"), b"");
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// The keys of a bucket's objects, at most 1000, sorted.
    pub fn keys(&self, bucket: &str) -> Vec<String> {
        elements(
            &self
                .s3("GET", &format!("/{bucket}?list-type=2"), b"")
                .text(),
            "Key",
        )
    }

    /// The keys of unfinished multipart uploads.
    pub fn unfinished_uploads(&self, bucket: &str) -> Vec<String> {
        elements(
            &self.s3("GET", &format!("/{bucket}?uploads"), b"").text(),
            "Key",
        )
    }

    /// What a Python script prints, whose clients are led here.
    pub fn python(&self, script: &str) -> String {
        let output = Command::new(python_program("python3"))
            .args(["-c", script])
            .envs(self.environment())
            .output()
            .expect("a program that exists starts");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// What moto wants to see: it takes service and Region from here, and checks no signature.
fn authorization(service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential={}/20260101/{REGION}/{service}/aws4_request, SignedHeaders=host, Signature=0",
        KEYS.0
    )
}

/// The texts of all elements of a name, in a document without anything clever.
fn elements(xml: &str, name: &str) -> Vec<String> {
    let (start, end) = (format!("<{name}>"), format!("</{name}>"));
    let parts = xml.split(&start).skip(1);
    parts
        .filter_map(|part| part.split_once(&end))
        .map(|(text, _)| text.to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_server_keeps_what_it_is_given_and_is_nobody_elses() {
        let (moto, other) = (Moto::start(), Moto::start());
        let parameter = json!({"Name": "/a", "Value": "v", "Type": "SecureString"});
        moto.call("AmazonSSM.PutParameter", &parameter);
        let names = json!({"Names": ["/a"], "WithDecryption": true});
        let found = moto.call("AmazonSSM.GetParameters", &names);
        assert_eq!(found["Parameters"][0]["Value"], "v");
        let found = other.call("AmazonSSM.GetParameters", &names);
        assert_eq!(found["InvalidParameters"][0], "/a");
        moto.create_bucket("bucket");
        assert_eq!(moto.s3("PUT", "/bucket/k/1", b"x").status, 200);
        assert_eq!(moto.keys("bucket"), ["k/1"]);
        assert_eq!(moto.s3("GET", "/bucket/k/1", b"").body, b"x");
    }
}
