//! Sources in S3, and what else of AWS sources need.

use std::fs;
use std::io::{Cursor, Write};

use tests::aws::{self, Moto};
use tests::fault_proxy::{Fault, FaultProxy};
use tests::{Finished, GitRepository, GitServer, Project, Running};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const BUILDSPEC: &str = "
version: 0.2
env:
  exported-variables: [WHERE, URL, VERSION, RESOLVED, CONTENT]
phases:
  build:
    commands:
      - WHERE=${CODEBUILD_SRC_DIR#/codebuild/output/src*/} URL=$CODEBUILD_SOURCE_REPO_URL VERSION=$CODEBUILD_SOURCE_VERSION
      - RESOLVED=${CODEBUILD_RESOLVED_SOURCE_VERSION-unset} CONTENT=$(sub/run.sh)
";

/// An archive of a project whose script tells a text.
fn archive(text: &str) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = |mode| SimpleFileOptions::default().unix_permissions(mode);
    zip.start_file("buildspec.yml", options(0o644))
        .expect("memory");
    zip.write_all(BUILDSPEC.as_bytes()).expect("memory");
    zip.start_file("sub/real.sh", options(0o755))
        .expect("memory");
    zip.write_all(format!("#!/bin/sh\necho {text}\n").as_bytes())
        .expect("memory");
    zip.add_symlink("sub/run.sh", "real.sh", options(0o777))
        .expect("memory");
    zip.finish().expect("memory").into_inner()
}

fn put(moto: &Moto, path: &str, body: &[u8]) -> Option<String> {
    let answer = moto.s3("PUT", path, body);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.header("x-amz-version-id").map(str::to_owned)
}

fn run(project: &Project, endpoint: &str, arguments: &[&str]) -> Finished {
    let mut command = project.agent(&["run", "--json"]);
    command.args(arguments).envs(aws::environment(endpoint));
    let finished = Running::start(command).finish();
    project.assert_clean();
    finished
}

fn exported(finished: &Finished, name: &str) -> String {
    let variables = finished.build().exported_environment_variables;
    let found = variables.into_iter().find(|variable| variable.name == name);
    found.map(|variable| variable.value).unwrap_or_default()
}

#[test]
fn an_archive_and_a_version_of_it_are_built() {
    let moto = Moto::start();
    moto.create_bucket("sources");
    let versioning = "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Status>Enabled</Status></VersioningConfiguration>";
    put(&moto, "/sources?versioning", versioning.as_bytes());
    let old = put(&moto, "/sources/a/b.zip", &archive("old")).expect("versions are on");
    put(&moto, "/sources/a/b.zip", &archive("new"));
    let project = Project::empty();
    for (version, content) in [("", "new"), (&*old, "old")] {
        let arguments = ["s3://sources/a/b.zip", "--source-version", version];
        let finished = run(&project, &moto.endpoint(), &arguments);
        assert_eq!(
            finished.exit_code,
            Some(0),
            "{}{}",
            finished.log(),
            finished.stderr
        );
        assert_eq!(exported(&finished, "CONTENT"), content);
        assert_eq!(exported(&finished, "VERSION"), version);
        assert_eq!(exported(&finished, "URL"), "s3://sources/a/b.zip");
        assert_eq!(exported(&finished, "WHERE"), "src");
        assert_eq!(exported(&finished, "RESOLVED"), "unset");
    }
}

#[test]
fn a_folder_is_built_and_further_sources_lie_beside_it() {
    let moto = Moto::start();
    moto.create_bucket("sources");
    put(&moto, "/sources/folder/buildspec.yml", b"
version: 0.2
phases:
  build:
    commands:
      - test \"$(cat a/b/c.txt)\" = deep && test -d empty && test ! -e outside.txt
      - echo \"${CODEBUILD_SRC_DIR#/codebuild/output/src*/} ${CODEBUILD_SRC_DIR_zip#/codebuild/output/src*/} $($CODEBUILD_SRC_DIR_zip/sub/real.sh)\"
");
    put(&moto, "/sources/folder/a/b/c.txt", b"deep");
    put(&moto, "/sources/folder/empty/", b"");
    put(&moto, "/sources/outside.txt", b"");
    put(&moto, "/sources/b.zip", &archive("second"));
    let arguments = [
        "s3://sources/folder/",
        "--secondary-source",
        "zip=s3://sources/b.zip",
    ];
    let finished = run(&Project::empty(), &moto.endpoint(), &arguments);
    assert_eq!(
        finished.exit_code,
        Some(0),
        "{}{}",
        finished.log(),
        finished.stderr
    );
    assert!(
        finished.log().contains("\nsrc/s3/00 src/s3/01 second\n"),
        "{}",
        finished.log()
    );
}

#[test]
fn failures_are_told_in_the_words_of_awss_sdk() {
    let moto = Moto::start();
    moto.create_bucket("sources");
    put(&moto, "/sources/text.zip", b"no archive");
    for (location, start, end) in [
        (
            "s3://sources/none.zip",
            "CLIENT_ERROR: NoSuchKey: The specified key does not exist.\n\tstatus code: 404, request id: ",
            " for primary source",
        ),
        (
            "s3://no-such-bucket/a.zip",
            "CLIENT_ERROR: NoSuchBucket: The specified bucket does not exist\n\tstatus code: 404, request id: ",
            " for primary source",
        ),
        (
            "s3://sources/folder/",
            "CLIENT_ERROR: there is nothing in s3://sources/folder/",
            " for primary source",
        ),
    ] {
        let project = Project::empty();
        let finished = run(&project, &moto.endpoint(), &[location]);
        assert_eq!(
            finished.exit_code,
            Some(1),
            "{location}: {}",
            finished.stderr
        );
        let context = finished.context("DOWNLOAD_SOURCE");
        assert!(
            context.starts_with(start) && context.ends_with(end),
            "{location}: {context}"
        );
    }
    let finished = run(
        &Project::empty(),
        &moto.endpoint(),
        &["s3://sources/text.zip"],
    );
    let context = finished.context("DOWNLOAD_SOURCE");
    assert!(
        context.starts_with("CLIENT_ERROR: the source archive is not a valid ZIP file"),
        "{context}"
    );
}

#[test]
fn a_download_that_is_cut_goes_on_where_it_was_cut() {
    let moto = Moto::start();
    moto.create_bucket("sources");
    let archive = archive("whole");
    put(&moto, "/sources/b.zip", &archive);
    let proxy = FaultProxy::start(moto.address());
    proxy.only("GET /sources/b.zip");
    proxy.next([
        Some(Fault::CutAnswer(100)),
        Some(Fault::CutAnswer(50)),
        Some(Fault::SLOW_DOWN),
    ]);
    let finished = run(
        &Project::empty(),
        &proxy.endpoint(),
        &["s3://sources/b.zip"],
    );
    assert_eq!(
        finished.exit_code,
        Some(0),
        "{}{}",
        finished.log(),
        finished.stderr
    );
    assert_eq!(exported(&finished, "CONTENT"), "whole");
    // A service that cannot be reached is nothing that the author of a build could mend.
    proxy.set(Fault::Refuse);
    let finished = run(
        &Project::empty(),
        &proxy.endpoint(),
        &["s3://sources/b.zip"],
    );
    assert_eq!(finished.exit_code, Some(3), "{}", finished.stderr);
}

#[test]
fn a_token_in_secrets_manager_opens_a_repository() {
    let moto = Moto::start();
    let repository =
        GitRepository::new("version: 0.2\nphases: {build: {commands: [echo opened]}}\n");
    let server = GitServer::with_login("ada", "s3cret-t0ken");
    let url = server.publish(&repository, "r.git");
    let secret = moto.call(
        "secretsmanager.CreateSecret",
        &serde_json::json!({
            "Name": "git/token",
            "SecretString": r#"{"ServerType":"GITHUB_ENTERPRISE","AuthType":"BASIC_AUTH","Username":"ada","Token":"s3cret-t0ken"}"#,
        }),
    );
    let arn = secret["ARN"].as_str().expect("a secret has an ARN");
    for (label, resource, expected) in [
        ("ARN", arn, ""),
        ("name", "git/token", ""),
        (
            "no such secret",
            "git/none",
            "CLIENT_ERROR: Secrets Manager Error: ResourceNotFoundException: ",
        ),
    ] {
        let project = Project::empty();
        let overrides = project.root().join("overrides.json");
        let json = serde_json::json!({"sourceAuthOverride": {"type": "SECRETS_MANAGER", "resource": resource}});
        fs::write(&overrides, json.to_string()).expect("one's own directory");
        let overrides = overrides.to_str().expect("temporary paths are UTF-8");
        let finished = run(
            &project,
            &moto.endpoint(),
            &[&url, "--overrides", overrides],
        );
        let context = finished.context("DOWNLOAD_SOURCE");
        assert!(context.starts_with(expected), "{label}: {context}");
        assert_eq!(
            context.is_empty(),
            expected.is_empty(),
            "{label}: {context}"
        );
        assert!(!finished.text().contains("s3cret-t0ken"), "{label}");
    }
}
