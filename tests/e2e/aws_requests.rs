//! What a build asks AWS for: no more than its configuration needs, and nothing that `doctor` does not name.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};
use tests::aws::{KEYS, Moto, environment};
use tests::fault_proxy::FaultProxy;
use tests::{AwsRequest, Finished, Project, Running};

const ROLE: &str = "arn:aws:iam::123456789012:role/service-role/demo";

/// Does nothing.
const PLAIN: &str = "{version: 0.2, phases: {build: {commands: ['true']}}}";

/// A build, and what it may ask for.
struct Case {
    label: &'static str,
    buildspec: &'static str,
    overrides: Value,
    arguments: &'static [&'static str],
    /// Sorted; each once, however often it is asked for.
    actions: &'static [&'static str],
    /// How many requests that takes at most.
    requests: usize,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            label: "",
            buildspec: PLAIN,
            overrides: json!({}),
            arguments: &[],
            actions: &[],
            requests: usize::MAX,
        }
    }
}

/// AWS behind a proxy that notes what is asked for.
struct Endpoint {
    moto: Moto,
    proxy: FaultProxy,
}

impl Endpoint {
    fn start() -> Self {
        let moto = Moto::start();
        let proxy = FaultProxy::start(moto.address());
        Self { moto, proxy }
    }

    /// Runs an agent's command with the options of a case.
    fn run(&self, command: &[&str], project: &Project, case: &Case) -> Finished {
        let path = project.root().join("overrides.json");
        fs::write(&path, case.overrides.to_string()).expect("one's own directory");
        let mut command = project.agent(command);
        command
            .args(["--json", "--project", "demo", "--overrides"])
            .arg(&path)
            .args(case.arguments)
            .envs(environment(&self.proxy.endpoint()));
        if case.overrides.get("sourceTypeOverride").is_none() {
            command.arg(project.source());
        }
        Running::start(command).finish()
    }

    /// What was asked for since so many requests.
    fn since(&self, before: usize) -> Vec<AwsRequest> {
        self.proxy.signed().split_off(before)
    }
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn cases() -> Vec<Case> {
    let artifacts = |bucket: &str| json!({"type": "S3", "location": bucket, "name": "n"});
    let cache = json!({"type": "S3", "location": "bucket/cache"});
    vec![
        Case {
            label: "nothing of AWS",
            ..Case::default()
        },
        Case {
            label: "a role",
            arguments: &["--service-role", ROLE],
            actions: &["sts:AssumeRole"],
            requests: 1,
            ..Case::default()
        },
        Case {
            label: "parameters and secrets",
            buildspec: "{version: 0.2, env: {parameter-store: {A: /ci/a, B: /ci/b}, secrets-manager: {C: 'db:user', D: 'db:password'}}, phases: {build: {commands: ['true']}}}",
            actions: &["secretsmanager:GetSecretValue", "ssm:GetParameters"],
            requests: 2,
            ..Case::default()
        },
        Case {
            label: "artifacts, small and in parts",
            buildspec: "{version: 0.2, phases: {build: {commands: ['echo > small', 'head -c 20000000 /dev/urandom > large']}}, artifacts: {files: [small, large]}}",
            overrides: json!({"artifactsOverride": artifacts("bucket")}),
            actions: &["s3:PutObject"],
            ..Case::default()
        },
        Case {
            label: "a cache",
            buildspec: "{version: 0.2, phases: {build: {commands: ['mkdir d', 'echo > d/f']}}, cache: {paths: ['d/**/*']}}",
            overrides: json!({"cacheOverride": cache}),
            actions: &["s3:GetObject", "s3:PutObject"],
            ..Case::default()
        },
        Case {
            label: "a cache with fallback keys",
            buildspec: "{version: 0.2, phases: {build: {commands: ['true']}}, cache: {key: k, fallback-keys: [f], action: restore, paths: ['d/**/*']}}",
            overrides: json!({"cacheOverride": cache}),
            actions: &["s3:GetObject", "s3:ListBucket"],
            ..Case::default()
        },
        Case {
            label: "a log in CloudWatch Logs",
            overrides: json!({"logsConfigOverride": {"cloudWatchLogs": {"status": "ENABLED"}}}),
            actions: &[
                "logs:CreateLogGroup",
                "logs:CreateLogStream",
                "logs:PutLogEvents",
            ],
            ..Case::default()
        },
        Case {
            label: "a log in S3",
            overrides: json!({"logsConfigOverride": {"cloudWatchLogs": {"status": "DISABLED"}, "s3Logs": {"status": "ENABLED", "location": "bucket/logs"}}}),
            actions: &["s3:PutObject"],
            ..Case::default()
        },
        Case {
            label: "a source in an archive",
            overrides: json!({"sourceTypeOverride": "S3", "sourceLocationOverride": "bucket/source.zip", "buildspecOverride": PLAIN}),
            actions: &["s3:GetObject"],
            ..Case::default()
        },
        Case {
            label: "a source in a folder",
            overrides: json!({"sourceTypeOverride": "S3", "sourceLocationOverride": "bucket/source/", "buildspecOverride": PLAIN}),
            actions: &["s3:GetObject", "s3:ListBucket"],
            ..Case::default()
        },
        Case {
            label: "a buildspec in S3",
            arguments: &["--buildspec", "arn:aws:s3:::bucket/source/buildspec.yml"],
            actions: &["s3:GetObject"],
            ..Case::default()
        },
        Case {
            label: "a certificate",
            overrides: json!({"certificateOverride": "bucket/authority.pem"}),
            actions: &["s3:GetObject"],
            ..Case::default()
        },
    ]
}

#[test]
fn a_build_asks_aws_for_what_it_needs_and_doctor_names_all_of_it() {
    let endpoint = Endpoint::start();
    let moto = &endpoint.moto;
    moto.create_bucket("bucket");
    moto.s3("PUT", "/bucket/source/buildspec.yml", PLAIN.as_bytes());
    moto.s3("PUT", "/bucket/source.zip", &archive());
    let certificate = tests::GitServer::with_self_signed_certificate().certificate();
    moto.s3("PUT", "/bucket/authority.pem", certificate.as_bytes());
    for name in ["/ci/a", "/ci/b"] {
        let parameter = json!({"Name": name, "Value": "v", "Type": "SecureString"});
        moto.call("AmazonSSM.PutParameter", &parameter);
    }
    let secret = json!({"Name": "db", "SecretString": r#"{"user": "u", "password": "p"}"#});
    moto.call("secretsmanager.CreateSecret", &secret);
    for case in cases() {
        let label = case.label;
        let project = Project::new(case.buildspec);
        let before = endpoint.proxy.signed().len();
        let finished = endpoint.run(&["run"], &project, &case);
        project.assert_clean();
        assert_eq!(
            finished.exit_code,
            Some(0),
            "{label}: {}{}",
            finished.text(),
            finished.stderr
        );
        let requests = endpoint.since(before);
        assert!(requests.len() <= case.requests, "{label}: {requests:?}");
        let asked: BTreeSet<String> = requests.into_iter().map(|it| it.action).collect();
        let expected = case.actions.iter().map(|action| (*action).to_owned());
        assert_eq!(asked, expected.collect(), "{label}");
        let doctor = endpoint.run(&["doctor"], &project, &case);
        assert_eq!(doctor.exit_code, Some(0), "{label}: {}", doctor.text());
        let named = named(&doctor);
        assert!(asked.is_subset(&named), "{label}: {asked:?} in {named:?}");
    }
}

#[test]
fn a_role_is_assumed_once_for_all_that_a_build_does() {
    let endpoint = Endpoint::start();
    endpoint.moto.create_bucket("bucket");
    let case = Case {
        buildspec: "{version: 0.2, phases: {build: {commands: ['mkdir d', 'echo > d/f']}}, artifacts: {files: [d/f]}, cache: {paths: ['d/**/*']}}",
        overrides: json!({
            "artifactsOverride": {"type": "S3", "location": "bucket", "name": "n"},
            "cacheOverride": {"type": "S3", "location": "bucket/cache"},
            "logsConfigOverride": {"cloudWatchLogs": {"status": "ENABLED"},
                                   "s3Logs": {"status": "ENABLED", "location": "bucket/logs"}},
            "certificateOverride": "bucket/authority.pem",
        }),
        arguments: &["--service-role", ROLE],
        ..Case::default()
    };
    let certificate = tests::GitServer::with_self_signed_certificate().certificate();
    endpoint
        .moto
        .s3("PUT", "/bucket/authority.pem", certificate.as_bytes());
    let project = Project::new(case.buildspec);
    let finished = endpoint.run(&["run"], &project, &case);
    project.assert_clean();
    assert_eq!(finished.exit_code, Some(0), "{}", finished.stderr);
    let asked = endpoint.proxy.signed();
    let assumed = asked.iter().filter(|it| it.action == "sts:AssumeRole");
    assert_eq!(assumed.count(), 1, "{asked:?}");
    assert!(asked.len() > 8, "{asked:?}");
}

#[test]
fn images_are_pulled_with_the_credentials_that_the_project_says() {
    let endpoint = Endpoint::start();
    let secret = json!({"Name": "hub", "SecretString": r#"{"username": "u", "password": "p"}"#});
    endpoint.moto.call("secretsmanager.CreateSecret", &secret);
    let ecr = "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:1";
    let credential = json!({"credential": "hub", "credentialProvider": "SECRETS_MANAGER"});
    for (image, overrides, action, by_agent) in [
        (
            ecr,
            json!({"imagePullCredentialsTypeOverride": "CODEBUILD"}),
            "ecr:GetAuthorizationToken",
            true,
        ),
        (
            ecr,
            json!({"imagePullCredentialsTypeOverride": "SERVICE_ROLE"}),
            "ecr:GetAuthorizationToken",
            false,
        ),
        (
            "127.0.0.1:1/app:1",
            json!({"imagePullCredentialsTypeOverride": "SERVICE_ROLE", "registryCredentialOverride": credential}),
            "secretsmanager:GetSecretValue",
            false,
        ),
    ] {
        let mut case = Case {
            overrides,
            arguments: &["--service-role", ROLE],
            ..Case::default()
        };
        case.overrides["imageOverride"] = image.into();
        let project = Project::new(PLAIN);
        let before = endpoint.proxy.signed().len();
        let finished = endpoint.run(&["run"], &project, &case);
        project.assert_clean();
        let context = finished.context("PROVISIONING");
        assert!(
            context.starts_with("BUILD_CONTAINER_UNABLE_TO_PULL_IMAGE: "),
            "{context}"
        );
        let requests = endpoint.since(before);
        let asked: Vec<_> = requests.iter().filter(|it| it.action == action).collect();
        let [asked] = asked[..] else {
            panic!("{image}: {requests:?}")
        };
        assert_eq!(asked.access_key_id == KEYS.0, by_agent, "{requests:?}");
        let named = named(&endpoint.run(&["doctor"], &project, &case));
        for request in requests {
            assert!(named.contains(&request.action), "{request:?} in {named:?}");
        }
    }
}

#[test]
fn doctor_proves_that_containers_find_the_data_directory() {
    let project = Project::new(PLAIN);
    let mut command = project.agent(&["doctor", "--json"]);
    command.arg(project.source());
    let finished = Running::start(command).finish();
    project.assert_clean();
    let told: Value = serde_json::from_str(&finished.text()).expect("JSON");
    let checks = told["checks"].as_array().expect("a list");
    let found = checks
        .iter()
        .find(|check| check["check"] == "data directory in containers");
    let found = found.expect("it is looked at");
    assert_eq!(found["ok"], true, "{found}");
    assert_eq!(found["message"], "where this program has it");
}

/// The actions that `doctor` names.
fn named(doctor: &Finished) -> BTreeSet<String> {
    let told: Value = serde_json::from_str(&doctor.text()).expect("doctor tells JSON");
    let permissions = told["permissions"].as_array().expect("a list");
    let actions = permissions
        .iter()
        .filter_map(|permission| permission["action"].as_str());
    actions.map(str::to_owned).collect()
}

/// An archive with a buildspec.
fn archive() -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    archive
        .start_file("buildspec.yml", options)
        .expect("it is new");
    std::io::Write::write_all(&mut archive, PLAIN.as_bytes()).expect("memory");
    archive.finish().expect("it is whole").into_inner()
}
