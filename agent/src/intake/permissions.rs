//! What the ways in take in AWS.

use crate::build::permissions::{Permission, Principal};
use crate::config::Config;

/// The permissions that the agent needs for the queue and the action type of the configuration.
pub fn permissions(config: &Config) -> Vec<Permission> {
    let mut needed = Vec::new();
    let mut need = |actions: &[&'static str], resource: &str, reason| {
        needed.extend(actions.iter().copied().map(|action| Permission {
            principal: Principal::Agent,
            action,
            resource: resource.to_owned(),
            reason,
        }));
    };
    if let Some(url) = &config.sqs.queue_url {
        let actions = [
            "sqs:ReceiveMessage",
            "sqs:DeleteMessage",
            "sqs:ChangeMessageVisibility",
        ];
        need(&actions, &queue(url), "builds from SQS");
        let reason = "payloads of messages in S3";
        need(&["s3:GetObject"], "what messages point to", reason);
    }
    if let Some(provider) = &config.codepipeline.provider {
        let (region, account) = (&config.region, &config.account);
        let category = &config.codepipeline.category;
        let version = &config.codepipeline.version;
        let action_type = format!(
            "arn:aws:codepipeline:{region}:{account}:actiontype:Custom/{category}/{provider}/{version}"
        );
        let reason = "builds from CodePipeline";
        need(&["codepipeline:PollForJobs"], &action_type, reason);
        let answers = [
            "codepipeline:AcknowledgeJob",
            "codepipeline:GetJobDetails",
            "codepipeline:PutJobSuccessResult",
            "codepipeline:PutJobFailureResult",
        ];
        need(&answers, "*", reason);
    }
    needed
}

/// The ARN of a queue of AWS; of another service's, its URL.
fn queue(url: &str) -> String {
    let arn = || {
        let (host, path) = url.strip_prefix("https://")?.split_once('/')?;
        let region = host.strip_prefix("sqs.")?.strip_suffix(".amazonaws.com")?;
        let (account, name) = path.split_once('/')?;
        Some(format!("arn:aws:sqs:{region}:{account}:{name}"))
    };
    arn().unwrap_or_else(|| url.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_needed_for_what_is_not_configured() {
        assert!(permissions(&Config::default()).is_empty());
    }

    #[test]
    fn queue_and_action_type_are_named_as_policies_name_them() {
        let mut config = Config::default();
        let url = "https://sqs.eu-west-1.amazonaws.com/123456789012/builds";
        config.sqs.queue_url = Some(url.to_owned());
        config.codepipeline.provider = Some("SelfHostedBuild".to_owned());
        let needed = permissions(&config);
        let on = |action: &str| {
            let mut of_action = needed.iter().filter(|needed| needed.action == action);
            of_action.next().map(|needed| needed.resource.as_str())
        };
        assert_eq!(
            on("sqs:ReceiveMessage"),
            Some("arn:aws:sqs:eu-west-1:123456789012:builds")
        );
        assert_eq!(
            on("codepipeline:PollForJobs"),
            Some(
                "arn:aws:codepipeline:us-east-1:000000000000:actiontype:Custom/Build/SelfHostedBuild/1"
            )
        );
        assert_eq!(queue("http://127.0.0.1:9324/q"), "http://127.0.0.1:9324/q");
    }
}
