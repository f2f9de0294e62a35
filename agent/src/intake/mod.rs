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
mod reception;
mod sqs;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::model::Site;
use crate::store::StoreError;
use codepipeline::Jobs;
pub use permissions::permissions;
use reception::Intake;
pub use reception::{Reception, Vacancies};
use sqs::Queue;

/// How long the answers of the last builds may take when the worker has ended.
const LAST_ANSWERS: Duration = Duration::from_secs(35);

/// Why an intake cannot work.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// What the configuration says of it cannot be.
    #[error("{0}")]
    Configuration(String),
}

/// The intakes of a worker.
pub struct Intakes {
    reception: Reception,
    all: Vec<Arc<dyn Intake>>,
}

impl fmt::Debug for Intakes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let titles = self.all.iter().map(|intake| intake.title());
        formatter.debug_list().entries(titles).finish()
    }
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
        let mut all: Vec<Arc<dyn Intake>> = Vec::new();
        if let Some(url) = &config.sqs.queue_url {
            let queue = Queue::new(reception.clone(), site.clone(), url, &config.sqs);
            all.push(Arc::new(queue.await?));
        }
        if let Some(provider) = &config.codepipeline.provider {
            let jobs = Jobs::new(reception.clone(), site, provider, &config.codepipeline);
            all.push(Arc::new(jobs.await?));
        }
        Ok(Self { reception, all })
    }

    /// Takes what comes in until `drain`, and gives answers until the worker has ended.
    pub fn open(&self, drain: &CancellationToken) -> Open {
        let ended = CancellationToken::new();
        let mut tasks = JoinSet::new();
        for intake in &self.all {
            let (reception, taker) = (self.reception.clone(), Arc::clone(intake));
            let stop = drain.clone();
            tasks.spawn(async move { reception.take(taker.as_ref(), &stop).await });
            let Some(hold) = intake.answers_within() else {
                continue;
            };
            let (reception, intake) = (self.reception.clone(), Arc::clone(intake));
            let stop = ended.clone();
            tasks.spawn(async move { reception.answer(intake.as_ref(), hold, &stop).await });
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

/// What a call answers, or `None` if it is time to stop first. An answer that has arrived is given also then.
///
/// The call may take something and be given up all the same, for two reasons that both have to hold: its service waits
/// before it answers, and hands out again what nobody has confirmed.
async fn unless_stopped<T>(stop: &CancellationToken, call: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        answer = call => Some(answer),
        () = stop.cancelled() => None,
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

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn a_question_is_given_up_unless_its_answer_is_there() {
        let stop = CancellationToken::new();
        assert_eq!(unless_stopped(&stop, ready(1)).await, Some(1));
        stop.cancel();
        assert_eq!(unless_stopped(&stop, ready(1)).await, Some(1));
        assert_eq!(unless_stopped(&stop, pending::<()>()).await, None);
    }
}
