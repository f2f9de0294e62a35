//! A build comes in: number, record and place in the queue in one transaction.

use async_trait::async_trait;

use super::enqueue::{Arrival, enqueue};
use super::together::{Answers, Call};
use super::{builds, tokens};
use crate::store::database::Session;
use crate::store::{IdempotencyToken, NewBuild, StoreError, StoredBuild, Submission};

/// A build to queue, unless its token was seen before.
#[derive(Debug)]
pub(super) struct Submit {
    /// The build.
    pub(super) build: NewBuild,
    /// By what it is known when it comes again.
    pub(super) token: Option<IdempotencyToken>,
}

#[async_trait]
impl Call for Submit {
    type Answer = Submission;

    async fn answer(
        session: &mut dyn Session,
        calls: &[Self],
    ) -> Result<Answers<Submission>, StoreError> {
        let with_token = calls.iter().filter_map(|call| {
            let token = call.token.as_ref()?;
            Some((token, &call.build.request.id))
        });
        let taken = tokens::take(session, with_token).await?;
        let is_new = |call: &&Self| {
            call.token.is_none() || taken.contains(&call.build.request.id.to_string())
        };
        let arrivals = calls.iter().filter(is_new).map(|call| Arrival {
            build: &call.build,
            auto_retry: None,
        });
        let mut queued = enqueue(session, arrivals.collect()).await?.into_iter();
        let mut first: Vec<_> = calls
            .iter()
            .map(|call| if is_new(&call) { queued.next() } else { None })
            .collect();
        for (call, answer) in calls.iter().zip(&first) {
            if let (Some(token), Some(Err(_))) = (&call.token, answer) {
                tokens::forget(session, token).await?;
            }
        }
        let mut answers = Vec::new();
        for (call, answer) in calls.iter().zip(first.drain(..)) {
            answers.push(match answer {
                Some(answer) => answer.map(new),
                // What its token stands for may have come in with it.
                None => match repeated(session, call).await {
                    Err(StoreError::TokenMismatch) => Err(StoreError::TokenMismatch),
                    answer => answer?,
                },
            });
        }
        Ok(answers)
    }
}

fn new(build: StoredBuild) -> Submission {
    Submission {
        build,
        is_new: true,
    }
}

/// The build that a token stands for. If it is gone, or was refused, the request counts by itself.
async fn repeated(
    session: &mut dyn Session,
    call: &Submit,
) -> Result<Result<Submission, StoreError>, StoreError> {
    if let Some(token) = &call.token
        && let Some(id) = tokens::known(session, token).await?
        && let Some(build) = builds::of_id(session, &id).await?
    {
        return Ok(Ok(Submission {
            build,
            is_new: false,
        }));
    }
    let arrival = Arrival {
        build: &call.build,
        auto_retry: None,
    };
    let mut queued = enqueue(session, vec![arrival]).await?;
    let answer = queued.pop().ok_or_else(StoreError::gone)?;
    Ok(answer.map(new))
}
