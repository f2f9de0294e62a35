//! What every intake needs, and the two loops that every intake is: one takes what comes in while there is room for it,
//! the other looks after what waits for an answer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Refusal;
use super::patience::Patience;
use crate::credentials::Aws;
use crate::model::BuildRequest;
use crate::store::{Arrival, AtLimit, Backlog, Claim, NewBuild, Store, Submission};

/// Time between two looks whether there is room.
const ROOM_INTERVAL: Duration = Duration::from_millis(250);

/// Time between two looks for what is to be answered.
const ANSWER_INTERVAL: Duration = Duration::from_secs(1);

/// So much is taken at once at most: what SQS gives at once, and enough of everything else.
const MOST: u32 = 10;

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

/// Something outside that builds come from.
#[async_trait]
pub(super) trait Intake: Send + Sync {
    /// Its name in the store.
    fn key(&self) -> &str;

    /// Its name, as people know it.
    fn title(&self) -> &str;

    /// How many of its builds may wait in the store.
    fn most_waiting(&self) -> u32;

    /// For how long something that waits for an answer is this process's to deal with; `None` if nothing of it ever
    /// waits for one.
    fn answers_within(&self) -> Option<Duration>;

    /// Takes what there is, so much at most, and gives the time after which it may be asked for more. What is taken
    /// after `stop` goes back.
    async fn take(&self, room: u32, stop: &CancellationToken) -> Result<Duration, String>;

    /// Does what is left to do once nothing is taken any more.
    async fn close(&self) {}

    /// Deals with something that waits for an answer, and whose turn it is.
    async fn look_at(&self, arrival: Arrival);
}

impl Reception {
    /// Takes what comes in until `stop`.
    pub(super) async fn take(&self, intake: &dyn Intake, stop: &CancellationToken) {
        let title = intake.title();
        tracing::info!("builds are taken from {title}");
        let mut patience = Patience::default();
        while let Some(room) = stop.run_until_cancelled(self.wait_for_room(intake)).await {
            let taken = match room {
                Ok(room) => intake.take(room, stop).await,
                Err(error) => Err(error),
            };
            let pause = match taken {
                Ok(pause) => {
                    patience.reset();
                    pause
                }
                Err(error) => {
                    tracing::warn!("nothing is taken from {title} for now: {error}");
                    patience.pause()
                }
            };
            stop.run_until_cancelled(sleep(pause)).await;
        }
        intake.close().await;
    }

    /// Looks after what waits for an answer until `ended`, and after it until nothing is due. What is begun is not given
    /// up half way: it would be nobody's for a while.
    pub(super) async fn answer(
        &self,
        intake: &dyn Intake,
        hold: Duration,
        ended: &CancellationToken,
    ) {
        while !ended.is_cancelled() {
            if self.answer_some(intake, hold).await == 0 {
                ended.run_until_cancelled(sleep(ANSWER_INTERVAL)).await;
            }
        }
        while self.answer_some(intake, hold).await > 0 {}
    }

    /// Deals with some of those whose turn it is, and tells with how many. A call that hangs for one of them keeps none
    /// of the others back.
    async fn answer_some(&self, intake: &dyn Intake, hold: Duration) -> usize {
        match self.store.due_arrivals(intake.key(), hold).await {
            Ok(due) => {
                let all = due.into_iter().map(|arrival| intake.look_at(arrival));
                join_all(all).await.len()
            }
            Err(error) => {
                tracing::warn!(
                    "what waits for an answer to {} cannot be looked at: {error:#}",
                    intake.title()
                );
                0
            }
        }
    }

    /// Queues the build of something that came in, unless it is one already.
    pub(super) async fn queue(
        &self,
        request: BuildRequest,
        claim: &Claim,
    ) -> Result<Submission, Refusal> {
        let build = NewBuild {
            request,
            priority: 0,
            at_limit: AtLimit::Queue,
        };
        Ok(self.store.claim(build, claim).await?)
    }

    /// Waits until something may be taken: so much.
    async fn wait_for_room(&self, intake: &dyn Intake) -> Result<u32, String> {
        loop {
            let room = self.room(intake).await?;
            if room > 0 {
                return Ok(room);
            }
            sleep(ROOM_INTERVAL).await;
        }
    }

    /// How much may be taken now.
    async fn room(&self, intake: &dyn Intake) -> Result<u32, String> {
        let places = (self.vacancies)();
        if places == 0 {
            return Ok(0);
        }
        let backlog = self.store.backlog(intake.key()).await;
        let Backlog { waiting, fresh } =
            backlog.map_err(|error| format!("{:#}", anyhow::Error::from(error)))?;
        let may_wait = intake.most_waiting().max(1).saturating_sub(waiting);
        Ok(places.saturating_sub(fresh).min(may_wait).min(MOST))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::model::{BuildId, Overrides, Project, Start};
    use crate::store::{self, Ticket};

    /// Counts what it looks at, and forgets it.
    struct Counter {
        store: Arc<dyn Store>,
        seen: AtomicUsize,
    }

    #[async_trait]
    impl Intake for Counter {
        fn key(&self) -> &'static str {
            "counter"
        }

        fn title(&self) -> &'static str {
            "the counter"
        }

        fn most_waiting(&self) -> u32 {
            30
        }

        fn answers_within(&self) -> Option<Duration> {
            None
        }

        async fn take(&self, _room: u32, _stop: &CancellationToken) -> Result<Duration, String> {
            Ok(Duration::ZERO)
        }

        async fn look_at(&self, arrival: Arrival) {
            let forgotten = self.store.forget_arrival(self.key(), &arrival.ticket.id);
            forgotten.await.unwrap();
            self.seen.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn request() -> BuildRequest {
        let project = Project::local("demo".parse().unwrap(), "a:1".to_owned());
        let overrides = Overrides {
            buildspec: Some("version: 0.2\nphases: {}".to_owned()),
            ..Overrides::default()
        };
        let start = Start {
            id: BuildId::new(project.name.clone()),
            project: &project,
            overrides: &overrides,
            build_number: 1,
            initiator: String::new(),
            region: "r".to_owned(),
            account: "a".to_owned(),
            directory: None,
            artifact_directory: None,
        };
        BuildRequest::new(start).unwrap()
    }

    async fn with_waiting(count: usize, data: &tempfile::TempDir) -> (Reception, Counter) {
        let address = format!("sqlite:{}", data.path().join("store.db").display());
        let store = store::open(&address).await.unwrap();
        let reception = Reception {
            store: Arc::clone(&store),
            aws: Aws::new("us-east-1"),
            vacancies: Arc::new(|| 100),
        };
        for number in 0..count {
            let claim = Claim {
                intake: "counter".to_owned(),
                token: number.to_string(),
                fingerprint: String::new(),
                answer_to: Some(Ticket {
                    id: number.to_string(),
                    ticket: String::new(),
                }),
            };
            reception.queue(request(), &claim).await.unwrap();
        }
        let seen = AtomicUsize::new(0);
        (reception, Counter { store, seen })
    }

    #[tokio::test]
    async fn what_is_due_when_the_worker_has_ended_is_dealt_with_to_the_last() {
        let data = tempfile::tempdir().unwrap();
        let (reception, counter) = with_waiting(25, &data).await;
        let ended = CancellationToken::new();
        ended.cancel();
        let answered = reception.answer(&counter, Duration::from_mins(1), &ended);
        answered.await;
        assert_eq!(counter.seen.load(Ordering::Relaxed), 25);
    }

    #[tokio::test]
    async fn no_more_is_taken_than_may_wait() {
        let data = tempfile::tempdir().unwrap();
        let (reception, counter) = with_waiting(28, &data).await;
        assert_eq!(reception.room(&counter).await, Ok(2));
        let full = Reception {
            vacancies: Arc::new(|| 0),
            ..reception
        };
        assert_eq!(full.room(&counter).await, Ok(0));
    }
}
