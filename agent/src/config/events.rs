//! Where others are told of builds: event buses, topics, webhooks, and the commits on git hosts.

use std::collections::HashSet;
use std::time::Duration;

use axum::http::Uri;
use serde::Deserialize;

use super::SecretPlace;

/// Statuses of builds and phases (user guide, "Build notifications input format reference"). Filters are copied from
/// rules that were written for CodeBuild: they may name one that nothing has here.
const STATUSES: [&str; 7] = [
    "CLIENT_ERROR",
    "IN_PROGRESS",
    "SUCCEEDED",
    "FAILED",
    "FAULT",
    "TIMED_OUT",
    "STOPPED",
];

/// Somebody who is told of builds (`[[events]]`). All processes of one store name the same ones.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventDestination {
    /// Its name, by which its events are kept until they have arrived: letters, digits, `-` and `_`, 64 at
    /// most.
    pub name: String,
    /// What it is.
    pub to: EventTarget,
    /// Which events it gets. Default: both kinds.
    #[serde(default = "EventKind::both")]
    pub detail_types: Vec<EventKind>,
    /// Which statuses, of the build or of the phase that has ended. Default: all.
    #[serde(default)]
    pub statuses: Vec<String>,
    /// Builds of which projects: names, or beginnings of names with `*` at the end. Default: all.
    #[serde(default)]
    pub projects: Vec<String>,
    /// After how many hours an event that does not arrive is given up. Default: 24, as in EventBridge.
    #[serde(default = "give_up_hours")]
    pub give_up_hours: u32,
}

/// What somebody who is told of builds is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum EventTarget {
    /// A bus of EventBridge.
    EventBridge {
        /// Its name or ARN. Default: `default`.
        #[serde(default = "default_bus")]
        bus: String,
        /// The events' `source`. EventBridge refuses those of others that begin with `aws.`; a rule that was
        /// written for CodeBuild has to name this one as well. Default: `selfhosted.codebuild`.
        #[serde(default = "own_source")]
        source: String,
    },
    /// A topic of SNS.
    Sns {
        /// Its ARN.
        topic: String,
        /// The events' `source`. Default: `aws.codebuild`.
        #[serde(default = "codebuilds_source")]
        source: String,
    },
    /// An HTTP endpoint.
    Webhook {
        /// Its URL, `https` or `http`.
        url: String,
        /// The secret with which requests are signed.
        secret: SecretPlace,
        /// The events' `source`. Default: `aws.codebuild`.
        #[serde(default = "codebuilds_source")]
        source: String,
    },
}

/// The kinds of events, by their `detail-type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum EventKind {
    /// A build has begun, or is over.
    #[serde(rename = "CodeBuild Build State Change")]
    State,
    /// A phase has ended.
    #[serde(rename = "CodeBuild Build Phase Change")]
    Phase,
}

/// How the commits on git hosts show how their builds stand.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CommitStatusConfig {
    /// Where a status leads whose project names no `targetUrl`; variables of the build stand in it as there.
    /// Default: nowhere.
    pub target_url: Option<String>,
    /// APIs that are elsewhere than their hosts' usual place. Default: none.
    pub hosts: Vec<StatusHost>,
    /// After how many hours a status that does not arrive is given up. Default: 24.
    pub give_up_hours: u32,
}

/// The API of a git host.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusHost {
    /// The host, as in the addresses of its repositories.
    pub host: String,
    /// What the paths of its API follow: `https://HOST/api/v3` and the like.
    pub api: String,
}

impl EventKind {
    /// The `detail-type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::State => "CodeBuild Build State Change",
            Self::Phase => "CodeBuild Build Phase Change",
        }
    }

    fn both() -> Vec<Self> {
        vec![Self::State, Self::Phase]
    }
}

impl EventTarget {
    /// The `source` of its events.
    pub fn source(&self) -> &str {
        match self {
            Self::EventBridge { source, .. }
            | Self::Sns { source, .. }
            | Self::Webhook { source, .. } => source,
        }
    }
}

impl EventDestination {
    /// How long an event is tried.
    pub fn life(&self) -> Duration {
        hours(self.give_up_hours)
    }
}

impl Default for CommitStatusConfig {
    fn default() -> Self {
        Self {
            target_url: None,
            hosts: Vec::new(),
            give_up_hours: give_up_hours(),
        }
    }
}

impl CommitStatusConfig {
    /// How long a status is tried.
    pub fn life(&self) -> Duration {
        hours(self.give_up_hours)
    }
}

fn hours(hours: u32) -> Duration {
    Duration::from_hours(hours.into())
}

fn default_bus() -> String {
    "default".to_owned()
}

fn own_source() -> String {
    "selfhosted.codebuild".to_owned()
}

fn codebuilds_source() -> String {
    "aws.codebuild".to_owned()
}

fn give_up_hours() -> u32 {
    24
}

/// What no type says of these settings: in words, what is wrong.
pub(super) fn check(
    events: &[EventDestination],
    statuses: &CommitStatusConfig,
) -> Result<(), String> {
    let mut names = HashSet::new();
    for destination in events {
        let EventDestination {
            name, to, statuses, ..
        } = destination;
        let is_name = (1..=64).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if !is_name {
            return Err(format!(
                "events: `{name}` is no name: letters, digits, `-` and `_`, 64 at most"
            ));
        }
        if !names.insert(name) {
            return Err(format!("events: the name `{name}` stands there twice"));
        }
        let unknown = statuses
            .iter()
            .find(|status| !STATUSES.contains(&status.as_str()));
        if let Some(status) = unknown {
            return Err(format!("events: {name}: there is no status `{status}`"));
        }
        match to {
            EventTarget::Webhook { url, .. } if !is_url(url) => {
                return Err(format!(
                    "events: {name}: the URL is not http://… or https://…"
                ));
            }
            EventTarget::Sns { topic, .. } if !topic.starts_with("arn:") => {
                return Err(format!("events: {name}: the topic has to be an ARN"));
            }
            _ => {}
        }
    }
    match statuses.hosts.iter().find(|host| !is_url(&host.api)) {
        Some(StatusHost { host, .. }) => Err(format!(
            "commit_status: {host}: the API is not http://… or https://…"
        )),
        None => Ok(()),
    }
}

/// Whether it is a URL of HTTP, without a user in it: what stands in a URL is shown.
fn is_url(text: &str) -> bool {
    let url = text.parse::<Uri>().ok();
    url.is_some_and(|url| {
        let is_http = matches!(url.scheme_str(), Some("http" | "https"));
        let authority = url.authority().map_or("@", |authority| authority.as_str());
        is_http && !authority.contains('@')
    })
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    const HOOK: &str = "to.webhook = {url = 'https://h/x', secret = {file = '/s'}}\n";

    #[test]
    fn destinations_are_read_with_their_defaults() {
        let text = format!(
            "[[events]]\nname = 'bus'\nto.event-bridge = {{}}\n
            [[events]]\nname = 'hook'\n{HOOK}statuses = ['FAILED', 'CLIENT_ERROR']\nprojects = ['web-*']
            detail_types = ['CodeBuild Build State Change']"
        );
        let config: Config = toml::from_str(&text).unwrap();
        let [bus, hook] = config.events.as_slice() else {
            panic!("two: {config:?}");
        };
        assert_eq!(bus.to.source(), "selfhosted.codebuild");
        assert_eq!((bus.detail_types.len(), bus.give_up_hours), (2, 24));
        assert_eq!(hook.to.source(), "aws.codebuild");
        assert_eq!(hook.detail_types, [EventKind::State]);
        assert_eq!(hook.statuses, ["FAILED", "CLIENT_ERROR"]);
        assert_eq!(check(&config.events, &config.commit_status), Ok(()));
    }

    /// Each with a part of what is said of it.
    const WRONG: [(&str, &str, &str); 12] = [
        ("no target", "[[events]]\nname = 'a'", "missing field `to`"),
        (
            "unknown key",
            "[[events]]\nname = 'a'\nto.sns = {topic = 'arn:t', kind = 1}",
            "kind",
        ),
        (
            "no secret",
            "[[events]]\nname = 'a'\nto.webhook = {url = 'https://h'}",
            "missing field `secret`",
        ),
        (
            "secret in the file",
            "[[events]]\nname = 'a'\nto.webhook = {url = 'https://h', secret = 's'}",
            "unknown variant `s`",
        ),
        (
            "kind",
            "[[events]]\nname = 'a'\nto.sns = {topic = 'arn:t'}\ndetail_types = ['State']",
            "unknown variant `State`",
        ),
        (
            "twice",
            "[[events]]\nname = 'a'\nto.sns = {topic = 'arn:t'}\n[[events]]\nname = 'a'\nto.sns = {topic = 'arn:t'}",
            "`a` stands there twice",
        ),
        (
            "name",
            "[[events]]\nname = 'a b'\nto.sns = {topic = 'arn:t'}",
            "`a b` is no name",
        ),
        (
            "URL",
            "[[events]]\nname = 'a'\nto.webhook = {url = 'file:///x', secret = {file = '/s'}}",
            "is not http",
        ),
        (
            "user in the URL",
            "[[events]]\nname = 'a'\nto.webhook = {url = 'https://u:p@h', secret = {file = '/s'}}",
            "is not http",
        ),
        (
            "status",
            "[[events]]\nname = 'a'\nto.sns = {topic = 'arn:t'}\nstatuses = ['BROKEN']",
            "no status `BROKEN`",
        ),
        (
            "topic",
            "[[events]]\nname = 'a'\nto.sns = {topic = 'builds'}",
            "has to be an ARN",
        ),
        (
            "API",
            "[[commit_status.hosts]]\nhost = 'github.com'\napi = 'github'",
            "commit_status: github.com",
        ),
    ];

    #[test]
    fn what_cannot_be_is_refused() {
        for (label, text, part) in WRONG {
            let read = toml::from_str::<Config>(text).map_err(|error| error.to_string());
            let checked = read.and_then(|config| check(&config.events, &config.commit_status));
            let error = checked.expect_err(label);
            assert!(error.contains(part), "{label}: {error}");
        }
    }
}
