//! The APIs of git hosts: a repository and a status go in, the request that shows it comes out.

use std::fmt::Write;

use aws_smithy_types::base64;
use axum::body::Body;
use axum::http::Request;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::CommitStatus;
use crate::model::{SourceType, Status, hex};
use crate::source::git::{RepositoryUrl, Transport};

/// Characters of a key of Bitbucket at most (its API, `build status`, member `key`).
const KEY_LENGTH: usize = 40;

/// A kind of git host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// GitHub, also one's own.
    GitHub,
    /// GitLab, also one's own.
    GitLab,
    /// Bitbucket.
    Bitbucket,
}

impl Kind {
    /// The kind of a source's host; `None` where there are no statuses.
    pub(super) fn of(source: SourceType) -> Option<Self> {
        match source {
            SourceType::Github | SourceType::GithubEnterprise => Some(Self::GitHub),
            SourceType::Gitlab | SourceType::GitlabSelfManaged => Some(Self::GitLab),
            SourceType::Bitbucket => Some(Self::Bitbucket),
            SourceType::Codecommit
            | SourceType::Codepipeline
            | SourceType::S3
            | SourceType::NoSource => None,
        }
    }

    /// What the paths of a host's API follow.
    pub(super) fn usual_api(self, url: &RepositoryUrl) -> String {
        let scheme = scheme(url);
        let host = web_host(url);
        match (self, host) {
            (Self::GitHub, "github.com") => "https://api.github.com".to_owned(),
            (Self::GitHub, host) => format!("{scheme}://{host}/api/v3"),
            (Self::GitLab, host) => format!("{scheme}://{host}/api/v4"),
            (Self::Bitbucket, "bitbucket.org") => "https://api.bitbucket.org/2.0".to_owned(),
            (Self::Bitbucket, host) => format!("{scheme}://{host}/2.0"),
        }
    }
}

/// Tokens cross no network in the open, whatever the address of the repository says.
fn scheme(url: &RepositoryUrl) -> &'static str {
    if url.transport() == Transport::Http && url.is_loopback() {
        "http"
    } else {
        "https"
    }
}

/// The host without the port of SSH.
fn web_host(url: &RepositoryUrl) -> &str {
    match (url.transport(), url.host().rsplit_once(':')) {
        (Transport::Ssh, Some((host, _))) => host,
        _ => url.host(),
    }
}

/// The address of a repository for HTTP, by which the token of its host is known.
pub(super) fn over_http(url: &RepositoryUrl) -> String {
    format!("{}://{}/{}", scheme(url), web_host(url), url.path())
}

/// The request that shows a status.
pub(super) fn request(
    kind: Kind,
    api: &str,
    repository: &RepositoryUrl,
    status: &CommitStatus,
    (username, token): (&str, &SecretString),
) -> Result<Request<Body>, axum::http::Error> {
    let path = repository.path().trim_end_matches(".git").trim_matches('/');
    let api = api.trim_end_matches('/');
    let commit = &status.commit;
    let (url, body) = match kind {
        Kind::GitHub => {
            let path = encoded(path, "/");
            (
                format!("{api}/repos/{path}/statuses/{commit}"),
                of_github(status),
            )
        }
        Kind::GitLab => {
            let path = encoded(path, "");
            (
                format!("{api}/projects/{path}/statuses/{commit}"),
                of_gitlab(status),
            )
        }
        Kind::Bitbucket => {
            let path = encoded(path, "/");
            let page = format!(
                "{}/commits/{commit}",
                over_http(repository).trim_end_matches(".git")
            );
            (
                format!("{api}/repositories/{path}/commit/{commit}/statuses/build"),
                of_bitbucket(status, page),
            )
        }
    };
    let token = token.expose_secret();
    // A user of Bitbucket has an app password, whatever else is a token.
    let authorization = if kind == Kind::Bitbucket && username != "x-token-auth" {
        let login = base64::encode(format!("{username}:{token}"));
        format!("Basic {login}")
    } else {
        format!("Bearer {token}")
    };
    let mut authorization = axum::http::HeaderValue::from_str(&authorization)?;
    authorization.set_sensitive(true);
    Request::post(url)
        .header("accept", "application/json")
        .header("authorization", authorization)
        .header("content-type", "application/json")
        .header(
            "user-agent",
            concat!("buildspec-agent/", env!("CARGO_PKG_VERSION")),
        )
        .body(Body::from(body.to_string()))
}

fn of_github(status: &CommitStatus) -> Value {
    let state = match status.status {
        None => "pending",
        Some(Status::Succeeded) => "success",
        Some(Status::Failed) => "failure",
        Some(Status::Fault | Status::TimedOut | Status::Stopped) => "error",
    };
    let mut body = json!({
        "state": state,
        "context": status.context,
        "description": status.description,
    });
    if let Some(url) = &status.target_url {
        body["target_url"] = url.as_str().into();
    }
    body
}

fn of_gitlab(status: &CommitStatus) -> Value {
    let state = match status.status {
        None => "running",
        Some(Status::Succeeded) => "success",
        Some(Status::Failed | Status::Fault | Status::TimedOut) => "failed",
        Some(Status::Stopped) => "canceled",
    };
    let mut body = json!({
        "state": state,
        "name": status.context,
        "description": status.description,
    });
    if let Some(url) = &status.target_url {
        body["target_url"] = url.as_str().into();
    }
    body
}

/// Bitbucket wants an address; the page of the commit is one.
fn of_bitbucket(status: &CommitStatus, page: String) -> Value {
    let state = match status.status {
        None => "INPROGRESS",
        Some(Status::Succeeded) => "SUCCESSFUL",
        Some(Status::Stopped) => "STOPPED",
        Some(Status::Failed | Status::Fault | Status::TimedOut) => "FAILED",
    };
    json!({
        "key": key(&status.context),
        "state": state,
        "name": status.context,
        "description": status.description,
        "url": status.target_url.clone().unwrap_or(page),
    })
}

/// The context where it is short enough, else a digest of it.
fn key(context: &str) -> String {
    if context.chars().count() <= KEY_LENGTH {
        return context.to_owned();
    }
    let mut digits = hex::encode(&Sha256::digest(context));
    digits.truncate(KEY_LENGTH);
    digits
}

/// A part of a URL: all but letters, digits, `-._~` and what is `kept` is encoded.
fn encoded(text: &str, kept: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        let is_plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if is_plain || kept.as_bytes().contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Text can always grow.
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: Option<Status>) -> CommitStatus {
        CommitStatus {
            commit: "c0ffee".to_owned(),
            status,
            context: "AWS CodeBuild eu-west-1 (demo)".to_owned(),
            description: "Build started".to_owned(),
            target_url: None,
        }
    }

    fn url(text: &str) -> RepositoryUrl {
        RepositoryUrl::parse(text).unwrap().0
    }

    #[test]
    fn an_api_is_where_its_host_has_it() {
        for (kind, repository, api) in [
            (
                Kind::GitHub,
                "https://github.com/o/r.git",
                "https://api.github.com",
            ),
            (
                Kind::GitHub,
                "git@github.com:o/r.git",
                "https://api.github.com",
            ),
            (
                Kind::GitHub,
                "https://ghe.example:8443/o/r",
                "https://ghe.example:8443/api/v3",
            ),
            (
                Kind::GitHub,
                "ssh://git@ghe.example:2222/o/r",
                "https://ghe.example/api/v3",
            ),
            (
                Kind::GitLab,
                "https://gitlab.com/g/s/r.git",
                "https://gitlab.com/api/v4",
            ),
            (
                Kind::GitLab,
                "http://git.example/g/r.git",
                "https://git.example/api/v4",
            ),
            (
                Kind::GitLab,
                "http://127.0.0.1:80/g/r.git",
                "http://127.0.0.1:80/api/v4",
            ),
            (
                Kind::Bitbucket,
                "https://bitbucket.org/w/r.git",
                "https://api.bitbucket.org/2.0",
            ),
        ] {
            assert_eq!(kind.usual_api(&url(repository)), api, "{repository}");
        }
    }

    #[test]
    fn a_request_goes_to_the_commit_with_the_token() {
        for (kind, repository, user, path, authorization) in [
            (
                Kind::GitHub,
                "git@github.com:o/r.git",
                "x-access-token",
                "/repos/o/r/statuses/c0ffee",
                "Bearer t",
            ),
            (
                Kind::GitLab,
                "https://gitlab.com/g/s/r.git",
                "oauth2",
                "/projects/g%2Fs%2Fr/statuses/c0ffee",
                "Bearer t",
            ),
            (
                Kind::Bitbucket,
                "https://bitbucket.org/w/r.git",
                "ada",
                "/repositories/w/r/commit/c0ffee/statuses/build",
                "Basic YWRhOnQ=",
            ),
            (
                Kind::Bitbucket,
                "https://bitbucket.org/w/r.git",
                "x-token-auth",
                "/repositories/w/r/commit/c0ffee/statuses/build",
                "Bearer t",
            ),
        ] {
            let login = (user, &SecretString::from("t"));
            let request = request(kind, "http://api/", &url(repository), &status(None), login);
            let request = request.unwrap();
            assert_eq!(request.uri().path(), path);
            assert_eq!(request.headers()["authorization"], authorization);
            assert!(
                !format!("{request:?}").contains(authorization),
                "it shows the token"
            );
        }
    }

    #[test]
    fn a_status_is_said_in_the_words_of_each_host() {
        use Status::{Failed, Fault, Stopped, Succeeded, TimedOut};
        for (build, words) in [
            (None, ["pending", "running", "INPROGRESS"]),
            (Some(Succeeded), ["success", "success", "SUCCESSFUL"]),
            (Some(Failed), ["failure", "failed", "FAILED"]),
            (Some(Fault), ["error", "failed", "FAILED"]),
            (Some(TimedOut), ["error", "failed", "FAILED"]),
            (Some(Stopped), ["error", "canceled", "STOPPED"]),
        ] {
            let status = status(build);
            let bodies = [
                of_github(&status),
                of_gitlab(&status),
                of_bitbucket(&status, "http://page".to_owned()),
            ];
            let said = bodies
                .each_ref()
                .map(|body| body["state"].as_str().unwrap());
            assert_eq!(said, words);
            assert_eq!(bodies[0].get("target_url"), None);
            assert_eq!(bodies[2]["url"], "http://page", "Bitbucket wants one");
        }
    }

    #[test]
    fn a_long_context_has_a_short_key() {
        assert_eq!(key("short"), "short");
        let long = "x".repeat(41);
        assert_eq!(key(&long).len(), 40);
        assert_ne!(key(&long), key(&"y".repeat(41)));
    }
}
