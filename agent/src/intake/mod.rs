//! Ways in beside the API: messages of a queue and jobs of a pipeline become builds of the store, as a call of
//! `StartBuild` does, and what waits for an answer gets it when the build is over.
//!
//! The store keeps the truth. What comes in is claimed there in one transaction with its build before its service
//! hears that it was taken; what is to be answered stands there until the service has the answer, whichever process
//! gives it. So neither the death of this process nor an outage of the service loses anything, and what comes again
//! finds the build that it has become.

mod ask;
mod codepipeline;
mod patience;
mod permissions;
mod sqs;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::credentials::Aws;
use crate::model::Site;
use crate::store::{Store, StoreError};
use codepipeline::Jobs;
pub use permissions::permissions;
use sqs::Queue;

/// How long the answers of the last builds may take when the worker has ended, and the answer to the last question for
/// messages.
const LAST_ANSWERS: Duration = Duration::from_secs(35);

/// How many builds of the smallest usual size the worker could begin now.
pub type Vacancies = Arc<dyn Fn() -> u32 + Send + Sync>;

/// What every intake needs.
#[derive(Clone)]
pub struct Reception {
    /// Where builds go.
    pub store: Arc<dyn Store>,
    /// The way to AWS, with the agent's own credentials.
    pub aws: Aws,
    /// How much the worker could begin now: nothing is taken that would only wait.
    pub vacancies: Vacancies,
}

impl fmt::Debug for Reception {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Reception")
    }
}

/// Why an intake cannot work.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// What the configuration says of it cannot be.
    #[error("{0}")]
    Configuration(String),
}

/// The intakes of a worker.
#[derive(Debug)]
pub struct Intakes {
    queue: Option<Arc<Queue>>,
    jobs: Option<Arc<Jobs>>,
}

impl Intakes {
    /// Those that the configuration names. Nobody is contacted yet.
    pub async fn new(reception: Reception, config: &Config) -> Result<Self, IntakeError> {
        let site = Site {
            region: config.region.clone(),
            account: config.account.clone(),
            allows_privileged_mode: config.docker_access(true, false).is_ok(),
            logs_to_aws: config.server.cloudwatch_logs,
        };
        let queue = match &config.sqs.queue_url {
            None => None,
            Some(url) => {
                let queue = Queue::new(reception.clone(), site.clone(), url, &config.sqs);
                Some(Arc::new(queue.await?))
            }
        };
        let jobs = match &config.codepipeline.provider {
            None => None,
            Some(provider) => {
                let jobs = Jobs::new(reception, site, provider, &config.codepipeline);
                Some(Arc::new(jobs.await?))
            }
        };
        Ok(Self { queue, jobs })
    }

    /// Takes what comes in until `drain`, and gives answers until the worker has ended.
    pub fn open(&self, drain: &CancellationToken) -> Open {
        let ended = CancellationToken::new();
        let mut tasks = JoinSet::new();
        if let Some(queue) = &self.queue {
            let (queue, stop) = (Arc::clone(queue), drain.clone());
            tasks.spawn(async move { queue.take(&stop).await });
        }
        if let Some(queue) = self.queue.as_ref().filter(|queue| queue.holds()) {
            let (queue, stop) = (Arc::clone(queue), ended.clone());
            tasks.spawn(async move { queue.hold(&stop).await });
        }
        if let Some(jobs) = &self.jobs {
            let (taker, stop) = (Arc::clone(jobs), drain.clone());
            tasks.spawn(async move { taker.take(&stop).await });
            let (jobs, stop) = (Arc::clone(jobs), ended.clone());
            tasks.spawn(async move { jobs.answer(&stop).await });
        }
        Open { ended, tasks }
    }
}

/// Intakes at work.
#[derive(Debug)]
pub struct Open {
    ended: CancellationToken,
    tasks: JoinSet<()>,
}

impl Open {
    /// Ends the intakes once nothing is taken any more and the worker has ended: the last builds are answered for.
    pub async fn close(mut self) {
        self.ended.cancel();
        let closing = async {
            while let Some(ended) = self.tasks.join_next().await {
                report(ended);
            }
        };
        if timeout(LAST_ANSWERS, closing).await.is_err() {
            tracing::warn!("answers that could not be given are left to the next worker");
        }
    }
}

/// A panic of an intake is ours, and shows where it is joined.
fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!("the task of an intake panicked: {error}");
    }
}

/// Why something that came in has not become a build.
#[derive(Debug)]
enum Refusal {
    /// It never will as it is: whoever sent it has something to mend.
    ForGood(String),
    /// It may later.
    ForNow(String),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::TokenMismatch => Self::ForGood(error.to_string()),
            error => Self::ForNow(format!("{:#}", anyhow::Error::from(error))),
        }
    }
}
