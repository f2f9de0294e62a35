//! What a build can be given besides its buildspec: further sources, runtimes, secrets, users.

use tests::{Image, Project};

#[test]
fn a_further_source_lies_beside_the_primary_one() {
    let project = Project::new(
        "version: 0.2
phases:
  build:
    commands:
      - cat $CODEBUILD_SRC_DIR_lib/name
      - case $CODEBUILD_SRC_DIR_lib in */secSrc/lib) echo beside;; esac
",
    );
    let library = tempfile::tempdir().unwrap();
    std::fs::write(library.path().join("name"), "library\n").unwrap();
    let source = format!("lib={}", library.path().display());
    let finished = project.run(&["--secondary-source", &source]);
    assert_eq!(
        finished.output(),
        ["library", "beside"],
        "{}",
        finished.stderr
    );
    assert!(
        finished
            .log()
            .contains(" CODEBUILD_SRC_DIR_lib=/codebuild/output/src")
    );
}

#[test]
fn runtimes_are_put_in_place_by_the_images_own_commands() {
    let image = Image::with_file(
        "/codebuild/image/config/runtimes.yml",
        "version: 0.1
runtimes:
  nodejs:
    versions:
      18:
        commands: [export CHOSEN=18]
      default:
        commands: [export CHOSEN=$VERSION]
",
    );
    for (wish, expected) in [("18.x", "18 []"), ("21.7", "21.7 []")] {
        let project = Project::new(&format!(
            "version: 0.2
phases:
  install: {{runtime-versions: {{nodejs: '{wish}'}}}}
  build: {{commands: ['echo \"$CHOSEN [$VERSION]\"']}}
"
        ));
        let finished = project.run(&["--image", image.name()]);
        assert_eq!(finished.output(), [expected], "{}", finished.log());
    }
    let project = Project::new("version: 0.2\nphases: {install: {runtime-versions: {cobol: 1}}}\n");
    let finished = project.run(&["--image", image.name()]);
    assert_eq!(
        finished.context("DOWNLOAD_SOURCE"),
        "YAML_FILE_ERROR: Unknown runtime named 'cobol'. This build image has the following runtimes: nodejs"
    );
    assert_eq!(finished.exit_code, Some(2));
}

#[test]
fn a_masked_variable_is_hidden_in_output_echo_and_contexts() {
    let project = Project::new(
        "version: 0.2
phases:
  build:
    commands:
      - echo \"it is $TOKEN\"; printf %s \"$TOKEN\" | base64
      - echo hunter2-hunter2; false
",
    );
    let finished = project.run(&["--env", "TOKEN=hunter2-hunter2", "--mask", "TOKEN"]);
    assert!(finished.log().contains("it is ***"), "{}", finished.log());
    for text in [
        finished.log(),
        finished.stderr.clone(),
        finished.context("BUILD"),
    ] {
        assert!(
            !text.contains("hunter2") && !text.contains("aHVudGVyMi1odW50"),
            "{text}"
        );
    }
}

#[test]
fn a_source_that_is_built_in_place_keeps_its_owner() {
    let project =
        Project::new("version: 0.2\nrun-as: codebuild-user\nphases: {build: {commands: [id]}}\n");
    let finished = project.run(&["--mount"]);
    assert_eq!(finished.exit_code, Some(1), "{}", finished.stderr);
    assert!(finished.context("DOWNLOAD_SOURCE").contains("--mount"));
}
