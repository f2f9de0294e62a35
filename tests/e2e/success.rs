//! A good build goes through every phase and yields what it made.

use tests::Project;

#[test]
fn a_good_build_goes_through_every_phase_and_exits_with_0() {
    let project = Project::new(
        "
version: 0.2
phases:
  install:
    commands: [echo installing]
  pre_build:
    commands: [echo preparing]
  build:
    commands: [cat input.txt > output.txt]
  post_build:
    commands: [echo $CODEBUILD_BUILD_SUCCEEDING]
artifacts:
  files: [output.txt]
",
    )
    .with_file("input.txt", "from the source\n");
    let finished = project.run(&[]);
    assert_eq!(finished.exit_code, Some(0), "{}", finished.stderr);
    assert_eq!(finished.build().build_status, "SUCCEEDED");
    assert_eq!(
        finished.phases(),
        [
            "SUBMITTED SUCCEEDED",
            "QUEUED SUCCEEDED",
            "PROVISIONING SUCCEEDED",
            "DOWNLOAD_SOURCE SUCCEEDED",
            "INSTALL SUCCEEDED",
            "PRE_BUILD SUCCEEDED",
            "BUILD SUCCEEDED",
            "POST_BUILD SUCCEEDED",
            "UPLOAD_ARTIFACTS SUCCEEDED",
            "FINALIZING SUCCEEDED",
            "COMPLETED",
        ]
    );
    assert_eq!(finished.output(), ["installing", "preparing", "1"]);
    assert_eq!(project.artifacts()["output.txt"], b"from the source\n");
}

#[test]
fn the_source_stays_as_it_was() {
    let project = Project::new(
        "{version: 0.2, phases: {build: {commands: [rm kept.txt, echo more > new.txt]}}}",
    )
    .with_file("kept.txt", "kept");
    let before = tests::read_tree(&project.source());
    assert_eq!(project.run(&[]).exit_code, Some(0));
    assert_eq!(tests::read_tree(&project.source()), before);
}

#[test]
fn a_build_in_place_works_on_the_source_itself() {
    let project =
        Project::new("{version: 0.2, phases: {build: {commands: [echo made > new.txt]}}}");
    assert_eq!(project.run(&["--mount"]).exit_code, Some(0));
    assert_eq!(tests::read_tree(&project.source())["new.txt"], b"made\n");
}
