//! Brings statuses to git hosts, with the credentials that open the builds' sources.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::join_all;

use super::super::http::{Answer, Http};
use super::super::{Destination, Sent};
use super::CommitStatus;
use super::api::{self, Kind};
use crate::build::{CredentialAccess, find_credential};
use crate::config::{CommitStatusConfig, StatusHost};
use crate::credentials::Aws;
use crate::model::{BuildRequest, ProjectSource, SourceLocation};
use crate::source::git::RepositoryUrl;
use crate::source::stored::SourceCredentials;
use crate::source::{Credential, CredentialKind};
use crate::store::{Message, Store};

/// Requests at a time.
const REQUESTS: u32 = 8;

/// The git hosts.
#[derive(Debug)]
pub(in crate::events) struct CommitStatuses {
    hosts: Vec<StatusHost>,
    aws: Aws,
    credentials: Arc<dyn SourceCredentials>,
    store: Arc<dyn Store>,
    http: Http,
}

impl CommitStatuses {
    /// The hosts' APIs are where they usually are, unless the configuration says otherwise. What a build was
    /// asked to be is in the store.
    pub(in crate::events) fn new(
        config: &CommitStatusConfig,
        aws: Aws,
        credentials: Arc<dyn SourceCredentials>,
        store: Arc<dyn Store>,
    ) -> Self {
        Self {
            hosts: config.hosts.clone(),
            aws,
            credentials,
            store,
            http: Http::default(),
        }
    }

    async fn tell(&self, message: &Message) -> Sent {
        let known = self
            .store
            .builds(std::slice::from_ref(&message.build))
            .await;
        let request = match known {
            Ok(mut builds) => builds.pop().map(|build| build.request),
            Err(error) => return Sent::not_yet(format!("{error:#}")),
        };
        let Some(request) = request else {
            return Sent::Refused("the build was deleted".to_owned());
        };
        let Ok(status) = serde_json::from_str::<CommitStatus>(&message.payload) else {
            return Sent::Refused("it cannot be read".to_owned());
        };
        let SourceLocation::Project(source) = &request.source else {
            return Sent::Refused("the build has no repository".to_owned());
        };
        match self.show(&request, source, &status).await {
            Ok(sent) | Err(sent) => sent,
        }
    }

    /// Shows a status; `Err` is why it was not even tried.
    async fn show(
        &self,
        request: &BuildRequest,
        source: &ProjectSource,
        status: &CommitStatus,
    ) -> Result<Sent, Sent> {
        let refused = |reason: &str| Sent::Refused(reason.to_owned());
        let kind = Kind::of(source.source_type).ok_or_else(|| refused("its source shows none"))?;
        let location = source.location.as_deref().unwrap_or_default();
        let parsed = |text: &str| RepositoryUrl::parse(text).map(|(url, _)| url);
        let repository = parsed(location).map_err(|error| refused(&error.to_string()))?;
        // A key of SSH opens no API: the token of the same host does.
        let over_http = parsed(&api::over_http(&repository));
        let over_http = over_http.map_err(|error| refused(&error.to_string()))?;
        let access = CredentialAccess {
            aws: &self.aws,
            stored: self.credentials.as_ref(),
            secrets: None,
        };
        let found = Box::pin(find_credential(request, source, &over_http, access)).await;
        let credential = found.map_err(|error| Sent::not_yet(error.to_string()))?;
        let Some(Credential {
            kind: CredentialKind::Login { username, password },
            ..
        }) = credential
        else {
            return Err(refused(&format!(
                "there is no token for {}: add one to `sources.credentials`, or import it as a source credential",
                over_http.host()
            )));
        };
        let api = self.api(kind, &over_http);
        let login = (username.as_str(), &password);
        let request = api::request(kind, &api, &repository, status, login);
        let request = request.map_err(|error| refused(&error.to_string()))?;
        let answered = self.http.send(request).await;
        let answer = answered.map_err(|problem| Sent::not_yet(format!("{api}: {problem}")))?;
        Ok(verdict(kind, answer))
    }

    fn api(&self, kind: Kind, url: &RepositoryUrl) -> String {
        let named = |one: &&StatusHost| one.host.eq_ignore_ascii_case(url.host());
        let named = self.hosts.iter().find(named);
        named.map_or_else(|| kind.usual_api(url), |one| one.api.clone())
    }
}

/// GitLab refuses a status that the commit has already: it was told before, and the answer was lost. GitHub
/// answers 403 to whoever asks too often, and says so.
fn verdict(kind: Kind, answer: Answer) -> Sent {
    let is_there = kind == Kind::GitLab
        && answer.status == 400
        && answer.body.contains("Cannot transition status");
    let is_limit = answer.status == 403
        && (answer.pause.is_some() || answer.body.to_lowercase().contains("rate limit"));
    match answer {
        _ if is_there => Sent::Arrived,
        Answer { status, pause, .. } if is_limit => Sent::NotYet {
            problem: format!("status {status}: the host is asked too often"),
            pause,
        },
        answer => answer.verdict(),
    }
}

#[async_trait]
impl Destination for CommitStatuses {
    fn batch(&self) -> u32 {
        REQUESTS
    }

    async fn send(&self, messages: &[Message]) -> Vec<Sent> {
        join_all(messages.iter().map(|message| self.tell(message))).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_as_its_host_means_it() {
        let answer = |status, body: &str| Answer {
            status,
            pause: None,
            body: body.to_owned(),
        };
        let again = r#"{"message":"Cannot transition status via :run from :running"}"#;
        assert_eq!(verdict(Kind::GitLab, answer(400, again)), Sent::Arrived);
        assert!(matches!(
            verdict(Kind::GitHub, answer(400, again)),
            Sent::Refused(_)
        ));
        let limit = r#"{"message":"You have exceeded a secondary rate limit."}"#;
        assert!(matches!(
            verdict(Kind::GitHub, answer(403, limit)),
            Sent::NotYet { .. }
        ));
        assert!(matches!(
            verdict(Kind::GitHub, answer(403, "no")),
            Sent::Refused(_)
        ));
        assert_eq!(verdict(Kind::GitHub, answer(201, "")), Sent::Arrived);
    }
}
