//! Settings of the ways in beside the API: queues and pipelines.

use std::time::Duration;

use serde::Deserialize;

/// A queue of SQS whose messages become builds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SqsConfig {
    /// URL of the queue. Default: none, and SQS is never asked.
    pub queue_url: Option<String>,
    /// Whether a message stays in the queue, hidden from others, until its build is over: for workers without a
    /// common store, so that the build of a worker that is lost runs elsewhere. Default: no, the message is deleted once
    /// the build is in the store.
    pub hold: bool,
    /// How many builds of the queue may wait in the store; beyond that, messages stay in the queue. Default: 10.
    pub waiting: u32,
    /// How long a question for messages waits for some, in seconds, 20 at most. A worker that ends gives the question up
    /// at once. Default: 20.
    pub wait_secs: u32,
    /// How long a message is hidden from others while it is dealt with, in seconds: it comes again after that if it is
    /// refused, or if this worker is lost. With `hold` it is extended every third of that. Default: 120.
    pub visibility_secs: u32,
}

impl Default for SqsConfig {
    fn default() -> Self {
        Self {
            queue_url: None,
            hold: false,
            waiting: 10,
            wait_secs: 20,
            visibility_secs: 120,
        }
    }
}

impl SqsConfig {
    /// How long a question for messages waits for some.
    pub fn wait(&self) -> Duration {
        Duration::from_secs(self.wait_secs.min(20).into())
    }

    /// How long a message is hidden: between three seconds and the twelve hours that SQS allows.
    pub fn visibility(&self) -> Duration {
        Duration::from_secs(self.visibility_secs.clamp(3, 43_200).into())
    }
}

/// A custom action type of CodePipeline whose jobs become builds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CodePipelineConfig {
    /// Its provider. Default: none, and CodePipeline is never asked.
    pub provider: Option<String>,
    /// Its version. Default: `1`.
    pub version: String,
    /// Its category. Default: `Build`.
    pub category: String,
    /// Value of the action type's queryable property `Fleet`: only its jobs are taken. Default: none.
    pub fleet: Option<String>,
    /// Time between two looks for jobs, in seconds, half as much more or less. Default: 10.
    pub poll_secs: u32,
    /// How many builds of pipelines may wait in the store; beyond that, jobs stay where they are. Default: 10.
    pub waiting: u32,
}

impl Default for CodePipelineConfig {
    fn default() -> Self {
        Self {
            provider: None,
            version: "1".to_owned(),
            category: "Build".to_owned(),
            fleet: None,
            poll_secs: 10,
            waiting: 10,
        }
    }
}

impl CodePipelineConfig {
    /// Time between two looks for jobs.
    pub fn poll(&self) -> Duration {
        Duration::from_secs(self.poll_secs.max(1).into())
    }
}
