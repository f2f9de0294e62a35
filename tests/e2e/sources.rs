//! Sources that are not directories of this machine.

use std::fs;

use serde_json::json;
use tests::aws::Moto;
use tests::{GitRepository, GitServer, Project, Running, SshServer};

/// Says where the source is and what of it was fetched.
const TELLING: &str = "
version: 0.2
env:
  exported-variables: [COMMIT, WHERE, URL, VERSION, RESOLVED, CONTENT, COUNT]
phases:
  build:
    commands:
      - COMMIT=$(git rev-parse HEAD)
      - WHERE=${CODEBUILD_SRC_DIR#/codebuild/output/src*/}
      - URL=$CODEBUILD_SOURCE_REPO_URL VERSION=$CODEBUILD_SOURCE_VERSION RESOLVED=$CODEBUILD_RESOLVED_SOURCE_VERSION
      - CONTENT=$(cat content.txt)
      - COUNT=$(git rev-list --count HEAD)
      - test \"$CODEBUILD_GOPATH\" = \"${CODEBUILD_SRC_DIR%%/src/*}\"
      - test -z \"$(git status --porcelain)\" && git fsck --no-progress
      - '! git symbolic-ref --quiet HEAD'
";

/// A repository with a history: the first commit is tagged, `main` has three, `feature/x` one more.
struct History {
    repository: GitRepository,
    commits: Vec<String>,
}

impl History {
    fn new() -> Self {
        let repository = GitRepository::new(TELLING);
        let mut commits = vec![repository.commit("content.txt", "one")];
        repository.git(&["tag", "--annotate", "--message", "first", "v1"]);
        commits.push(repository.commit("content.txt", "two"));
        repository.git(&["checkout", "--quiet", "-b", "feature/x"]);
        commits.push(repository.commit("content.txt", "three"));
        repository.git(&["checkout", "--quiet", "--detach"]);
        commits.push(repository.commit("content.txt", "pull request"));
        repository.git(&["update-ref", "refs/pull/25/head", "HEAD"]);
        repository.git(&["checkout", "--quiet", "main"]);
        Self {
            repository,
            commits,
        }
    }
}

fn exported(finished: &tests::Finished, name: &str) -> String {
    let variables = finished.build().exported_environment_variables;
    let found = variables.into_iter().find(|variable| variable.name == name);
    found.map(|variable| variable.value).unwrap_or_default()
}

/// One build of a source elsewhere, told as JSON.
fn run(project: &Project, arguments: &[&str]) -> tests::Finished {
    let finished = start(project, arguments).finish();
    project.assert_clean();
    finished
}

fn start(project: &Project, arguments: &[&str]) -> Running {
    let mut command = project.agent(&["run", "--json"]);
    command.args(arguments);
    Running::start(command)
}

#[test]
fn every_form_of_a_version_is_built() {
    let history = History::new();
    let server = GitServer::open();
    let url = server.publish(&history.repository, "o/r.git");
    let project = Project::empty();
    let [one, two, three, pull] = &history.commits[..] else {
        panic!("four commits")
    };
    let of_branch = format!("refs/heads/feature/x^{{{two}}}");
    for (version, commit, content) in [
        ("", two, "two"),
        ("main", two, "two"),
        ("feature/x", three, "three"),
        ("refs/heads/feature/x", three, "three"),
        ("v1", one, "one"),
        ("refs/tags/v1", one, "one"),
        (one, one, "one"),
        (&one[..8], one, "one"),
        ("pr/25", pull, "pull request"),
        (pull, pull, "pull request"),
        (&of_branch, two, "two"),
    ] {
        let finished = run(&project, &[&url, "--source-version", version]);
        assert_eq!(
            finished.exit_code,
            Some(0),
            "{version}: {}{}",
            finished.log(),
            finished.stderr
        );
        assert_eq!(&exported(&finished, "COMMIT"), commit, "{version}");
        assert_eq!(&exported(&finished, "RESOLVED"), commit, "{version}");
        assert_eq!(
            finished.build().resolved_source_version.as_ref(),
            Some(commit)
        );
        assert_eq!(exported(&finished, "VERSION"), version);
        assert_eq!(exported(&finished, "CONTENT"), content, "{version}");
        assert_eq!(exported(&finished, "URL"), url);
        assert_eq!(exported(&finished, "WHERE"), "src/127.0.0.1/o/r");
    }
}

#[test]
fn a_depth_cuts_the_history_off() {
    let history = History::new();
    let server = GitServer::open();
    let url = server.publish(&history.repository, "r.git");
    let project = Project::empty();
    for (depth, version, count) in [
        ("1", "", "1"),
        ("1", "main", "1"),
        ("2", "feature/x", "2"),
        ("1", history.commits[0].as_str(), "1"),
        ("1", "pr/25", "1"),
        ("1", &history.commits[1][..7], "3"),
        ("25", "main", "3"),
        ("26", "main", "3"),
        ("0", "main", "3"),
    ] {
        let overrides = project.root().join("overrides.json");
        let json = format!(r#"{{"gitCloneDepthOverride": {depth}, "sourceVersion": "{version}"}}"#);
        fs::write(&overrides, json).expect("one's own directory");
        let overrides = overrides.to_str().expect("temporary paths are UTF-8");
        let finished = run(&project, &[&url, "--overrides", overrides]);
        assert_eq!(finished.exit_code, Some(0), "{depth}: {}", finished.log());
        assert_eq!(exported(&finished, "COUNT"), count, "{depth} {version}");
    }
}

#[test]
fn a_second_build_fetches_only_what_is_new() {
    let history = History::new();
    let server = GitServer::open();
    // Does not compress.
    let noise = fs::read("/proc/self/exe").expect("a program can read itself");
    history
        .repository
        .commit("large", &noise[..noise.len().min(4_000_000)]);
    let url = server.publish(&history.repository, "r.git");
    let project = Project::empty();
    let first = run(&project, &[&url]);
    assert_eq!(first.exit_code, Some(0), "{}", first.log());
    let sent_first = server.sent_bytes();
    let again = run(&project, &[&url]);
    assert_eq!(again.exit_code, Some(0), "{}", again.log());
    let sent_again = server.sent_bytes() - sent_first;
    history.repository.commit("content.txt", "newer");
    history
        .repository
        .git(&["branch", "--delete", "--force", "feature/x"]);
    server.publish(&history.repository, "r.git");
    let newer = run(&project, &[&url]);
    assert_eq!(exported(&newer, "CONTENT"), "newer", "{}", newer.log());
    let sent_newer = server.sent_bytes() - sent_first - sent_again;
    for sent in [sent_again, sent_newer] {
        assert!(sent < 10_000 && sent_first > 500_000, "{sent_first} {sent}");
    }
    // The mirror serves nothing that the host no longer has.
    let gone = run(&project, &[&url, "--source-version", "feature/x"]);
    assert_eq!(
        gone.context("DOWNLOAD_SOURCE"),
        "CLIENT_ERROR: reference not found for primary source and source version feature/x"
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn failures_are_told_in_the_words_of_the_service() {
    let history = History::new();
    let open = GitServer::open();
    let closed = GitServer::with_login("ada", "s3cret-t0ken");
    let url = open.publish(&history.repository, "r.git");
    let closed_url = closed.publish(&history.repository, "r.git");
    let nowhere = open.url("none.git");
    let missing = "0123456789abcdef0123456789abcdef01234567";
    for (label, url, version, token, line) in [
        (
            "no branch",
            &url,
            "none",
            "",
            "reference not found for primary source and source version none",
        ),
        (
            "no commit",
            &url,
            missing,
            "",
            &*format!("reference not found for primary source and source version {missing}"),
        ),
        (
            "no pull request",
            &url,
            "pr/26",
            "",
            "reference not found for primary source and source version pr/26",
        ),
        (
            "no version at all",
            &url,
            "a..b",
            "",
            "reference not found for primary source and source version a..b",
        ),
        (
            "no repository",
            &nowhere,
            "main",
            "",
            "repository not found for primary source and source version main",
        ),
        (
            "no credentials",
            &closed_url,
            "main",
            "",
            "authentication required for primary source and source version main",
        ),
        (
            "no credentials and no version",
            &closed_url,
            "",
            "",
            "authentication required for primary source",
        ),
        (
            "wrong credentials",
            &closed_url,
            "main",
            "wrong",
            "CLIENT_ERROR: authorization failed for primary source and source version main",
        ),
    ] {
        let project = Project::empty();
        let mut command = project.agent(&["run", "--json", url, "--source-version", version]);
        command
            .env("BUILDSPEC_AGENT_GIT_HOST", closed.host())
            .env("BUILDSPEC_AGENT_GIT_USERNAME", "ada")
            .env("BUILDSPEC_AGENT_GIT_TOKEN", token);
        let finished = Running::start(command).finish();
        project.assert_clean();
        assert_ends_with(&finished, label, line);
    }
}

/// The build ended in `DOWNLOAD_SOURCE`, and its log with this line.
fn assert_ends_with(finished: &tests::Finished, label: &str, line: &str) {
    assert_eq!(finished.exit_code, Some(1), "{label}: {}", finished.stderr);
    let log = finished.log();
    let mut lines = log.lines().rev();
    assert_eq!(lines.next(), Some(line), "{label}");
    let before = lines.next().unwrap_or_default();
    assert!(before.ends_with(" Waiting for DOWNLOAD_SOURCE"), "{log}");
    let context = finished.context("DOWNLOAD_SOURCE");
    let message = line.trim_start_matches("CLIENT_ERROR: ");
    assert_eq!(context, format!("CLIENT_ERROR: {message}"), "{label}");
    assert_eq!(
        finished.phases()[2..],
        [
            "PROVISIONING SUCCEEDED",
            "DOWNLOAD_SOURCE FAILED",
            "FINALIZING SUCCEEDED",
            "COMPLETED"
        ],
        "{label}"
    );
}

#[test]
fn a_secondary_source_is_named_in_its_failure() {
    let history = History::new();
    let server = GitServer::open();
    let url = server.publish(&history.repository, "r.git");
    let secondary = format!("lib={}#v2", server.url("none.git"));
    let finished = run(&Project::empty(), &[&url, "--secondary-source", &secondary]);
    assert_eq!(
        finished.context("DOWNLOAD_SOURCE"),
        "CLIENT_ERROR: repository not found for secondary source lib and source version v2"
    );
}

#[test]
fn secondary_sources_lie_beside_the_primary_one_at_their_versions() {
    let history = History::new();
    let server = GitServer::open();
    let library = GitRepository::empty();
    library.commit("lib.txt", "old");
    library.git(&["tag", "v1"]);
    library.commit("lib.txt", "new");
    history.repository.commit("buildspec.yml", "
version: 0.2
phases:
  build:
    commands:
      - test \"$(cat $CODEBUILD_SRC_DIR_lib/lib.txt)\" = old
      - test \"$(cat $CODEBUILD_SRC_DIR_same/content.txt)\" = two
      - echo \"${CODEBUILD_SRC_DIR_lib#/codebuild/output/src*/} ${CODEBUILD_SRC_DIR_same#/codebuild/output/src*/}\"
      - echo \"$CODEBUILD_SOURCE_VERSION_lib $CODEBUILD_SOURCE_REPO_URL_lib\"
");
    let url = server.publish(&history.repository, "o/r.git");
    let lib = format!("lib={}#v1", server.publish(&library, "o/lib.git"));
    let same = format!("same={url}");
    let finished = run(
        &Project::empty(),
        &[
            &url,
            "--secondary-source",
            &lib,
            "--secondary-source",
            &same,
        ],
    );
    assert_eq!(
        finished.exit_code,
        Some(0),
        "{}{}",
        finished.log(),
        finished.stderr
    );
    let log = finished.log();
    assert!(
        log.contains("src/127.0.0.1/o/lib src/127.0.0.1/o/r_same"),
        "{log}"
    );
    assert!(
        log.contains(&format!("v1 {}", server.url("o/lib.git"))),
        "{log}"
    );
}

#[test]
fn credentials_open_the_repository_and_are_nowhere_to_be_seen() {
    let history = History::new();
    let server = GitServer::with_login("ada", "s3cret-t0ken");
    history.repository.commit(
        "buildspec.yml",
        "
version: 0.2
phases:
  build:
    commands:
      - git remote -v && cat .git/config && env
      - '! grep -rq s3cret-t0[k]en . /codebuild/readonly /codebuild/output /proc/self/environ'
      - '! git ls-remote'
",
    );
    let url = server.publish(&history.repository, "r.git");
    let project = Project::empty();
    let mut command = project.agent(&["run", "--json", &url]);
    command
        .env("BUILDSPEC_AGENT_GIT_HOST", server.host())
        .env("BUILDSPEC_AGENT_GIT_USERNAME", "ada")
        .env("BUILDSPEC_AGENT_GIT_TOKEN", "s3cret-t0ken")
        .env("RUST_LOG", "debug");
    let finished = Running::start(command).finish();
    project.assert_clean();
    assert_eq!(
        finished.exit_code,
        Some(0),
        "{}{}",
        finished.log(),
        finished.stderr
    );
    assert!(!finished.text().contains("s3cret-t0ken") && !finished.stderr.contains("s3cret-t0ken"));
    let kept = tests::read_tree(&project.data_directory());
    assert!(!kept.is_empty());
    for (path, content) in kept {
        let found = content.windows(12).any(|bytes| bytes == b"s3cret-t0ken");
        assert!(!found, "the token is in {path}");
    }
}

#[test]
fn the_build_gets_a_credential_helper_when_it_asks_for_one() {
    let history = History::new();
    let server = GitServer::with_login("ada", "s3cret-t0ken");
    history.repository.commit("buildspec.yml", "
version: 0.2
env:
  git-credential-helper: yes
phases:
  build:
    commands:
      - git ls-remote --exit-code origin main
      - git fetch --quiet origin main && git push --dry-run origin HEAD:refs/heads/new 2>&1 | grep -v 403 || true
      - GIT_TERMINAL_PROMPT=0 git ls-remote $(dirname $CODEBUILD_SOURCE_REPO_URL)/other.git 2>&1 | grep 'could not read Username'
      - printf 'protocol=%s\\nhost=%s\\npath=r.git\\n\\n' ${CODEBUILD_SOURCE_REPO_URL%%:*} $(echo $CODEBUILD_SOURCE_REPO_URL | cut -d/ -f3) | /codebuild/readonly/bin/git-credential-helper get
");
    let url = server.publish(&history.repository, "r.git");
    server.publish(&history.repository, "other.git");
    let project = Project::empty();
    // Reached from the container as from here.
    let mut command = project.agent(&["run", "--json", &url]);
    command
        .env("BUILDSPEC_AGENT_NETWORK", "host")
        .env("BUILDSPEC_AGENT_GIT_HOST", server.host())
        .env("BUILDSPEC_AGENT_GIT_USERNAME", "ada")
        .env("BUILDSPEC_AGENT_GIT_TOKEN", "s3cret-t0ken");
    let finished = Running::start(command).finish();
    project.assert_clean();
    assert_eq!(
        finished.exit_code,
        Some(0),
        "{}{}",
        finished.log(),
        finished.stderr
    );
    assert!(
        finished.log().contains("username=ada\npassword=***"),
        "{}",
        finished.log()
    );
    assert!(!finished.text().contains("s3cret"));
}

#[test]
fn repositories_are_fetched_over_ssh() {
    let history = History::new();
    let server = SshServer::start();
    let project = Project::empty();
    let bare = history
        .repository
        .publish(&project.root().join("served.git"));
    let url = server.url(&bare);
    let host = url
        .split('@')
        .nth(1)
        .and_then(|rest| rest.split('/').next())
        .unwrap_or_default();
    for (label, key, expected) in [
        ("the right key", server.key(), ""),
        (
            "another key",
            server.other_key(),
            "CLIENT_ERROR: authorization failed for primary source",
        ),
    ] {
        let config = project.root().join("config.toml");
        let text = format!(
            "[[sources.credentials]]\nhost = '{host}'\nssh_key = {{ file = '{}' }}\n",
            key.display()
        );
        fs::write(&config, text).expect("one's own directory");
        let config = config.to_str().expect("temporary paths are UTF-8");
        let finished = run(&project, &[&url, "--config", config]);
        assert_eq!(
            finished.context("DOWNLOAD_SOURCE"),
            expected,
            "{label}: {}",
            finished.stderr
        );
        if expected.is_empty() {
            assert_eq!(exported(&finished, "CONTENT"), "two", "{}", finished.log());
        }
    }
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused_unless_it_may_be() {
    let history = History::new();
    let server = GitServer::with_self_signed_certificate();
    let url = server.publish(&history.repository, "r.git");
    let project = Project::empty();
    let refused = run(&project, &[&url]);
    let context = refused.context("DOWNLOAD_SOURCE");
    let start = format!(
        "CLIENT_ERROR: Git clone failed: Unable to access '{url}': SSL certificate problem: "
    );
    assert!(context.starts_with(&start), "{context}");
    let overrides = project.root().join("overrides.json");
    fs::write(&overrides, r#"{"insecureSslOverride": true}"#).expect("one's own directory");
    let overrides = overrides.to_str().expect("temporary paths are UTF-8");
    let finished = run(&project, &[&url, "--overrides", overrides]);
    assert_eq!(
        finished.exit_code,
        Some(0),
        "{}{}",
        finished.log(),
        finished.stderr
    );
}

/// Fetches from its own source's host once more.
const FETCHING: &str =
    "version: 0.2\nphases: {build: {commands: [git fetch origin main, cat content.txt]}}\n";

#[test]
fn the_certificate_of_the_project_vouches_for_its_host_here_and_in_the_build() {
    let server = GitServer::with_self_signed_certificate();
    let repository = GitRepository::new(FETCHING);
    repository.commit("content.txt", "fetched");
    let submodule = GitRepository::empty();
    let commit = submodule.commit("file.txt", "of the submodule");
    add_submodule(
        &repository,
        &server.publish(&submodule, "s.git"),
        "sub",
        &commit,
    );
    let url = server.publish(&repository, "r.git");
    let moto = Moto::start();
    moto.create_bucket("bucket");
    moto.s3(
        "PUT",
        "/bucket/ca/host.pem",
        server.certificate().as_bytes(),
    );
    for location in ["bucket/ca/host.pem", "arn:aws:s3:::bucket/ca/host.pem"] {
        let finished = with_certificate(&url, location, &moto);
        assert_eq!(
            finished.exit_code,
            Some(0),
            "{location}: {}{}",
            finished.log(),
            finished.stderr
        );
        assert!(finished.log().contains("fetched"), "{}", finished.log());
    }
}

#[test]
fn a_certificate_that_cannot_be_had_fails_the_build() {
    let server = GitServer::with_self_signed_certificate();
    let url = server.publish(&GitRepository::new(FETCHING), "r.git");
    let other = GitServer::with_self_signed_certificate();
    let moto = Moto::start();
    moto.create_bucket("bucket");
    moto.s3("PUT", "/bucket/other.pem", other.certificate().as_bytes());
    moto.s3("PUT", "/bucket/none.pem", b"not a certificate");
    moto.s3("PUT", "/bucket/large.pem", &vec![b'\n'; 1024 * 1024 + 1]);
    let untrusted = format!(
        "CLIENT_ERROR: Git clone failed: Unable to access '{url}': SSL certificate problem: "
    );
    for (location, expected) in [
        (
            "bucket/missing.pem",
            "CLIENT_ERROR: Unable to download certificate from S3. NoSuchKey",
        ),
        (
            "bucket/none.pem",
            "CLIENT_ERROR: bucket/none.pem does not hold certificates in PEM form: there is none",
        ),
        (
            "bucket/large.pem",
            "CLIENT_ERROR: the certificate bucket/large.pem is larger than 1048576 bytes",
        ),
        (
            "nowhere",
            "CLIENT_ERROR: the certificate \"nowhere\" is neither bucket/key nor the ARN of an object in S3",
        ),
        ("bucket/other.pem", untrusted.as_str()),
    ] {
        let finished = with_certificate(&url, location, &moto);
        let context = finished.context("DOWNLOAD_SOURCE");
        assert!(context.starts_with(expected), "{location}: {context}");
    }
}

/// A build of a repository, with its submodules, whose project has a certificate.
fn with_certificate(url: &str, location: &str, moto: &Moto) -> tests::Finished {
    let project = Project::empty();
    let overrides = project.root().join("overrides.json");
    let text = json!({
        "certificateOverride": location,
        "gitSubmodulesConfigOverride": {"fetchSubmodules": true},
    });
    fs::write(&overrides, text.to_string()).expect("one's own directory");
    let overrides = overrides.to_str().expect("temporary paths are UTF-8");
    let mut command = project.agent(&["run", "--json", url, "--overrides", overrides]);
    // The host is reached from the container as from here.
    command
        .envs(moto.environment())
        .env("BUILDSPEC_AGENT_NETWORK", "host");
    let finished = Running::start(command).finish();
    project.assert_clean();
    finished
}

#[test]
fn a_connection_that_only_aws_can_use_is_refused_by_name() {
    let project = Project::empty();
    let connection = "arn:aws:codeconnections:us-east-1:123456789012:connection/c";
    let overrides = project.root().join("overrides.json");
    let text = json!({
        "sourceTypeOverride": "GITHUB",
        "sourceLocationOverride": "https://github.com/o/r.git",
        "sourceAuthOverride": {"type": "CODECONNECTIONS", "resource": connection},
    });
    fs::write(&overrides, text.to_string()).expect("one's own directory");
    let overrides = overrides.to_str().expect("temporary paths are UTF-8");
    let finished = run(&project, &["--overrides", overrides]);
    let context = finished.context("DOWNLOAD_SOURCE");
    assert!(
        context.contains(connection)
            && context.contains("store a source credential for github.com"),
        "{context}"
    );
}

#[test]
fn a_host_that_fails_for_a_moment_is_asked_again() {
    let history = History::new();
    let server = GitServer::open();
    let url = server.publish(&history.repository, "r.git");
    server.fail_next(1);
    let finished = run(&Project::empty(), &[&url]);
    assert_eq!(
        finished.exit_code,
        Some(0),
        "{}{}",
        finished.log(),
        finished.stderr
    );
    server.fail_next(u64::MAX);
    let finished = run(&Project::empty(), &[&url]);
    let context = finished.context("DOWNLOAD_SOURCE");
    assert!(
        context.contains("503") && context.ends_with(" for primary source"),
        "{context}"
    );
}

#[test]
fn stopping_a_build_ends_its_fetch() {
    let server = GitServer::open();
    server.fall_silent();
    let project = Project::empty();
    let running = start(&project, &[&server.url("r.git")]);
    while server.requests().is_empty() {
        std::thread::yield_now();
    }
    running.signal(nix::sys::signal::Signal::SIGTERM);
    let finished = running.finish();
    project.assert_clean();
    assert_eq!(finished.exit_code, Some(5), "{}", finished.stderr);
}

#[test]
fn builds_at_the_same_time_share_a_mirror_and_damage_is_mended() {
    let history = History::new();
    let server = GitServer::open();
    let url = server.publish(&history.repository, "r.git");
    let project = Project::empty();
    let running: Vec<_> = (0..3).map(|_| start(&project, &[&url])).collect();
    for running in running {
        let finished = running.finish();
        assert_eq!(
            finished.exit_code,
            Some(0),
            "{}{}",
            finished.log(),
            finished.stderr
        );
    }
    project.assert_clean();
    let mirrors = project.data_directory().join("sources/mirrors");
    let mirrors: Vec<_> = fs::read_dir(mirrors)
        .expect("there is one")
        .flatten()
        .collect();
    assert_eq!(mirrors.len(), 1);
    let packs = mirrors[0].path().join("objects/pack");
    for entry in fs::read_dir(packs).expect("there are packs").flatten() {
        if entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "pack")
        {
            fs::remove_file(entry.path()).expect("root, or one's own");
            fs::write(entry.path(), "damaged").expect("one's own directory");
        }
    }
    let finished = run(&project, &[&url]);
    assert_eq!(
        finished.exit_code,
        Some(0),
        "{}{}",
        finished.log(),
        finished.stderr
    );
    assert!(finished.stderr.contains("damaged"), "{}", finished.stderr);
}

#[test]
fn submodules_are_fetched_when_they_are_wanted() {
    let server = GitServer::open();
    let inner = GitRepository::empty();
    inner.commit("inner.txt", "inner");
    server.publish(&inner, "o/inner.git");
    let library = GitRepository::empty();
    library.commit("lib.txt", "lib");
    add_submodule(&library, "../inner.git", "deep/inner", &inner.head());
    server.publish(&library, "o/lib.git");
    let repository = GitRepository::new("
version: 0.2
phases:
  build:
    commands:
      - test \"$WANTED\" = no || test \"$(cat lib/lib.txt lib/deep/inner/inner.txt)\" = libinner
      - test \"$WANTED\" = yes || test -z \"$(ls lib)\"
      - test \"$WANTED\" = no || git submodule status --recursive | tee /dev/stderr | grep -v '^[-+]'
      - git -C lib status --porcelain
");
    add_submodule(
        &repository,
        &server.url("o/lib.git"),
        "lib",
        &library.head(),
    );
    let url = server.publish(&repository, "o/r.git");
    for (wanted, told) in [("yes", "true"), ("no", "false")] {
        let project = Project::empty();
        let overrides = project.root().join("overrides.json");
        let json = format!(r#"{{"gitSubmodulesConfigOverride": {{"fetchSubmodules": {told}}}}}"#);
        fs::write(&overrides, json).expect("one's own directory");
        let overrides = overrides.to_str().expect("temporary paths are UTF-8");
        let wanted = format!("WANTED={wanted}");
        let finished = run(
            &project,
            &[&url, "--overrides", overrides, "--env", &wanted],
        );
        assert_eq!(
            finished.exit_code,
            Some(0),
            "{}{}",
            finished.log(),
            finished.stderr
        );
    }
}

/// Adds a submodule without fetching it, so that its address may be anything.
fn add_submodule(repository: &GitRepository, url: &str, path: &str, commit: &str) {
    let modules = format!("[submodule \"{path}\"]\n\tpath = {path}\n\turl = {url}\n");
    fs::write(repository.path().join(".gitmodules"), modules).expect("one's own directory");
    repository.git(&["add", ".gitmodules"]);
    let entry = format!("160000,{commit},{path}");
    repository.git(&["update-index", "--add", "--cacheinfo", &entry]);
    repository.git(&["commit", "--quiet", "--message", "submodule"]);
}

#[test]
fn a_hostile_repository_runs_nothing_and_reads_nothing_on_the_host() {
    let server = GitServer::open();
    let project = Project::empty();
    let trap = project.root().join("trap");
    let touch = format!("touch {}", trap.display());
    let secret = project.root().join("secret.txt");
    fs::write(&secret, "of the host").expect("one's own directory");
    // What a checkout may bring: filters, hooks, links, configuration.
    let repository = GitRepository::new(
        "
version: 0.2
phases:
  build:
    commands:
      - ls -la . && cat out.txt 2>/dev/null || true
      - test \"$(cat filtered.txt)\" = plain
",
    );
    repository.commit(
        ".gitattributes",
        "*.txt filter=evil diff=evil\n*.bin filter=lfs\n",
    );
    repository.commit("filtered.txt", "plain");
    repository.commit(
        ".gitconfig",
        format!("[filter \"evil\"]\n\tsmudge = {touch}\n"),
    );
    repository.commit("hooks/post-checkout", format!("#!/bin/sh\n{touch}\n"));
    repository.commit(
        "large.bin",
        "version https://git-lfs.github.com/spec/v1\noid sha256:0000000000000000000000000000000000000000000000000000000000000000\nsize 1\n",
    );
    std::os::unix::fs::symlink(&secret, repository.path().join("out.txt")).expect("one's own");
    repository.git(&["add", "--all"]);
    repository.git(&["commit", "--quiet", "--message", "link"]);
    let url = server.publish(&repository, "r.git");
    let mut command = project.agent(&["run", "--json", &url]);
    // What the host's owner has for their own repositories counts for nothing either.
    let home = project.root().join("home");
    fs::create_dir(&home).expect("one's own directory");
    let config = format!(
        "[filter \"evil\"]\n\tsmudge = {touch}; cat\n[core]\n\tfsmonitor = {touch}\n\tsshCommand = {touch}\n"
    );
    fs::write(home.join(".gitconfig"), config).expect("one's own directory");
    command.env("HOME", &home);
    let finished = Running::start(command).finish();
    project.assert_clean();
    assert_eq!(
        finished.exit_code,
        Some(0),
        "{}{}",
        finished.log(),
        finished.stderr
    );
    assert!(!finished.log().contains("of the host"));
    assert!(!trap.exists());
    let hint = "Files of the primary source that Git LFS keeps are pointers";
    assert!(finished.log().contains(hint), "{}", finished.log());
}

#[test]
fn the_buildspec_of_a_repository_is_not_read_through_a_link_to_the_host() {
    let server = GitServer::open();
    let project = Project::empty();
    let outside = project.root().join("outside.yml");
    fs::write(
        &outside,
        "version: 0.2\nphases: {build: {commands: [echo host]}}\n",
    )
    .expect("one's own");
    let repository = GitRepository::empty();
    std::os::unix::fs::symlink(&outside, repository.path().join("buildspec.yml"))
        .expect("one's own");
    repository.commit("a", "a");
    let url = server.publish(&repository, "r.git");
    let finished = run(&project, &[&url]);
    assert_eq!(finished.exit_code, Some(2), "{}", finished.log());
    assert!(
        !finished.log().contains("Running command"),
        "{}",
        finished.log()
    );
}

#[test]
fn hostile_submodules_and_trees_are_refused() {
    let server = GitServer::open();
    let project = Project::empty();
    let trap = project.root().join("trap");
    let secret = GitRepository::empty();
    secret.commit("secret.txt", "of the host");
    let overrides = project.root().join("overrides.json");
    let json = r#"{"gitSubmodulesConfigOverride": {"fetchSubmodules": true}}"#;
    fs::write(&overrides, json).expect("one's own directory");
    let overrides = overrides.to_str().expect("temporary paths are UTF-8");
    for (label, url) in [
        ("program", format!("ext::sh -c touch% {}", trap.display())),
        ("file", format!("file://{}", secret.path().display())),
        ("path", secret.path().display().to_string()),
        ("option", format!("-u./{}", trap.display())),
    ] {
        let repository =
            GitRepository::new("version: 0.2\nphases: {build: {commands: ['true']}}\n");
        add_submodule(&repository, &url, "lib", &secret.head());
        let url = server.publish(&repository, &format!("{label}.git"));
        let finished = run(&project, &[&url, "--overrides", overrides]);
        let context = finished.context("DOWNLOAD_SOURCE");
        assert!(context.contains("submodule \"lib\""), "{label}: {context}");
        assert!(!trap.exists(), "{label}");
    }
    // Names that git itself refuses to write.
    for (label, entry) in [("git directory", ".git"), ("in another case", ".GIT")] {
        let repository =
            GitRepository::new("version: 0.2\nphases: {build: {commands: ['true']}}\n");
        let blob = repository.git(&["hash-object", "-w", "buildspec.yml"]);
        let tree = raw_tree(&repository, entry, &blob);
        let commit = repository.git(&["commit-tree", &tree, "-m", "hostile"]);
        repository.git(&["update-ref", "refs/heads/main", &commit]);
        let url = server.publish(&repository, &format!("{}.git", label.replace(' ', "-")));
        let finished = run(&project, &[&url]);
        let context = finished.context("DOWNLOAD_SOURCE");
        assert!(
            context.starts_with("CLIENT_ERROR: Git clone failed: "),
            "{label}: {context}"
        );
    }
}

/// A tree with one directory of any name, as `git mktree` would not make it.
fn raw_tree(repository: &GitRepository, name: &str, blob: &str) -> String {
    let bytes = |hash: &str| -> Vec<u8> {
        let digit = |at| u8::from_str_radix(&hash[at..at + 2], 16).expect("a hash is hexadecimal");
        (0..hash.len()).step_by(2).map(digit).collect()
    };
    let write = |entry: &str, hash: &str| {
        let mut tree = format!("{entry}\0").into_bytes();
        tree.extend(bytes(hash));
        let file = repository.path().join(".git/raw");
        fs::write(&file, tree).expect("one's own directory");
        repository.git(&["hash-object", "-w", "-t", "tree", "--literally", ".git/raw"])
    };
    let inner = write("100644 config", blob);
    write(&format!("40000 {name}"), &inner)
}

#[test]
fn a_password_in_an_address_is_refused_without_being_shown() {
    let finished = run(&Project::empty(), &["https://ada:s3cret@127.0.0.1/r.git"]);
    assert_eq!(finished.exit_code, Some(1), "{}", finished.stderr);
    let context = finished.context("DOWNLOAD_SOURCE");
    assert!(
        context.contains("store it as a source credential"),
        "{context}"
    );
    assert!(!finished.text().contains("s3cret") && !finished.stderr.contains("s3cret"));
}

#[test]
fn a_build_without_a_source_has_an_empty_directory() {
    let project = Project::empty();
    let file = project.root().join("project.json");
    let json = r#"{"name": "nothing", "source": {"type": "NO_SOURCE", "buildspec": "version: 0.2\nphases: {build: {commands: ['test -z \"$(ls -A)\"', 'echo in ${CODEBUILD_SRC_DIR#/codebuild/output/src*/}']}}\n"},
        "environment": {"type": "LINUX_CONTAINER", "image": "IMAGE", "computeType": "BUILD_GENERAL1_SMALL"},
        "artifacts": {"type": "NO_ARTIFACTS"}, "serviceRole": "arn:aws:iam::000000000000:role/r"}"#;
    fs::write(&file, json.replace("IMAGE", &tests::engine::test_image())).expect("one's own");
    let file = file.to_str().expect("temporary paths are UTF-8");
    let finished = run(&project, &["--project-file", file]);
    assert_eq!(
        finished.exit_code,
        Some(0),
        "{}{}",
        finished.log(),
        finished.stderr
    );
    assert!(finished.log().contains("in src\n"), "{}", finished.log());
}
