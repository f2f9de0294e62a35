//! A queue of SQS: messages come out of it, and go when they are builds of the store, or when their builds are over.
//!
//! Nothing is asked for while the worker is full, the store is away, or enough builds of the queue wait already: what
//! is in the queue is safe there, and every receipt without a build brings a message nearer to the dead-letter queue. A
//! message that can be no build is never deleted: it is told of in the log and left to the queue's redrive policy.

mod hold;
mod message;
mod payload;
mod service;
mod taking;

use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::{Intake, IntakeError, Reception};
use crate::config::SqsConfig;
use crate::model::Site;
use crate::store::Arrival;
use service::{Service, Trouble};

/// A queue.
#[derive(Debug)]
pub(super) struct Queue {
    reception: Reception,
    site: Site,
    service: Service,
    config: SqsConfig,
    /// Its name in the store.
    intake: String,
    /// Its name, as people know it.
    name: String,
    /// Whether it keeps the order of its groups: that is in the name (API, `CreateQueue`).
    is_fifo: bool,
    /// The same, in a sentence.
    title: String,
}

#[async_trait]
impl Intake for Queue {
    fn key(&self) -> &str {
        &self.intake
    }

    fn title(&self) -> &str {
        &self.title
    }

    fn most_waiting(&self) -> u32 {
        self.config.waiting
    }

    fn answers_within(&self) -> Option<Duration> {
        // Held on to once in every third of the time for which they are hidden.
        self.holds().then(|| self.config.visibility() / 3)
    }

    async fn take(&self, room: u32, stop: &CancellationToken) -> Result<Duration, String> {
        self.take_some(room, stop).await?;
        // The question itself waits for messages.
        Ok(Duration::ZERO)
    }

    async fn close(&self) {
        if self.holds() {
            self.give_back_waiting().await;
        }
    }

    async fn look_at(&self, arrival: Arrival) {
        self.hold_on_or_let_go(&arrival).await;
    }
}

impl Queue {
    /// The queue of this URL. Nobody is contacted.
    pub(super) async fn new(
        reception: Reception,
        site: Site,
        url: &str,
        config: &SqsConfig,
    ) -> Result<Self, IntakeError> {
        let path = url.split_once("://").map(|(_, rest)| rest);
        let name = path.and_then(|path| path.rsplit_once('/'));
        let name = name.map(|(_, name)| name).filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| {
            IntakeError::Configuration(format!(
                "{url:?} is not the URL of a queue, such as https://sqs.eu-west-1.amazonaws.com/123456789012/builds"
            ))
        })?;
        Ok(Self {
            service: Service::new(&reception.aws, url).await,
            intake: format!("sqs {url}"),
            is_fifo: name.strip_suffix(".fifo").is_some(),
            name: name.to_owned(),
            title: format!("queue {name}"),
            config: config.clone(),
            reception,
            site,
        })
    }

    /// Whether messages stay until their builds are over.
    fn holds(&self) -> bool {
        self.config.hold
    }
}
