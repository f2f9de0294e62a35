//! The ways in beside the API, for commands that run builds.

use std::sync::Arc;

use clap::Args;

use super::exit::Failure;
use crate::build::Tools;
use crate::config::Config;
use crate::intake::{Intakes, Reception, Vacancies};
use crate::store::Store;

#[derive(Debug, Args)]
pub(super) struct IntakeArgs {
    /// URL of a queue of SQS whose messages become builds: the JSON of `StartBuild`
    #[arg(long, value_name = "URL", env = "BUILDSPEC_AGENT_SQS")]
    sqs: Option<String>,
    /// Hide the messages of the queue until their builds are over, instead of deleting them once the builds are
    /// in the store: for workers without a common store
    #[arg(long)]
    sqs_hold: bool,
    /// Custom action of CodePipeline whose jobs become builds
    #[arg(long, value_name = "PROVIDER[:VERSION]")]
    codepipeline: Option<String>,
}

impl IntakeArgs {
    /// Flags win over the file.
    pub(super) fn apply(&self, config: &mut Config) {
        if self.sqs.is_some() {
            config.sqs.queue_url.clone_from(&self.sqs);
        }
        config.sqs.hold |= self.sqs_hold;
        if let Some(action) = &self.codepipeline {
            let (provider, version) = match action.split_once(':') {
                Some((provider, version)) => (provider, Some(version)),
                None => (action.as_str(), None),
            };
            config.codepipeline.provider = Some(provider.to_owned());
            if let Some(version) = version {
                version.clone_into(&mut config.codepipeline.version);
            }
        }
    }
}

/// The intakes that the configuration names, for a worker with these tools.
pub(super) async fn intakes(
    store: &Arc<dyn Store>,
    tools: &Tools,
    vacancies: Vacancies,
) -> Result<Intakes, Failure> {
    let reception = Reception {
        store: Arc::clone(store),
        aws: tools.aws.clone(),
        vacancies,
    };
    let intakes = Intakes::new(reception, &tools.config).await;
    intakes.map_err(Failure::usage)
}
