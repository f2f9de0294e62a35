//! Docker inside builds: images are built, pushed, and run by the next build, however the operator lets
//! builds have Docker.

use std::fs;
use std::path::PathBuf;

use tests::aws::Moto;
use tests::registry::{LOGIN, Registry};
use tests::{Finished, Image, Project, Running, engine};

/// Logs in, builds, tags and pushes, and tells ECS what to take.
const BUILDSPEC: &str = r#"
version: 0.2
phases:
  pre_build:
    commands:
      - echo "$REGISTRY_PASSWORD" | docker login --username "$REGISTRY_USER" --password-stdin "$REGISTRY"
      - sh make-root.sh root
  build:
    commands:
      - docker build --tag app .
      - docker tag app "$REGISTRY/$REPOSITORY:1"
      - docker push "$REGISTRY/$REPOSITORY:1"
  post_build:
    commands:
      - printf '[{"name":"app","imageUri":"%s"}]' "$REGISTRY/$REPOSITORY:1" >imagedefinitions.json
artifacts:
  files: [imagedefinitions.json]
"#;

/// Makes the root of an image that holds a shell and nothing else.
const MAKE_ROOT: &str = r#"
set -e
mkdir -p "$1/bin"
cp /bin/dash "$1/bin/sh"
for file in $(ldd /bin/dash | grep -o '/[^ ]*'); do
    mkdir -p "$1$(dirname "$file")"
    cp -L "$file" "$1$file"
done
"#;

const DOCKERFILE: &str = "
FROM scratch
COPY root /
RUN echo built-by-a-build >/made
ENV PUSHED=yes
";

fn project(registry: &str, repository: &str) -> Project {
    let variables = format!("REGISTRY={registry}\nREPOSITORY={repository}\n");
    let project = Project::new(BUILDSPEC)
        .with_file("make-root.sh", MAKE_ROOT)
        .with_file("Dockerfile", DOCKERFILE);
    let (user, password) = LOGIN;
    let variables = format!("{variables}REGISTRY_USER={user}\nREGISTRY_PASSWORD={password}\n");
    fs::write(project.root().join("variables"), variables)
        .expect("a file can be written in one\'s own directory");
    project
}

fn configuration(project: &Project, text: &str) -> String {
    let path = project.root().join("config.toml");
    fs::write(&path, text).expect("a file can be written in one\'s own directory");
    path.to_str().expect("temporary paths are UTF-8").to_owned()
}

/// The image for builds with Docker, whose daemon trusts the registry of the tests.
fn docker_image(registry: &str) -> Image {
    let settings = format!(r#"{{"insecure-registries": ["{registry}"]}}"#);
    Image::with_file_on(
        "buildspec-agent/docker:latest",
        "/etc/docker/daemon.json",
        &settings,
    )
}

/// Runs the build that pushes.
fn push(project: &Project, config: &str, image: &str, arguments: &[&str]) -> Finished {
    let variables = project.root().join("variables");
    let variables = variables.to_str().expect("temporary paths are UTF-8");
    let standard = [
        "--config",
        config,
        "--image",
        image,
        "--env-file",
        variables,
        "--mask",
        "REGISTRY_PASSWORD",
    ];
    let finished = project.run(&[&standard, arguments].concat());
    assert_eq!(
        finished.exit_code,
        Some(0),
        "{}\n{}",
        finished.log(),
        finished.stderr
    );
    assert!(!finished.text().contains(LOGIN.1), "the password is shown");
    finished
}

/// What ECS is told to take.
fn image_definition(project: &Project) -> String {
    String::from_utf8(project.artifacts()["imagedefinitions.json"].clone())
        .expect("the build writes UTF-8")
}

/// Runs a build in a pushed image, pulled by its registry's login.
fn run_in(image: &str, config: &str) -> Finished {
    let project = Project::new(
        "version: 0.2\nphases: {build: {commands: [read made </made, 'echo $made $PUSHED']}}\n",
    );
    let secrets = secrets_file(&project);
    let description = format!(
        r#"{{"name": "second", "source": {{"type": "NO_SOURCE"}}, "artifacts": {{"type": "NO_ARTIFACTS"}},
            "logsConfig": {{"cloudWatchLogs": {{"status": "DISABLED"}}}},
            "environment": {{"type": "LINUX_CONTAINER", "computeType": "BUILD_GENERAL1_SMALL", "image": "{image}",
                "imagePullCredentialsType": "SERVICE_ROLE",
                "registryCredential": {{"credential": "registry", "credentialProvider": "SECRETS_MANAGER"}}}}}}"#
    );
    let file = project.root().join("project.json");
    fs::write(&file, description).expect("a file can be written in one\'s own directory");
    project.run(&[
        "--config",
        config,
        "--project-file",
        file.to_str().expect("temporary paths are UTF-8"),
        "--secrets-file",
        secrets.to_str().expect("temporary paths are UTF-8"),
    ])
}

fn secrets_file(project: &Project) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let (user, password) = LOGIN;
    let path = project.root().join("secrets.yml");
    let text =
        format!("secrets-manager:\n  registry: {{username: {user}, password: {password}}}\n");
    fs::write(&path, text).expect("a file can be written in one\'s own directory");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("one's own file");
    path
}

fn assert_runs(image: &str) {
    let project = Project::empty();
    let config = configuration(&project, "");
    let finished = run_in(image, &config);
    assert_eq!(
        finished.output(),
        ["built-by-a-build yes"],
        "{}\n{}",
        finished.log(),
        finished.stderr
    );
    assert!(
        finished.log().contains("Pulling image "),
        "{}",
        finished.log()
    );
    engine::remove_image(image);
}

#[test]
fn an_image_is_built_by_an_engine_inside_the_build_pushed_and_run_by_the_next() {
    let registry = Registry::start();
    let name = registry.for_containers();
    let image = docker_image(&name);
    let project = project(&name, "inside");
    let config = configuration(&project, "privileged_mode = 'host-capabilities'");
    push(&project, &config, image.name(), &["--privileged"]);
    assert_eq!(
        image_definition(&project),
        format!(r#"[{{"name":"app","imageUri":"{name}/inside:1"}}]"#)
    );
    assert_runs(&format!("{}/inside:1", registry.for_host()));
}

#[test]
fn an_image_is_built_on_the_engine_of_this_machine_where_the_operator_allows_it() {
    let registry = Registry::start();
    let name = registry.for_host();
    let repository = format!("socket-{}", std::process::id());
    let project = project(&name, &repository);
    let config = configuration(&project, "privileged_mode = 'docker-socket'");
    push(
        &project,
        &config,
        "buildspec-agent/docker:latest",
        &["--privileged"],
    );
    let pushed = format!("{name}/{repository}:1");
    for image in ["app", &pushed] {
        engine::remove_image(image);
    }
    assert_runs(&pushed);
}

#[test]
fn the_aws_cli_of_a_build_logs_docker_in_to_ecr_with_the_role_of_the_project() {
    // The build reaches this machine only at the address of its way out.
    let (moto, registry) = (Moto::start_on("0.0.0.0"), Registry::start());
    let port = moto.address().rsplit(':').next().unwrap_or_default();
    let ecr = format!("http://{}:{port}", engine::host_address());
    let name = registry.for_host();
    let repository = format!("ecr-{}", std::process::id());
    let login = format!(
        "aws --endpoint-url {ecr} ecr get-login-password | docker login --username AWS --password-stdin {name}"
    );
    let pushed = format!("{name}/{repository}:1");
    let buildspec = format!(
        "version: 0.2\nphases:\n  build:\n    commands:\n      - {login}\n      - sh make-root.sh root\n      - docker build --tag {pushed} .\n      - docker push {pushed}\n"
    );
    let project = Project::new(&buildspec)
        .with_file("make-root.sh", MAKE_ROOT)
        .with_file("Dockerfile", DOCKERFILE);
    let config = configuration(&project, "privileged_mode = 'docker-socket'");
    let role = "arn:aws:iam::123456789012:role/service-role/images";
    let mut command = project.build_command(&[
        "--config",
        &config,
        "--image",
        "buildspec-agent/docker:latest",
        "--privileged",
        "--service-role",
        role,
    ]);
    command.envs(moto.environment());
    let finished = Running::start(command).finish();
    project.assert_clean();
    engine::remove_image(&pushed);
    assert_eq!(
        finished.exit_code,
        Some(0),
        "{}\n{}",
        finished.log(),
        finished.stderr
    );
    assert_runs(&pushed);
}

#[test]
fn a_docker_server_keeps_its_layers_from_build_to_build_and_runs_only_during_them() {
    let registry = Registry::start();
    let name = registry.for_containers();
    let image = docker_image(&name);
    let project = project(&name, "server");
    let config = configuration(
        &project,
        &format!(
            "[docker_server]\nprivileges = 'host-capabilities'\nimage = '{}'\n",
            image.name()
        ),
    );
    let first = push(&project, &config, image.name(), &["--docker-server"]);
    assert!(!first.log().contains("Using cache"), "{}", first.log());
    let second = push(&project, &config, image.name(), &["--docker-server"]);
    assert!(second.log().contains("Using cache"), "{}", second.log());
    assert_runs(&format!("{}/server:1", registry.for_host()));
}

#[test]
fn the_local_docker_layer_cache_keeps_the_layers_of_an_engine_inside_the_build() {
    let project = Project::new(
        "version: 0.2\nphases: {build: {commands: [sh make-root.sh root, docker build --tag app .]}}\n",
    )
    .with_file("make-root.sh", MAKE_ROOT)
    .with_file("Dockerfile", DOCKERFILE);
    let allowed = "privileged_mode = 'host-capabilities'";
    let config = configuration(&project, allowed);
    let file = project.root().join("project.json");
    fs::write(
        &file,
        r#"{"name": "layers", "source": {"type": "NO_SOURCE"}, "artifacts": {"type": "NO_ARTIFACTS"},
            "logsConfig": {"cloudWatchLogs": {"status": "DISABLED"}},
            "serviceRole": "arn:aws:iam::123456789012:role/r",
            "cache": {"type": "LOCAL", "modes": ["LOCAL_DOCKER_LAYER_CACHE"]},
            "environment": {"type": "LINUX_CONTAINER", "computeType": "BUILD_GENERAL1_SMALL",
                "image": "buildspec-agent/docker:latest", "privilegedMode": true}}"#,
    )
    .unwrap();
    let arguments = [
        "--config",
        &config,
        "--project-file",
        file.to_str().unwrap(),
    ];
    let source = project.source();
    let run = || {
        let mut command = project.agent(&["run"]);
        command.arg(&source).args(arguments).arg("--json");
        let finished = Running::start(command).finish();
        project.assert_clean();
        assert_eq!(
            finished.exit_code,
            Some(0),
            "{}\n{}",
            finished.log(),
            finished.stderr
        );
        finished.log()
    };
    let first = run();
    assert!(!first.contains("Using cache"), "{first}");
    let second = run();
    assert!(second.contains("Using cache"), "{second}");
    configuration(&project, &format!("{allowed}\ndocker_layers_limit_gib = 0"));
    run();
    let data = fs::canonicalize(project.data_directory()).unwrap();
    assert_eq!(
        engine::volumes_of(&data),
        [""; 0],
        "layers beyond the limit are kept"
    );
}

#[test]
fn a_build_that_calls_docker_without_having_it_is_told_which_switch_to_set() {
    let project = Project::new("version: 0.2\nphases: {build: {commands: [docker ps]}}\n");
    for (config, switch) in [
        ("", "`privileged_mode` in the configuration"),
        ("privileged_mode = 'host-capabilities'", "privilegedMode"),
        (
            "docker_server.privileges = 'host-capabilities'",
            "dockerServer",
        ),
    ] {
        let config = configuration(&project, config);
        let arguments = [
            "--config",
            &config,
            "--image",
            "buildspec-agent/docker:latest",
        ];
        let finished = project.run(&arguments);
        let log = finished.log();
        let told: Vec<&str> = log
            .lines()
            .filter(|line| line.contains("Docker is not available in this build"))
            .collect();
        assert_eq!(told.len(), 1, "{log}");
        assert!(told[0].contains(switch), "{switch}: {}", told[0]);
    }
}

#[test]
fn a_docker_server_is_refused_unless_the_configuration_allows_it() {
    let project = Project::new("version: 0.2\nphases: {build: {commands: ['true']}}\n");
    let finished = project.run(&["--docker-server"]);
    assert_eq!(finished.exit_code, Some(2));
    assert!(
        finished.stderr.contains("docker_server"),
        "{}",
        finished.stderr
    );
}
