//! Source credentials that were imported through the API open the sources of builds.

use std::fs;

use serde_json::{Value, json};
use tests::{GitRepository, GitServer, Project, Server};

use super::{at, aws};

const TOKEN: &str = "imp0rted-t0ken";

/// Says what it was built from, and that nobody has left the token behind.
const BUILDSPEC: &str = "
version: 0.2
phases:
  build:
    commands:
      - cat content.txt
      - '! grep -rq imp0rted-t0[k]en . /codebuild/readonly /codebuild/output /proc/self/environ'
";

/// A private repository and a server with a project that builds it.
struct Site {
    git: GitServer,
    project: Project,
    server: Server,
}

impl Site {
    /// The user is the one that the host expects beside a token of this kind.
    fn new(user: &str, source_type: &str) -> Self {
        let repository = GitRepository::new(BUILDSPEC);
        repository.commit("content.txt", "private content");
        let git = GitServer::with_login(user, TOKEN);
        let url = git.publish(&repository, "o/private.git");
        let project = Project::empty();
        let server = Server::start(&project, &[]);
        let mut input = super::project_json();
        input["source"] = json!({"type": source_type, "location": url});
        input["environment"]["image"] = tests::engine::test_image().into();
        let path = project.root().join("project.json");
        fs::write(&path, input.to_string()).expect("one's own directory");
        let input = format!("file://{}", path.display());
        aws(&server, &["create-project", "--cli-input-json", &input]);
        Self {
            git,
            project,
            server,
        }
    }

    /// Starts a build and waits for its end: its record and its log.
    fn build(&self) -> (Value, String) {
        let submit = ["submit", "--project", "demo", "--wait"];
        let output = at(&self.project, &self.server, &submit)
            .output()
            .expect("the program starts");
        let listed = aws(&self.server, &["list-builds"]);
        let id = listed["ids"][0].as_str().expect("an id").to_owned();
        let found = aws(&self.server, &["batch-get-builds", "--ids", &id]);
        let log = [output.stdout, output.stderr].concat();
        (
            found["builds"][0].clone(),
            String::from_utf8_lossy(&log).into_owned(),
        )
    }

    fn import(&self, arguments: &[&str]) {
        let import = ["import-source-credentials", "--token", TOKEN];
        aws(&self.server, &[&import[..], arguments].concat());
    }
}

#[test]
fn an_imported_token_opens_a_private_repository() {
    let site = Site::new("x-access-token", "GITHUB_ENTERPRISE");
    let (closed, log) = site.build();
    assert_eq!(closed["buildStatus"], "FAILED", "{log}");
    assert!(log.contains("authentication required"), "{log}");
    let of_another_host = [
        "--server-type",
        "GITHUB",
        "--auth-type",
        "PERSONAL_ACCESS_TOKEN",
    ];
    site.import(&of_another_host);
    assert_eq!(
        site.build().0["buildStatus"],
        "FAILED",
        "it is for github.com"
    );
    site.import(&[
        "--server-type",
        "GITHUB_ENTERPRISE",
        "--auth-type",
        "PERSONAL_ACCESS_TOKEN",
    ]);
    let (open, log) = site.build();
    assert_eq!(open["buildStatus"], "SUCCEEDED", "{log}");
    assert!(log.contains("private content"), "{log}");
    assert!(!log.contains(TOKEN) && !open.to_string().contains(TOKEN));
    let arn = "arn:aws:codebuild:us-east-1:000000000000:token/github_enterprise";
    aws(&site.server, &["delete-source-credentials", "--arn", arn]);
    assert_eq!(site.build().0["buildStatus"], "FAILED", "it is forgotten");
    for (path, content) in tests::read_tree(&site.project.data_directory()) {
        let found = content
            .windows(TOKEN.len())
            .any(|bytes| bytes == TOKEN.as_bytes());
        assert!(!found, "the token is in {path}");
    }
    let requests = site.git.requests();
    assert!(!requests.is_empty());
}

#[test]
fn a_login_with_a_name_is_imported_too() {
    let site = Site::new("ada", "GITLAB_SELF_MANAGED");
    site.import(&[
        "--server-type",
        "GITLAB_SELF_MANAGED",
        "--auth-type",
        "BASIC_AUTH",
        "--username",
        "ada",
    ]);
    let (build, log) = site.build();
    assert_eq!(build["buildStatus"], "SUCCEEDED", "{log}");
}

#[test]
fn a_worker_without_the_key_file_says_what_is_missing() {
    let site = Site::new("x-access-token", "GITHUB_ENTERPRISE");
    site.import(&[
        "--server-type",
        "GITHUB_ENTERPRISE",
        "--auth-type",
        "PERSONAL_ACCESS_TOKEN",
    ]);
    let key = site.project.data_directory().join("vault.key");
    fs::rename(&key, key.with_extension("elsewhere")).expect("the server has made it");
    let (build, log) = site.build();
    assert_eq!(build["buildStatus"], "FAULT", "{log}");
    let why = build.to_string();
    assert!(
        why.contains("GITHUB_ENTERPRISE") && why.contains("vault_key"),
        "{why}"
    );
    fs::rename(key.with_extension("elsewhere"), &key).expect("it is there");
    let (build, log) = site.build();
    assert_eq!(build["buildStatus"], "SUCCEEDED", "{log}");
}
