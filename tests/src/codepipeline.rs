//! CodePipeline as a job worker sees it: hands jobs out, keeps their states as the service does, and writes every call
//! down.

use std::collections::BTreeMap;
use std::io::{self, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::aws::KEYS;
use crate::json_service::{read_request, write_response};

/// Longer than any test waits for a call: only something that hangs takes as long.
const LIMIT: Duration = Duration::from_mins(3);

/// The bucket of every pipeline's artifacts.
pub const BUCKET: &str = "pipe-bkt";

/// The endpoint. It listens for as long as the process lives.
#[derive(Debug, Clone)]
pub struct CodePipeline {
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
    jobs: BTreeMap<String, Job>,
    calls: Vec<Call>,
    /// Operations whose next calls fail, and how.
    faults: Vec<(String, Fault)>,
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is throttled.
    Throttled,
    /// The service is broken.
    Broken,
    /// The service does what it is asked to, and the line is cut before the answer.
    Unanswered,
    /// What is exported is too large.
    TooLarge,
}

/// A call that was made.
#[derive(Debug, Clone)]
pub struct Call {
    /// Its operation.
    pub operation: String,
    /// Its input.
    pub input: Value,
    /// Whether it was answered with an error.
    pub failed: bool,
}

#[derive(Debug)]
struct Job {
    data: Value,
    /// As the API names it.
    status: &'static str,
    nonce: String,
}

/// A job to be worked on.
#[derive(Debug, Clone)]
pub struct JobData {
    /// The configuration of its action.
    pub configuration: Value,
    /// Names of its input artifacts, and what their sources call their versions.
    pub inputs: Vec<(&'static str, &'static str)>,
    /// Names of its output artifacts.
    pub outputs: Vec<&'static str>,
    /// The key that encrypts what it yields.
    pub encryption_key: Option<String>,
}

/// Key of an artifact in [`BUCKET`].
pub fn key(artifact: &str) -> String {
    format!("rel/{artifact}/AbC123x")
}

impl CodePipeline {
    /// Starts to listen on this machine's loopback address.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let address = listener.local_addr().expect("a listener has an address");
        let endpoint = Self {
            address,
            shared: Arc::default(),
        };
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

    /// Its address, as in `AWS_ENDPOINT_URL_CODEPIPELINE`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Puts a job into the queue of the action type `Build/SelfHostedBuild/1`.
    pub fn add(&self, id: &str, job: &JobData) {
        let artifact = |name: &str, revision: Option<&str>| {
            let mut artifact = json!({"name": name, "location": {"type": "S3",
                "s3Location": {"bucketName": BUCKET, "objectKey": key(name)}}});
            if let Some(revision) = revision {
                artifact["revision"] = revision.into();
            }
            artifact
        };
        let inputs = job.inputs.iter();
        let outputs = job.outputs.iter();
        let mut data = json!({
            "actionTypeId": {"category": "Build", "owner": "Custom", "provider": "SelfHostedBuild", "version": "1"},
            "actionConfiguration": {"configuration": job.configuration},
            "pipelineContext": {"pipelineName": "rel", "stage": {"name": "Build"},
                "pipelineArn": "arn:aws:codepipeline:us-east-1:123456789012:rel",
                "pipelineExecutionId": "7d8c1a00-1111-4222-8333-444455556666",
                "action": {"name": "Compile", "actionExecutionId": "9a1b2c3d-1111-4222-8333-444455556666"}},
            "inputArtifacts": inputs.map(|(name, revision)| artifact(name, Some(*revision))).collect::<Vec<_>>(),
            "outputArtifacts": outputs.map(|name| artifact(name, None)).collect::<Vec<_>>(),
        });
        if let Some(key) = &job.encryption_key {
            data["encryptionKey"] = json!({"id": key, "type": "KMS"});
        }
        let job = Job {
            data,
            status: "Queued",
            nonce: String::new(),
        };
        self.shared.state().jobs.insert(id.to_owned(), job);
    }

    /// Ends a job as somebody does who stops the execution of the pipeline.
    pub fn cancel(&self, id: &str) {
        if let Some(job) = self.shared.state().jobs.get_mut(id) {
            job.status = "Failed";
        }
    }

    /// The next call of an operation fails like this.
    pub fn fail_next(&self, operation: &str, fault: Fault) {
        let mut state = self.shared.state();
        state.faults.push((operation.to_owned(), fault));
    }

    /// The calls that were made, questions for jobs left out.
    pub fn calls(&self) -> Vec<Call> {
        let state = self.shared.state();
        let calls = state.calls.iter();
        calls
            .filter(|call| call.operation != "PollForJobs")
            .cloned()
            .collect()
    }

    /// The operations that were called, questions for jobs left out.
    pub fn operations(&self) -> Vec<String> {
        let calls = self.calls().into_iter();
        calls.map(|call| call.operation).collect()
    }

    /// Waits for so many calls of an operation, and gives the last of them.
    pub fn wait_for(&self, operation: &str, count: usize) -> Call {
        let is_missing = |state: &mut State| {
            let found = state
                .calls
                .iter()
                .filter(|call| call.operation == operation);
            found.count() < count
        };
        let waited = self
            .shared
            .changed
            .wait_timeout_while(self.shared.state(), LIMIT, is_missing);
        let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(
            !timeout.timed_out(),
            "no {count} calls of {operation}: {:?}",
            state.calls
        );
        let mut calls = state.calls.iter();
        let found = calls.rfind(|call| call.operation == operation);
        found.expect("there is one").clone()
    }
}

/// What the endpoint answers.
struct Answer(u16, Value);

fn refuse(code: &str) -> Answer {
    Answer(400, json!({"__type": code, "message": code}))
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers the calls of one connection, until it ends.
    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream);
        while let Some((operation, body)) = read_request(&mut reader)? {
            let input = serde_json::from_slice(&body).unwrap_or_default();
            let answer = self.state().take(&operation, input);
            self.changed.notify_all();
            match answer {
                Some(Answer(status, value)) => write_response(stream, status, &value)?,
                None => return Ok(()),
            }
        }
        Ok(())
    }
}

impl State {
    /// Answers a call, or meets its fault; `None` cuts the line.
    fn take(&mut self, operation: &str, input: Value) -> Option<Answer> {
        let fault = self.faults.iter().position(|(of, _)| of == operation);
        let fault = fault.map(|place| self.faults.remove(place).1);
        let answer = match fault {
            Some(Fault::Throttled) => Some(refuse("ThrottlingException")),
            Some(Fault::Broken) => Some(Answer(500, json!({"__type": "InternalFailure"}))),
            Some(Fault::TooLarge) => Some(refuse("OutputVariablesSizeExceededException")),
            Some(Fault::Unanswered) => {
                self.answer(operation, &input);
                None
            }
            None => Some(self.answer(operation, &input)),
        };
        self.calls.push(Call {
            operation: operation.to_owned(),
            input,
            failed: !matches!(answer, Some(Answer(200, _))),
        });
        answer
    }

    fn answer(&mut self, operation: &str, input: &Value) -> Answer {
        if operation == "PollForJobs" {
            return self.poll(input);
        }
        let id = input["jobId"].as_str().unwrap_or_default();
        let Some(job) = self.jobs.get_mut(id) else {
            return refuse("JobNotFoundException");
        };
        match operation {
            "AcknowledgeJob" if input["nonce"] != *job.nonce => refuse("InvalidNonceException"),
            "AcknowledgeJob" => {
                if job.status == "Dispatched" {
                    job.status = "InProgress";
                }
                Answer(200, json!({"status": job.status}))
            }
            "GetJobDetails" => {
                let details =
                    json!({"id": id, "data": with_keys(&job.data), "accountId": "123456789012"});
                Answer(200, json!({"jobDetails": details}))
            }
            "PutJobSuccessResult" | "PutJobFailureResult" if job.status != "InProgress" => {
                refuse("InvalidJobStateException")
            }
            "PutJobSuccessResult" => {
                job.status = "Succeeded";
                Answer(200, json!({}))
            }
            "PutJobFailureResult" => {
                job.status = "Failed";
                Answer(200, json!({}))
            }
            _ => refuse("UnknownOperationException"),
        }
    }

    /// Jobs of the fleet that is asked for, each to one worker.
    fn poll(&mut self, input: &Value) -> Answer {
        let action = &input["actionTypeId"];
        if action["owner"] != "Custom" {
            return refuse("ValidationException");
        }
        if action["provider"] != "SelfHostedBuild" || action["version"] != "1" {
            return refuse("ActionTypeNotFoundException");
        }
        let most = input["maxBatchSize"].as_u64().unwrap_or(1);
        let fleet = &input["queryParam"]["Fleet"];
        let is_wanted = |job: &Job| {
            let of_job = &job.data["actionConfiguration"]["configuration"]["Fleet"];
            job.status == "Queued" && (fleet.is_null() || fleet == of_job)
        };
        let mut jobs = Vec::new();
        for (id, job) in &mut self.jobs {
            if is_wanted(job) && (jobs.len() as u64) < most {
                job.status = "Dispatched";
                job.nonce.push('n');
                jobs.push(
                    json!({"id": id, "nonce": job.nonce, "accountId": "123456789012",
                    "data": with_keys(&job.data)}),
                );
            }
        }
        Answer(200, json!({"jobs": jobs}))
    }
}

/// The data of a job with the credentials that open its artifacts.
fn with_keys(data: &Value) -> Value {
    let mut data = data.clone();
    data["artifactCredentials"] =
        json!({"accessKeyId": KEYS.0, "secretAccessKey": KEYS.1, "sessionToken": "of the job"});
    data
}
