//! What telling others takes in AWS.

use crate::build::permissions::{Permission, Principal};
use crate::config::{Config, EventTarget, SecretPlace};

/// The permissions that the agent needs for everybody whom the configuration names.
pub fn permissions(config: &Config) -> Vec<Permission> {
    let of = |action, resource: String| Permission {
        principal: Principal::Agent,
        action,
        resource,
        reason: "events",
    };
    let (region, account) = (&config.region, &config.account);
    let needed = config.events.iter().filter_map(|event| match &event.to {
        EventTarget::EventBridge { bus, .. } if bus.starts_with("arn:") => {
            Some(of("events:PutEvents", bus.clone()))
        }
        EventTarget::EventBridge { bus, .. } => Some(of(
            "events:PutEvents",
            format!("arn:aws:events:{region}:{account}:event-bus/{bus}"),
        )),
        EventTarget::Sns { topic, .. } => Some(of("sns:Publish", topic.clone())),
        EventTarget::Webhook {
            secret: SecretPlace::SecretsManager(name),
            ..
        } if name.starts_with("arn:") => Some(of("secretsmanager:GetSecretValue", name.clone())),
        EventTarget::Webhook {
            secret: SecretPlace::SecretsManager(name),
            ..
        } => Some(of(
            "secretsmanager:GetSecretValue",
            format!("arn:aws:secretsmanager:{region}:{account}:secret:{name}-??????"),
        )),
        EventTarget::Webhook { .. } => None,
    });
    needed.collect()
}
