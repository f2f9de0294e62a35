//! Artifacts in buckets.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tests::aws::{ACCOUNT, Moto, REGION};
use tests::fault_proxy::{Fault, FaultProxy};
use tests::s3_server::S3Server;
use tests::{Finished, Project, Running, read_tree};

/// Yields two small files.
const SMALL: &str = "
version: 0.2
phases: {build: {commands: [mkdir -p out/sub, echo one > out/a.txt, echo two > out/sub/b.txt]}}
artifacts: {base-directory: out, files: ['**/*']}
";

/// Yields one file that is uploaded in parts, which cannot be compressed.
const LARGE: &str = "
version: 0.2
phases: {build: {commands: [head -c 30000000 /dev/urandom > large]}}
artifacts: {files: [large]}
";

/// A build with these artifact settings, type S3 understood, told as JSON.
fn build(project: &Project, settings: &Value, environment: &[(&str, String)]) -> Running {
    let mut settings = settings.clone();
    settings["type"] = "S3".into();
    let mut overrides = json!({});
    if let Some(secondary) = settings["secondary"].as_array_mut() {
        for one in secondary {
            one["type"] = "S3".into();
        }
        overrides["secondaryArtifactsOverride"] = settings["secondary"].take();
    }
    if let Some(key) = settings["encryptionKey"].as_str() {
        overrides["encryptionKeyOverride"] = key.into();
    }
    let members = settings.as_object_mut().expect("settings are an object");
    members.retain(|name, _| !["secondary", "encryptionKey"].contains(&name.as_str()));
    overrides["artifactsOverride"] = settings;
    let path = project.root().join("overrides.json");
    fs::write(&path, overrides.to_string()).expect("one's own directory");
    let mut command = project.agent(&["run", "--json", "--project", "demo", "--overrides"]);
    command
        .arg(&path)
        .arg(project.source())
        .envs(environment.iter().map(|(name, value)| (name, value)));
    Running::start(command)
}

fn finish(project: &Project, running: Running) -> Finished {
    let finished = running.finish();
    project.assert_clean();
    finished
}

fn assert_succeeds(finished: &Finished) {
    assert_eq!(
        finished.exit_code,
        Some(0),
        "{}{}",
        finished.log(),
        finished.stderr
    );
}

/// The files of a bucket; the server's own begin with a dot.
fn objects(bucket: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = read_tree(bucket);
    files.retain(|path, _| !path.rsplit('/').next().unwrap_or_default().starts_with('.'));
    files
}

#[test]
fn files_and_archives_lie_where_the_settings_say() {
    let server = S3Server::start(&["bucket", "other"]);
    let project = Project::new(
        "
version: 0.2
phases: {build: {commands: [mkdir -p out/sub, echo one > out/a.txt, echo two > out/sub/b.txt]}}
artifacts:
  base-directory: out
  files: ['**/*']
  secondary-artifacts:
    pack: {base-directory: out, files: ['**/*']}
",
    );
    let settings = json!({"location": "bucket", "path": "p", "name": "n", "secondary": [
        {"artifactIdentifier": "pack", "location": "other", "name": "n.zip", "packaging": "ZIP"}]});
    let running = build(&project, &settings, &server.environment());
    let finished = finish(&project, running);
    assert_succeeds(&finished);
    let files = objects(&server.bucket("bucket"));
    assert_eq!(
        files.keys().collect::<Vec<_>>(),
        ["p/n/a.txt", "p/n/sub/b.txt"]
    );
    assert_eq!(files["p/n/sub/b.txt"], b"two\n");
    let archives = objects(&server.bucket("other"));
    assert_eq!(archives.keys().collect::<Vec<_>>(), ["n.zip"]);
    let archive = zip::ZipArchive::new(std::io::Cursor::new(&archives["n.zip"]));
    assert_eq!(archive.expect("an archive").len(), 2);
    let artifacts = finished.build().artifacts;
    assert_eq!(artifacts[0].location, "arn:aws:s3:::bucket/p/n");
    assert_eq!(artifacts[0].sha256sum, None);
    assert_eq!(artifacts[1].location, "arn:aws:s3:::other/n.zip");
    assert!(artifacts[1].sha256sum.is_some() && artifacts[1].md5sum.is_some());
}

#[test]
fn objects_have_the_metadata_the_key_and_the_access_that_the_project_wants() {
    let moto = Moto::start();
    moto.create_bucket("bucket");
    let key = format!("arn:aws:kms:{REGION}:{ACCOUNT}:key/1234");
    let project = Project::new(SMALL);
    let settings = json!({"location": "bucket", "name": "kms.zip", "packaging": "ZIP",
        "bucketOwnerAccess": "FULL", "encryptionKey": key});
    let kms = finish(&project, build(&project, &settings, &moto.environment()));
    assert_succeeds(&kms);
    let head = moto.s3("HEAD", "/bucket/kms.zip", b"");
    assert_eq!(head.header("x-amz-server-side-encryption"), Some("aws:kms"));
    assert_eq!(
        head.header("x-amz-server-side-encryption-aws-kms-key-id"),
        Some(key.as_str())
    );
    let (build_of_kms, artifact) = (kms.build(), kms.build().artifacts.remove(0));
    let arn = format!(
        "arn:aws:codebuild:{REGION}:000000000000:build/{}",
        build_of_kms.id
    );
    for (name, value) in [
        ("buildarn", Some(&arn)),
        ("content-sha256", artifact.sha256sum.as_ref()),
        ("content-md5", artifact.md5sum.as_ref()),
    ] {
        let found = head.header(&format!("x-amz-meta-codebuild-{name}"));
        assert_eq!(found, value.map(String::as_str), "{name}");
    }
    let acl = moto.s3("GET", "/bucket/kms.zip?acl", b"").text();
    assert!(acl.contains("FULL_CONTROL"), "{acl}");
    let settings = json!({"location": "bucket", "name": "plain", "encryptionDisabled": true});
    assert_succeeds(&finish(
        &project,
        build(&project, &settings, &moto.environment()),
    ));
    let head = moto.s3("HEAD", "/bucket/plain/a.txt", b"");
    assert_ne!(head.header("x-amz-server-side-encryption"), Some("aws:kms"));
    assert!(head.header("x-amz-meta-codebuild-buildarn").is_some());
}

#[test]
fn an_upload_survives_throttling_broken_answers_and_cut_lines() {
    let server = S3Server::start(&["bucket"]);
    let proxy = FaultProxy::start(server.address());
    proxy.only("PUT ");
    proxy.next([
        Some(Fault::SLOW_DOWN),
        Some(Fault::CutRequest(1_000_000)),
        Some(Fault::INTERNAL_ERROR),
        Some(Fault::Refuse),
        Some(Fault::SLOW_DOWN),
    ]);
    let project = Project::new(LARGE);
    let environment = tests::aws::environment(&proxy.endpoint());
    let settings = json!({"location": "bucket", "name": "n"});
    let finished = finish(&project, build(&project, &settings, &environment));
    assert_succeeds(&finished);
    let files = objects(&server.bucket("bucket"));
    assert_eq!(files["n/large"].len(), 30_000_000);
    assert_eq!(server.unfinished_parts(), [""; 0]);
    let tries = proxy
        .seen()
        .iter()
        .filter(|line| line.starts_with("PUT "))
        .count();
    assert_eq!(
        tries,
        4 + 5,
        "four parts, and five times one had to be sent again"
    );
}

#[test]
fn a_refused_upload_fails_the_build_and_leaves_no_parts() {
    let moto = Moto::start();
    moto.create_bucket("bucket");
    let proxy = FaultProxy::start(moto.address());
    let project = Project::new(LARGE);
    let environment = tests::aws::environment(&proxy.endpoint());
    for (label, bucket, fault, expected) in [
        (
            "no bucket",
            "missing",
            None,
            "CLIENT_ERROR: Failed to upload artifacts: NoSuchBucket: The specified bucket does not exist status code: 404",
        ),
        (
            "a refused part",
            "bucket",
            Some(Fault::Answer(
                403,
                "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>",
            )),
            "CLIENT_ERROR: Failed to upload artifacts: AccessDenied: Access Denied status code: 403",
        ),
    ] {
        proxy.only("partNumber=3");
        proxy.set(fault);
        let settings = json!({"location": bucket, "name": "n"});
        let finished = finish(&project, build(&project, &settings, &environment));
        assert_eq!(finished.exit_code, Some(1), "{label}: {}", finished.stderr);
        let context = finished.context("UPLOAD_ARTIFACTS");
        assert!(context.starts_with(expected), "{label}: {context}");
        assert_eq!(moto.unfinished_uploads("bucket"), [""; 0], "{label}");
        assert_eq!(moto.keys("bucket"), [""; 0], "{label}");
    }
}

#[test]
fn a_build_that_is_stopped_in_its_upload_leaves_no_parts() {
    let moto = Moto::start();
    moto.create_bucket("bucket");
    let proxy = FaultProxy::start(moto.address());
    proxy.only("PUT ");
    proxy.set(Fault::Hang);
    let project = Project::new(LARGE);
    let environment = tests::aws::environment(&proxy.endpoint());
    let settings = json!({"location": "bucket", "name": "n"});
    let running = build(&project, &settings, &environment);
    proxy.wait_for("PUT ", 2);
    assert_eq!(moto.unfinished_uploads("bucket"), ["n/large"]);
    running.signal(Signal::SIGTERM);
    let finished = finish(&project, running);
    assert_eq!(finished.exit_code, Some(5), "{}", finished.stderr);
    assert_eq!(moto.unfinished_uploads("bucket"), [""; 0]);
}

#[test]
fn many_small_files_go_up_with_their_contents() {
    let server = S3Server::start(&["bucket"]);
    let project = Project::new(
        "
version: 0.2
phases: {build: {commands: ['mkdir out && for n in $(seq 500); do echo $n > out/$n; done']}}
artifacts: {base-directory: out, files: ['*']}
",
    );
    let settings = json!({"location": "bucket", "name": "/"});
    let finished = finish(&project, build(&project, &settings, &server.environment()));
    assert_succeeds(&finished);
    let files = objects(&server.bucket("bucket"));
    assert_eq!(files.len(), 500);
    for (name, content) in files {
        assert_eq!(content, format!("{name}\n").into_bytes());
    }
}
