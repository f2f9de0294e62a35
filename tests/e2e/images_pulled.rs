//! Images that the engine lacks: where they come from, and what is said when they do not.

use std::fs;

use serde_json::json;
use tests::aws::Moto;
use tests::fault_proxy::{Fault, FaultProxy};
use tests::registry::{LOGIN, Registry};
use tests::{Finished, Project, Running, engine};

const BUILDSPEC: &str = "version: 0.2\nphases: {build: {commands: [echo ran]}}\n";

/// Puts the test image into a registry, with Docker's own command line.
fn push(registry: &Registry, repository: &str) {
    let host = registry.for_host();
    let home = tempfile::tempdir().expect("a temporary directory can be made");
    let config = home.path().to_str().expect("temporary paths are UTF-8");
    let name = format!("{host}/{repository}");
    engine::docker(&["tag", &engine::test_image(), &name]);
    let (user, password) = LOGIN;
    engine::docker(&[
        "--config",
        config,
        "login",
        "--username",
        user,
        "--password",
        password,
        &host,
    ]);
    engine::docker(&["--config", config, "push", &name]);
    engine::remove_image(&name);
}

fn run(project: &Project, config: &str, image: &str, environment: &[(&str, String)]) -> Finished {
    let path = project.root().join("config.toml");
    fs::write(&path, config).expect("a file can be written in one\'s own directory");
    let mut command = project.build_command(&[
        "--image",
        image,
        "--config",
        path.to_str().expect("temporary paths are UTF-8"),
    ]);
    command.envs(environment.iter().map(|(name, value)| (*name, value)));
    let finished = Running::start(command).finish();
    project.assert_clean();
    finished
}

#[test]
fn an_image_of_ecr_is_pulled_with_a_login_of_ecrs_through_a_mirror_of_ones_own() {
    let (moto, registry) = (Moto::start(), Registry::start());
    push(&registry, "app:1");
    let ecr = "123456789012.dkr.ecr.us-east-1.amazonaws.com";
    let image = format!("{ecr}/app:1");
    let project = Project::new(BUILDSPEC);
    let config = |login| {
        let mirror = registry.for_host();
        format!("[registries.'{ecr}']\nmirrors = ['{mirror}']\nlogin_to_mirrors = {login}\n")
    };
    let finished = run(&project, &config(true), &image, &moto.environment());
    assert_eq!(
        finished.output(),
        ["ran"],
        "{}\n{}",
        finished.log(),
        finished.stderr
    );
    assert!(
        finished.log().contains("Pulled image "),
        "{}",
        finished.log()
    );
    engine::remove_image(&image);
    // Without the login the mirror hands out nothing, and the registry itself does not exist.
    let finished = run(&project, &config(false), &image, &moto.environment());
    assert!(
        finished
            .context("PROVISIONING")
            .starts_with("BUILD_CONTAINER_UNABLE_TO_PULL_IMAGE: Unable to pull customer's container image. CannotPullContainerError: "),
        "{}",
        finished.context("PROVISIONING")
    );
    assert_eq!(finished.exit_code, Some(3));
}

#[test]
fn a_registry_that_limits_pulls_is_named_as_such() {
    let registry = FaultProxy::start("127.0.0.1:1");
    registry.set(Fault::Answer(
        429,
        r#"{"errors": [{"code": "TOOMANYREQUESTS", "message": "You have reached your pull rate limit."}]}"#,
    ));
    let image = format!("{}/app:1", registry.address());
    let finished = run(&Project::new(BUILDSPEC), "", &image, &[]);
    let context = finished.context("PROVISIONING");
    let remedy = "The registry limits how often images are pulled from it: log in to it, or pull through a mirror";
    assert!(context.ends_with(remedy), "{context}");
}

#[test]
fn images_that_may_not_be_pulled_are_not() {
    let project = Project::new(BUILDSPEC);
    for (config, image, reason) in [
        (
            "pull_policy = 'never'",
            "127.0.0.1:1/app:1",
            "`pull_policy` is `never`",
        ),
        ("", "buildspec-agent/no-such-image:latest", "images build"),
    ] {
        let finished = run(&project, config, image, &[]);
        let context = finished.context("PROVISIONING");
        assert!(context.contains(reason), "{context}");
        assert!(!finished.log().contains("Pulling"), "{}", finished.log());
    }
}

#[test]
fn an_alias_runs_in_the_place_of_a_curated_image() {
    let project = Project::new(
        "version: 0.2\nphases: {build: {commands: ['echo $CODEBUILD_BUILD_IMAGE']}}\n",
    );
    let curated = "aws/codebuild/standard:7.0";
    let config = format!(
        "[image_aliases]\n'{curated}' = '{}'\n",
        engine::test_image()
    );
    let finished = run(&project, &config, curated, &[]);
    assert_eq!(finished.output(), [curated], "{}", finished.stderr);
    let told = format!("Image {curated} runs here as {}", engine::test_image());
    assert!(finished.log().contains(&told), "{}", finished.log());
}

#[test]
fn what_there_is_and_what_runs_for_curated_images_is_listed() {
    let project = Project::empty();
    let output = project
        .agent(&["images", "list", "--json"])
        .output()
        .unwrap();
    let lines: Vec<serde_json::Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |image: &str| {
        lines
            .iter()
            .find(|line| line["image"] == image)
            .unwrap()
            .clone()
    };
    assert!(of("buildspec-agent/base:latest")["sizeBytes"].as_u64() > Some(1_000_000));
    assert_eq!(
        of("aws/codebuild/standard:7.0")["run"],
        json!([
            "public.ecr.aws/codebuild/standard:7.0",
            "buildspec-agent/standard:latest"
        ])
    );
}

#[test]
fn the_smoke_test_of_an_image_is_a_build_in_it() {
    let project = Project::empty();
    let mut command = project.agent(&["images", "test", "base", "docker"]);
    command.env_remove("BUILDSPEC_AGENT_IMAGE");
    let finished = Running::start(command).finish();
    project.assert_clean();
    assert_eq!(
        finished.exit_code,
        Some(0),
        "{}\n{}",
        finished.text(),
        finished.stderr
    );
}
