//! What every intake needs, and the two loops that every intake is: one takes what comes in while there is room for it,
//! the other looks after what waits for an answer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
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

    /// Looks after what waits for an answer until `ended`, and once after it. What is begun is not given up half way: it
    /// would be nobody's for a while.
    pub(super) async fn answer(
        &self,
        intake: &dyn Intake,
        hold: Duration,
        ended: &CancellationToken,
    ) {
        while !ended.is_cancelled() {
            self.answer_once(intake, hold).await;
            ended.run_until_cancelled(sleep(ANSWER_INTERVAL)).await;
        }
        self.answer_once(intake, hold).await;
    }

    async fn answer_once(&self, intake: &dyn Intake, hold: Duration) {
        match self.store.due_arrivals(intake.key(), hold).await {
            Ok(due) => {
                for arrival in due {
                    intake.look_at(arrival).await;
                }
            }
            Err(error) => tracing::warn!(
                "what waits for an answer to {} cannot be looked at: {error:#}",
                intake.title()
            ),
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
