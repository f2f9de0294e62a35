//! What of an image a build takes over, and what it does not.

use tests::{Image, Project};

#[test]
fn the_image_gives_variables_but_neither_user_nor_program_nor_directory() {
    let image = Image::derived(&[
        "ENV FROM_IMAGE=yes",
        "ENV REPLACED=image",
        "USER nobody",
        "WORKDIR /usr",
        r#"ENTRYPOINT ["/bin/false"]"#,
        r#"CMD ["never"]"#,
    ]);
    let project = Project::new(
        r#"
version: 0.2
env:
  variables: {REPLACED: buildspec}
phases:
  build:
    commands:
      - 'echo $FROM_IMAGE $REPLACED $(id -un)'
      - '[ "$PWD" = "$CODEBUILD_SRC_DIR" ] && echo "$CODEBUILD_BUILD_IMAGE"'
"#,
    );
    let finished = project.run(&["--image", image.name()]);
    assert_eq!(
        finished.output(),
        ["yes buildspec root", image.name()],
        "{}",
        finished.stderr
    );
}

#[test]
fn an_image_given_in_the_overrides_is_taken() {
    let image = Image::derived(&["ENV FROM_IMAGE=other"]);
    let project = Project::new("{version: 0.2, phases: {build: {commands: [echo $FROM_IMAGE]}}}");
    let overrides = project.root().join("overrides.json");
    std::fs::write(
        &overrides,
        format!(r#"{{"imageOverride": "{}"}}"#, image.name()),
    )
    .unwrap();
    let finished = project.run(&["--overrides", overrides.to_str().unwrap()]);
    assert_eq!(finished.output(), ["other"], "{}", finished.stderr);
}

#[test]
fn an_image_without_a_shell_is_told() {
    let image = Image::empty();
    let project = Project::new("{version: 0.2, phases: {build: {commands: [echo never]}}}");
    let finished = project.run(&["--image", image.name()]);
    assert_ne!(finished.exit_code, Some(0));
    let said = finished.log() + &finished.stderr;
    assert!(said.contains("/bin/sh"), "{said}");
}
