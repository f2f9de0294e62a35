//! Jobs of CodePipeline become builds, whose outcomes are their answers.

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use agent::model::BuildId;
use agent::store::{Kind, Order, PageRequest, StoredBuild};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tests::aws::{self, Moto};
use tests::codepipeline::{BUCKET, Call, CodePipeline, Fault, JobData, key};
use tests::fault_proxy::{self, FaultProxy};
use tests::s3_server::S3Server;
use tests::stores::{Engine, TestStore};
use tests::{Project, Running, engine};

/// A worker, its store, its pipelines and their bucket.
struct Site {
    pipelines: CodePipeline,
    bucket: S3Server,
    test: TestStore,
    project: Project,
}

impl Site {
    async fn new(engine: Engine) -> Self {
        let site = Self {
            pipelines: CodePipeline::start(),
            bucket: S3Server::start(&[BUCKET]),
            test: TestStore::new(engine).await,
            project: Project::empty(),
        };
        site.configure("fleet = \"linux\"\n");
        // On AWS it would build a repository; in a pipeline it builds what the pipeline brings.
        let body = json!({
            "name": "demo",
            "source": {"type": "GITHUB", "location": "https://github.com/o/r.git", "reportBuildStatus": true},
            "artifacts": {"type": "S3", "location": "elsewhere"},
            "autoRetryLimit": 3,
            "environment": {"type": "LINUX_CONTAINER", "image": engine::test_image(),
                "computeType": "BUILD_GENERAL1_SMALL"},
        });
        let stored = site.test.store.create_resource(Kind::Project, "demo", body);
        stored.await.expect("it is new");
        site
    }

    /// Writes the configuration, with these lines about the action type.
    fn configure(&self, codepipeline: &str) {
        let text = format!(
            "[worker]\nprocessors = 100\nmemory_mib = 1000000\nlease_secs = 3\n\
            [codepipeline]\npoll_secs = 1\n{codepipeline}"
        );
        fs::write(self.project.root().join("config.toml"), text).expect("one's own directory");
    }

    fn worker(&self) -> Running {
        self.worker_with(&self.bucket.endpoint())
    }

    /// A worker whose own credentials open nothing in the bucket at this endpoint.
    fn worker_with(&self, s3: &str) -> Running {
        Running::start(self.command(&self.project, &["worker"], s3))
    }

    /// A command that takes jobs, with the data directory of a project.
    fn command(&self, project: &Project, arguments: &[&str], s3: &str) -> Command {
        let intake = ["--codepipeline", "SelfHostedBuild:1"];
        let mut command = project.agent(&[arguments, &intake].concat());
        command
            .envs(aws::environment("http://127.0.0.1:1"))
            .env("AWS_ACCESS_KEY_ID", "agent")
            .env("AWS_ENDPOINT_URL_CODEPIPELINE", self.pipelines.url())
            .env("AWS_ENDPOINT_URL_S3", s3)
            .env(
                "BUILDSPEC_AGENT_CONFIG",
                self.project.root().join("config.toml"),
            )
            .env("BUILDSPEC_AGENT_STORE", &self.test.address)
            .env("RUST_LOG", "debug,sqlx=warn,hyper=warn");
        command
    }

    /// Waits until the only build runs its command.
    async fn until_it_runs(&self) {
        self.pipelines.wait_for("GetJobDetails", 2);
        let id = self.build().await.id;
        let runs = |build: &StoredBuild| build.record["currentPhase"] == "BUILD";
        self.test.until(&id, runs).await;
    }

    /// Puts an input artifact into the bucket.
    fn input(&self, name: &str, files: &[(&str, &str)]) {
        let path = self.object(name);
        fs::create_dir_all(path.parent().expect("keys have slashes")).expect("one's own directory");
        fs::write(path, archive(files)).expect("one's own directory");
    }

    fn object(&self, name: &str) -> PathBuf {
        self.bucket.bucket(BUCKET).join(key(name))
    }

    /// The only build.
    async fn build(&self) -> StoredBuild {
        let page = PageRequest::first(Order::Ascending);
        let ids = self.test.store.list_builds(None, &page).await;
        let ids: Vec<BuildId> = ids.expect("the store answers").entries;
        assert_eq!(ids.len(), 1, "{ids:?}");
        self.test.build(&ids[0]).await
    }

    /// Ends the worker, and gives what it said; nothing of the job's credentials is in it or on the disk.
    fn end(&self, worker: Running) -> String {
        worker.signal(Signal::SIGTERM);
        let finished = worker.finish();
        assert_eq!(finished.exit_code, Some(0), "{}", finished.stderr);
        assert!(
            !finished.stderr.contains(aws::KEYS.1),
            "{}",
            finished.stderr
        );
        assert_nowhere(&self.project.data_directory(), aws::KEYS.1);
        let store = self.test.address.trim_start_matches("sqlite:");
        if let Some(directory) = Path::new(store).parent().filter(|path| path.is_dir()) {
            assert_nowhere(directory, aws::KEYS.1);
        }
        finished.stderr
    }
}

/// Makes sure that no file below a directory holds a text.
fn assert_nowhere(directory: &Path, text: &str) {
    for entry in fs::read_dir(directory).expect("it can be listed").flatten() {
        let path = entry.path();
        if path.is_dir() {
            assert_nowhere(&path, text);
            continue;
        }
        let bytes = fs::read(&path).unwrap_or_default();
        let is_there = bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes());
        assert!(!is_there, "{} holds it", path.display());
    }
}

fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        let options = zip::write::SimpleFileOptions::default();
        archive.start_file(*name, options).expect("a new file");
        archive.write_all(content.as_bytes()).expect("memory");
    }
    archive.finish().expect("memory").into_inner()
}

/// The files of an archive.
fn files(archive: &[u8]) -> Vec<String> {
    let archive = zip::ZipArchive::new(Cursor::new(archive)).expect("an archive");
    let mut names: Vec<_> = archive
        .file_names()
        .map(|name| name.expect("a name").into_owned())
        .collect();
    names.sort();
    names
}

fn job(inputs: &[&'static str], outputs: &[&'static str], configuration: &Value) -> JobData {
    let mut all = json!({"ProjectName": "demo", "Fleet": "linux"});
    let members = configuration.as_object().expect("properties").clone();
    all.as_object_mut().expect("properties").extend(members);
    JobData {
        configuration: all,
        inputs: inputs.iter().map(|name| (*name, "4f1c0d")).collect(),
        outputs: outputs.to_vec(),
        encryption_key: None,
    }
}

/// Whether a call puts an answer.
fn is_put(call: &Call) -> bool {
    call.operation.starts_with("PutJob")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_built_from_the_pipelines_artifacts_and_answered_once() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let site = Site::new(engine).await;
        let buildspec = r#"
version: 0.2
env: {exported-variables: [VERSION, STAGE]}
phases:
  build:
    commands:
      - test "$STAGE" = beta
      - test "$CODEBUILD_INITIATOR" = codepipeline/rel
      - test "$CODEBUILD_SOURCE_VERSION" = arn:aws:s3:::pipe-bkt/rel/Source/AbC123x
      - test "$CODEBUILD_RESOLVED_SOURCE_VERSION" = 4f1c0d
      - cat "$CODEBUILD_SRC_DIR_Lib/lib.txt" > out.txt
      - export VERSION=1.2
artifacts: {files: [out.txt, buildspec.yml]}
"#;
        site.input("Source", &[("buildspec.yml", buildspec)]);
        site.input("Lib", &[("lib.txt", "from the library")]);
        let variables = json!([{"name": "STAGE", "value": "beta", "type": "PLAINTEXT"}]);
        let configuration = json!({"PrimarySource": "Source",
            "EnvironmentVariables": variables.to_string()});
        // Another fleet's is nobody's here.
        let mut foreign = job(&["Source"], &[], &json!({}));
        foreign.configuration["Fleet"] = "mac".into();
        site.pipelines.add("foreign", &foreign);
        let own = job(&["Lib", "Source"], &["Built"], &configuration);
        site.pipelines.add("own", &own);
        let worker = site.worker();
        site.pipelines.wait_for("PutJobSuccessResult", 1);
        let build = site.build().await;
        site.end(worker);
        let operations = site.pipelines.operations();
        assert_eq!(
            operations.first().map(String::as_str),
            Some("AcknowledgeJob")
        );
        let calls = site.pipelines.calls();
        assert!(calls.iter().all(|call| call.input["jobId"] == "own"));
        let puts: Vec<_> = calls.iter().filter(|call| is_put(call)).collect();
        assert_eq!(puts.len(), 1, "{puts:?}");
        let answer = &puts[0].input;
        assert_eq!(
            answer["outputVariables"],
            json!({"VERSION": "1.2", "STAGE": "beta"})
        );
        let id = build.id.to_string();
        assert_eq!(answer["executionDetails"]["externalExecutionId"], id);
        assert!(answer["continuationToken"].is_null());
        let output = fs::read(site.object("Built")).expect("the output is there");
        assert_eq!(files(&output), ["buildspec.yml", "out.txt"]);
        assert_eq!(build.request.initiator, "codepipeline/rel");
        let shown = json!(build.request.effective());
        assert_eq!(shown["source"]["type"], "CODEPIPELINE");
        assert_eq!(
            shown["artifacts"]["location"],
            "arn:aws:s3:::pipe-bkt/rel/Built/AbC123x"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_outputs_are_encrypted_with_the_pipelines_key() {
    let site = Site::new(Engine::Sqlite).await;
    let moto = Moto::start();
    moto.create_bucket(BUCKET);
    let buildspec = "
version: 0.2
phases: {build: {commands: [echo one > one, echo two > two]}}
artifacts:
  files: ['**/*']
  secondary-artifacts: {One: {files: [one]}, Two: {files: [two]}}
";
    let input = archive(&[("buildspec.yml", buildspec)]);
    let path = format!("/{BUCKET}/{}", key("Source"));
    assert_eq!(moto.s3("PUT", &path, &input).status, 200);
    let key_id = "arn:aws:kms:us-east-1:123456789012:key/1234";
    let mut job = job(&["Source"], &["One", "Two"], &json!({}));
    job.encryption_key = Some(key_id.to_owned());
    site.pipelines.add("1", &job);
    let worker = site.worker_with(&moto.endpoint());
    let answer = site.pipelines.wait_for("PutJobSuccessResult", 1);
    assert!(answer.input["outputVariables"].is_null());
    for (output, file) in [("One", "one"), ("Two", "two")] {
        let object = moto.s3("GET", &format!("/{BUCKET}/{}", key(output)), b"");
        assert_eq!(files(&object.body), [file]);
        assert_eq!(
            object.header("x-amz-server-side-encryption-aws-kms-key-id"),
            Some(key_id)
        );
    }
    site.end(worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_answered_with_whose_fault_it_is() {
    let site = Site::new(Engine::Sqlite).await;
    let buildspec = "{version: 0.2, phases: {build: {commands: ['exit 3']}}}";
    site.input("Source", &[("buildspec.yml", buildspec)]);
    let source = ["Source"];
    for (id, job) in [
        ("fails", job(&source, &[], &json!({}))),
        ("no-source", job(&["None"], &[], &json!({}))),
        ("batch", job(&source, &[], &json!({"BatchEnabled": "true"}))),
        (
            "no-project",
            job(&source, &[], &json!({"ProjectName": "none"})),
        ),
    ] {
        site.pipelines.add(id, &job);
    }
    let worker = site.worker();
    site.pipelines.wait_for("PutJobFailureResult", 4);
    let calls = site.pipelines.calls();
    for (id, kind, message) in [
        (
            "fails",
            "JobFailed",
            "FAILED in BUILD: COMMAND_EXECUTION_ERROR",
        ),
        (
            "no-source",
            "ConfigurationError",
            "FAILED in DOWNLOAD_SOURCE",
        ),
        (
            "batch",
            "ConfigurationError",
            "BatchEnabled is not supported",
        ),
        (
            "no-project",
            "ConfigurationError",
            "Project cannot be found",
        ),
    ] {
        let of_job = calls.iter().filter(|call| call.input["jobId"] == id);
        let puts: Vec<_> = of_job.filter(|call| is_put(call)).collect();
        assert_eq!(puts.len(), 1, "{id}: {puts:?}");
        let details = &puts[0].input["failureDetails"];
        assert_eq!(details["type"], kind, "{id}: {details}");
        let text = details["message"].as_str().expect("a message");
        assert!(text.contains(message), "{id}: {text}");
    }
    site.end(worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_denied_is_a_matter_of_permissions() {
    const DENIED: fault_proxy::Fault = fault_proxy::Fault::Answer(
        403,
        "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>",
    );
    let site = Site::new(Engine::Sqlite).await;
    let buildspec =
        "{version: 0.2, phases: {build: {commands: ['true']}}, artifacts: {files: ['*']}}";
    site.input("Source", &[("buildspec.yml", buildspec)]);
    let proxy = FaultProxy::start(site.bucket.address());
    proxy.set(DENIED);
    let worker = site.worker_with(&proxy.endpoint());
    for (id, artifact, phase) in [
        ("in", "Source", "DOWNLOAD_SOURCE"),
        ("out", "Built", "UPLOAD_ARTIFACTS"),
    ] {
        proxy.only(&key(artifact));
        site.pipelines
            .add(id, &job(&["Source"], &["Built"], &json!({})));
        let count = if id == "in" { 1 } else { 2 };
        let answer = site.pipelines.wait_for("PutJobFailureResult", count).input;
        assert_eq!(answer["jobId"], id);
        let details = &answer["failureDetails"];
        assert_eq!(details["type"], "PermissionError", "{details}");
        let text = details["message"].as_str().expect("a message");
        let is_told = text.contains(phase) && text.contains("AccessDenied");
        assert!(is_told, "{id}: {text}");
    }
    site.end(worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_the_agents_fault_is_told_as_such() {
    let buildspec = "{version: 0.2, phases: {build: {commands: ['sleep 600']}}}";
    for label in ["the container is killed", "the worker is lost"] {
        let site = Site::new(Engine::Sqlite).await;
        site.input("Source", &[("buildspec.yml", buildspec)]);
        site.pipelines.add("1", &job(&["Source"], &[], &json!({})));
        let mut worker = site.worker();
        site.until_it_runs().await;
        let elsewhere = Project::empty();
        if label == "the worker is lost" {
            worker.signal(Signal::SIGKILL);
            worker.finish();
            let s3 = site.bucket.endpoint();
            worker = Running::start(site.command(&elsewhere, &["worker"], &s3));
        }
        engine::docker(&["kill", &site.project.containers()[0]]);
        let answer = site.pipelines.wait_for("PutJobFailureResult", 1).input;
        let details = &answer["failureDetails"];
        assert_eq!(details["type"], "SystemUnavailable", "{label}: {details}");
        let build = site.build().await;
        assert_eq!(build.status, "FAULT", "{label}");
        assert_eq!(details["externalExecutionId"], build.id.to_string());
        site.end(worker);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_go_to_the_fleet_that_they_name() {
    let site = Site::new(Engine::Sqlite).await;
    let buildspec = "{version: 0.2, phases: {build: {commands: ['true']}}}";
    site.input("Source", &[("buildspec.yml", buildspec)]);
    for fleet in ["linux", "mac", "win"] {
        let configuration = json!({"Fleet": fleet});
        site.pipelines
            .add(fleet, &job(&["Source"], &[], &configuration));
    }
    for (count, fleet, lines) in [
        (1, "mac", "fleet = \"mac\"\n"),
        (2, "win", "fleet = \"win\"\n"),
        // Without one, all that is left.
        (3, "linux", ""),
    ] {
        site.configure(lines);
        let worker = site.worker();
        let answer = site.pipelines.wait_for("PutJobSuccessResult", count);
        assert_eq!(answer.input["jobId"], fleet);
        site.end(worker);
    }
    let operations = site.pipelines.operations().into_iter();
    let taken = operations.filter(|operation| operation == "AcknowledgeJob");
    assert_eq!(taken.count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_takes_jobs_too() {
    let site = Site::new(Engine::Sqlite).await;
    let buildspec = "{version: 0.2, phases: {build: {commands: ['true']}}}";
    site.input("Source", &[("buildspec.yml", buildspec)]);
    site.pipelines.add("1", &job(&["Source"], &[], &json!({})));
    let arguments = ["server", "--listen", "127.0.0.1:0"];
    let s3 = site.bucket.endpoint();
    let server = Running::start(site.command(&site.project, &arguments, &s3));
    site.pipelines.wait_for("PutJobSuccessResult", 1);
    assert_eq!(site.build().await.status, "SUCCEEDED");
    site.end(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_worker_of_a_pipeline_ends_at_once_when_it_drains() {
    let site = Site::new(Engine::Sqlite).await;
    let address = site.pipelines.url();
    let proxy = FaultProxy::start(address.trim_start_matches("http://"));
    proxy.only("PollForJobs");
    proxy.set(fault_proxy::Fault::Hang);
    let mut command = site.command(&site.project, &["worker"], &site.bucket.endpoint());
    command.env("AWS_ENDPOINT_URL_CODEPIPELINE", proxy.endpoint());
    let worker = Running::start(command);
    proxy.wait_for("PollForJobs", 1);
    // The question is never answered.
    let said = site.end(worker);
    assert!(!said.contains("nothing is taken"), "{said}");
    assert_eq!(proxy.seen().len(), 1, "{:?}", proxy.seen());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_given_until_the_pipeline_has_it() {
    let site = Site::new(Engine::Sqlite).await;
    let buildspec = "{version: 0.2, phases: {build: {commands: ['sleep 3']}}}";
    site.input("Source", &[("buildspec.yml", buildspec)]);
    // Each client of AWS tries five times by itself.
    for _ in 0..5 {
        site.pipelines
            .fail_next("PutJobSuccessResult", Fault::Broken);
    }
    site.pipelines
        .fail_next("PutJobSuccessResult", Fault::Unanswered);
    site.pipelines
        .fail_next("AcknowledgeJob", Fault::Unanswered);
    site.pipelines.fail_next("GetJobDetails", Fault::Throttled);
    site.pipelines.add("1", &job(&["Source"], &[], &json!({})));
    let worker = site.worker();
    site.pipelines.wait_for("GetJobDetails", 3);
    // Whoever comes next gives the answer.
    worker.signal(Signal::SIGKILL);
    worker.finish();
    let worker = site.worker();
    site.pipelines.wait_for("PutJobSuccessResult", 7);
    let said = site.end(worker);
    assert!(
        said.contains("nobody waits for the answer to job 1"),
        "{said}"
    );
    let is_taken = |call: &&Call| is_put(call) && !call.failed;
    let calls = site.pipelines.calls();
    assert_eq!(
        calls.iter().filter(is_taken).count(),
        0,
        "its answer was lost"
    );
    assert_eq!(site.build().await.status, "SUCCEEDED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_nobody_wants_any_more_stops_its_build() {
    let site = Site::new(Engine::Sqlite).await;
    let buildspec = "{version: 0.2, phases: {build: {commands: ['sleep 600']}}}";
    site.input("Source", &[("buildspec.yml", buildspec)]);
    site.pipelines.add("1", &job(&["Source"], &[], &json!({})));
    let worker = site.worker();
    site.until_it_runs().await;
    let id = site.build().await.id;
    site.pipelines.cancel("1");
    // A minute later.
    site.test.run("UPDATE arrivals SET look_at = 0").await;
    let build = site.test.ended(&id).await;
    assert_eq!(build.status, "STOPPED");
    site.end(worker);
    let calls = site.pipelines.calls();
    assert!(!calls.iter().any(is_put), "{calls:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_left_half_way_is_taken_up() {
    let site = Site::new(Engine::Sqlite).await;
    let buildspec = "{version: 0.2, phases: {build: {commands: ['true']}}}";
    site.input("Source", &[("buildspec.yml", buildspec)]);
    // The worker dies between its acknowledgement and the build.
    for _ in 0..5 {
        site.pipelines.fail_next("GetJobDetails", Fault::Broken);
    }
    site.pipelines.add("1", &job(&["Source"], &[], &json!({})));
    let worker = site.worker();
    site.pipelines.wait_for("GetJobDetails", 1);
    worker.signal(Signal::SIGKILL);
    worker.finish();
    site.test.run("UPDATE arrivals SET held_until = 0").await;
    let worker = site.worker();
    site.pipelines.wait_for("PutJobSuccessResult", 1);
    assert_eq!(site.build().await.status, "SUCCEEDED");
    site.end(worker);
}
