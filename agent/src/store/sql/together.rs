//! Calls that arrive while a transaction is under way share the next one.
//!
//! What a transaction costs is above all the flush of the disk at its end, and what it holds until then:
//! all builds of a project wait for each other at its lane. Shared, one flush and a handful of statements
//! serve many calls. Nobody waits for others to come: a call that finds nothing under way starts at once.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::store::StoreError;
use crate::store::database::{Database, Durability, Session};

/// Calls that share a transaction at most.
const MOST: usize = 100;

/// Calls that wait for a transaction at most; further callers wait for a place among them.
const WAITING: usize = 1000;

/// Answers to calls that share a transaction, one for each in their order.
pub(super) type Answers<T> = Vec<Result<T, StoreError>>;

/// A call that may share a transaction with others of its kind.
#[async_trait]
pub(super) trait Call: std::fmt::Debug + Send + Sync + Sized + 'static {
    /// What its caller gets.
    type Answer: Send + 'static;

    /// What has to be left of it when the power fails.
    fn durability(&self) -> Durability {
        Durability::Kept
    }

    /// Does what the calls ask for. A call that is answered with an error of its own has done nothing;
    /// an error of the whole undoes all of them.
    async fn answer(
        session: &mut dyn Session,
        calls: &[Self],
    ) -> Result<Answers<Self::Answer>, StoreError>;
}

/// A call and where its answer goes.
type Waiting<C> = (C, oneshot::Sender<Result<<C as Call>::Answer, StoreError>>);

/// Brings calls of one kind together.
#[derive(Debug)]
pub(super) struct Together<C: Call> {
    waiting: mpsc::Sender<Waiting<C>>,
    /// Runs the transactions, whatever becomes of the callers; ends with this value.
    _task: JoinSet<()>,
}

impl<C: Call> Together<C> {
    /// Starts with none.
    pub(super) fn new<D: Database>(database: Arc<D>) -> Self {
        let (waiting, calls) = mpsc::channel(WAITING);
        let mut task = JoinSet::new();
        task.spawn(serve(database, calls));
        Self {
            waiting,
            _task: task,
        }
    }

    /// Makes a call and waits for its answer. It happens also if nobody waits any more.
    pub(super) async fn call(&self, call: C) -> Result<C::Answer, StoreError> {
        let (answer, answered) = oneshot::channel();
        if self.waiting.send((call, answer)).await.is_err() {
            return Err(StoreError::gone());
        }
        answered.await.unwrap_or_else(|_| Err(StoreError::gone()))
    }
}

async fn serve<C: Call, D: Database>(database: Arc<D>, mut waiting: mpsc::Receiver<Waiting<C>>) {
    let mut come = Vec::new();
    while waiting.recv_many(&mut come, MOST).await > 0 {
        let (calls, callers): (Vec<C>, Vec<_>) = come.drain(..).unzip();
        let answers = answer(database.as_ref(), &calls).await;
        for (caller, answer) in callers.into_iter().zip(answers) {
            // A caller may have gone.
            drop(caller.send(answer));
        }
    }
}

/// Answers calls together; each on its own if that fails, as one of them may be what fails.
async fn answer<C: Call>(database: &dyn Database, calls: &[C]) -> Answers<C::Answer> {
    let failure = match transact(database, calls).await {
        Ok(answers) => return answers,
        Err(error) if calls.len() == 1 => return vec![Err(error)],
        Err(error) => error,
    };
    let shared: Option<Answers<_>> = calls.iter().map(|_| failure.shared().map(Err)).collect();
    if let Some(answers) = shared {
        return answers;
    }
    let mut answers = Vec::new();
    for call in calls {
        match transact(database, std::slice::from_ref(call)).await {
            Ok(answer) => answers.extend(answer),
            Err(error) => answers.push(Err(error)),
        }
    }
    answers
}

async fn transact<C: Call>(
    database: &dyn Database,
    calls: &[C],
) -> Result<Answers<C::Answer>, StoreError> {
    let is_kept = |call: &C| call.durability() == Durability::Kept;
    let durability = if calls.iter().any(is_kept) {
        Durability::Kept
    } else {
        Durability::Following
    };
    let mut transaction = database.write(durability).await?;
    let answers = C::answer(transaction.as_mut(), calls).await?;
    transaction.commit().await?;
    Ok(answers)
}
