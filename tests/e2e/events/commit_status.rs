//! Commits on git hosts show how their builds stand.

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tests::receiver::Receiver;
use tests::stores::Engine;
use tests::{GitRepository, GitServer};

use super::{Site, buildspec, submit};

/// A repository on a host, the host's API, and a worker that knows the token.
struct Host {
    site: Site,
    api: Receiver,
    url: String,
    commit: String,
}

impl Host {
    async fn new(server: &GitServer, command: &str) -> Self {
        let repository = GitRepository::new(&buildspec(command));
        let url = server.publish(&repository, "group/repo.git");
        let api = Receiver::start();
        let host = server.host();
        let config = format!(
            "[commit_status]\ntarget_url = 'https://ci.example/$CODEBUILD_BUILD_ID'\n
            [[commit_status.hosts]]\nhost = '{host}'\napi = '{api}/api'\n
            [[sources.credentials]]\nhost = '{host}'\npassword = {{ variable = 'TOKEN' }}\n",
            api = api.url()
        );
        let mut site = Site::new(Engine::Sqlite, &config).await;
        site.variables.push(("TOKEN", "t0ken".to_owned()));
        Self {
            site,
            api,
            url,
            commit: repository.head(),
        }
    }

    fn overrides(&self, source_type: &str, more: &Value) -> Value {
        let mut overrides = json!({
            "sourceTypeOverride": source_type,
            "sourceLocationOverride": self.url,
            "buildspecOverride": "buildspec.yml",
            "reportBuildStatusOverride": true,
        });
        let members = overrides.as_object_mut().expect("it is an object");
        members.extend(more.as_object().expect("it is an object").clone());
        overrides
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_host_is_told_in_its_own_words() {
    for (source_type, path, words, authorization) in [
        (
            "GITHUB_ENTERPRISE",
            "/api/repos/group/repo/statuses/COMMIT",
            ["pending", "failure"],
            "Bearer t0ken",
        ),
        (
            "GITLAB_SELF_MANAGED",
            "/api/projects/group%2Frepo/statuses/COMMIT",
            ["running", "failed"],
            "Bearer t0ken",
        ),
        (
            "BITBUCKET",
            "/api/repositories/group/repo/commit/COMMIT/statuses/build",
            ["INPROGRESS", "FAILED"],
            "Bearer t0ken",
        ),
    ] {
        let server = GitServer::open();
        let host = Host::new(&server, "false").await;
        let worker = host.site.start();
        let id = submit(&host.site, &host.overrides(source_type, &json!({}))).await;
        let told = host.api.wait_until(|received| received.len() == 2);
        let states: Vec<_> = told.iter().map(|one| one.json()["state"].clone()).collect();
        assert_eq!(states, words, "{source_type}");
        for one in &told {
            let line = format!("POST {}", path.replace("COMMIT", &host.commit));
            assert_eq!(one.line, line);
            assert_eq!(one.header("authorization"), authorization);
            let body = one.json();
            let url = body.get("target_url").unwrap_or(&body["url"]);
            assert_eq!(*url, format!("https://ci.example/{id}"));
            let name = body.get("context").unwrap_or(&body["name"]);
            assert_eq!(*name, "AWS CodeBuild us-east-1 (demo)");
        }
        let record = host.site.test.ended(&id).await.record;
        assert_eq!(record["resolvedSourceVersion"], host.commit.as_str());
        worker.signal(Signal::SIGTERM);
        let finished = worker.finish();
        assert_eq!(finished.exit_code, Some(0), "{}", finished.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_words_are_the_projects_and_hold_exported_variables_at_the_end() {
    let server = GitServer::open();
    let spec = "version: 0.2\nenv: {exported-variables: [RELEASE]}\nphases: {build: {commands: [RELEASE=1.10]}}";
    let host = Host::new(&server, "true").await;
    let worker = host.site.start();
    let words = json!({
        "buildspecOverride": spec,
        "buildStatusConfigOverride": {
            "context": "$STAGE-${CODEBUILD_BUILD_NUMBER}", "targetUrl": "https://x/$RELEASE"},
        "environmentVariablesOverride": [{"name": "STAGE", "value": "beta"}],
    });
    submit(&host.site, &host.overrides("GITHUB_ENTERPRISE", &words)).await;
    let told = host.api.wait_until(|received| received.len() == 2);
    let shown = |index: usize| {
        let body = told[index].json();
        ["state", "context", "target_url"].map(|member| body[member].as_str().unwrap().to_owned())
    };
    assert_eq!(shown(0), ["pending", "beta-1", "https://x/"]);
    assert_eq!(shown(1), ["success", "beta-1", "https://x/1.10"]);
    worker.signal(Signal::SIGTERM);
    worker.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_cannot_be_shown_fails_no_build() {
    let server = GitServer::open();
    let mut host = Host::new(&server, "true").await;
    // There is no token: nothing can be shown, and it is said.
    let config = std::fs::read_to_string(host.site.project.root().join("config.toml")).unwrap();
    let (config, _) = config.split_once("[[sources.credentials]]").unwrap();
    std::fs::write(host.site.project.root().join("config.toml"), config).unwrap();
    host.site.variables.clear();
    let worker = host.site.start();
    let id = submit(&host.site, &host.overrides("GITHUB_ENTERPRISE", &json!({}))).await;
    assert_eq!(host.site.test.ended(&id).await.status, "SUCCEEDED");
    worker.signal(Signal::SIGTERM);
    let finished = worker.finish();
    let told = format!("there is no token for {}", server.host());
    assert!(finished.stderr.contains(&told), "{}", finished.stderr);
    assert!(host.api.received().is_empty());
}
