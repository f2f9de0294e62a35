//! The readers of a build's spool that carry its log away from this machine, together.

use std::error::Error;
use std::io;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::cloudwatch::CloudWatchShipper;
use super::follower::FollowError;
use super::permit::Permit;
use super::s3::S3Shipper;
use super::spool::SpoolReader;
use crate::model::LogDelivery;
use crate::state_file::StateFileError;

/// How a log was delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    /// Lines that the service did not take.
    pub lost_lines: usize,
    /// Whether the rest was given up.
    pub given_up: bool,
}

/// Why a log cannot be delivered from here, whatever the service does.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// What is delivered cannot be remembered.
    #[error(transparent)]
    State(#[from] StateFileError),
    /// The spool cannot be followed.
    #[error("cannot follow the spool")]
    Follow(#[source] io::Error),
    /// The spool cannot be read.
    #[error(transparent)]
    Spool(#[from] FollowError),
    /// The log object cannot be made ready on this machine.
    #[error("cannot pack the log for S3")]
    Pack(#[source] io::Error),
}

/// The deliveries of one log.
#[derive(Debug)]
pub struct Delivery {
    tasks: JoinSet<Result<Delivered, DeliveryError>>,
    permit: Permit,
}

impl Delivery {
    /// None yet. They rest while they are not permitted, and end when they are never to be.
    pub fn new(permit: Permit) -> Self {
        Self {
            tasks: JoinSet::new(),
            permit,
        }
    }

    /// Starts to send the log to CloudWatch Logs.
    pub fn to_cloud_watch(&mut self, shipper: CloudWatchShipper) {
        let reader = shipper.reader().clone();
        self.start(shipper.ship(), reader);
    }

    /// Starts to pack the log for S3.
    pub fn to_s3(&mut self, shipper: S3Shipper) {
        let reader = shipper.reader().clone();
        self.start(shipper.ship(), reader);
    }

    fn start(
        &mut self,
        delivery: impl Future<Output = Result<Delivered, DeliveryError>> + Send + 'static,
        reader: SpoolReader,
    ) {
        let permit = self.permit.clone();
        self.tasks.spawn(async move {
            let delivered = permit.while_held(watched(delivery, reader.clone())).await;
            delivered.unwrap_or_else(|| {
                reader.let_go();
                Ok(Delivered {
                    lost_lines: 0,
                    given_up: true,
                })
            })
        });
    }

    /// Waits until the whole log is delivered, but not for ever. The spool has to be
    /// [finished](super::Spool::finish). What is pending then goes on where it was when somebody
    /// takes the build up again.
    pub async fn finish(mut self, limit: Duration) -> LogDelivery {
        let mut delivery = LogDelivery::Complete;
        let waited = timeout(limit, async {
            while let Some(ended) = self.tasks.join_next().await {
                delivery = delivery.max(match ended {
                    Ok(Ok(delivered)) if delivered.given_up || delivered.lost_lines > 0 => {
                        LogDelivery::Gap
                    }
                    Ok(Ok(_)) => LogDelivery::Complete,
                    // Told when it happened.
                    Ok(Err(_)) => LogDelivery::Gap,
                    Err(panicked) => {
                        tracing::error!("the delivery of the build's log failed: {panicked}");
                        LogDelivery::Gap
                    }
                });
            }
        })
        .await;
        // Nobody may go on once the build's directory is left to others.
        self.tasks.shutdown().await;
        match waited {
            Ok(()) => delivery,
            Err(_) => delivery.max(LogDelivery::Pending),
        }
    }
}

/// A delivery that fails is told at once, and holds nothing back any more.
async fn watched(
    delivery: impl Future<Output = Result<Delivered, DeliveryError>>,
    reader: SpoolReader,
) -> Result<Delivered, DeliveryError> {
    let delivered = delivery.await;
    delivered.inspect_err(|error| {
        let cause = error.source().map(|cause| format!(": {cause}"));
        tracing::warn!(
            "the rest of the build's log is not delivered: {error}{}",
            cause.unwrap_or_default()
        );
        reader.let_go();
    })
}
