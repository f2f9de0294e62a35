//! Input that no build can run is told apart, said clearly, and leaves nothing behind.

use std::fs;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use tests::{Project, Running};

#[test]
fn a_source_without_buildspec_fails_in_codebuilds_words() {
    let finished = Project::empty()
        .with_file("README", "nothing to build")
        .run(&[]);
    assert_eq!(finished.exit_code, Some(2), "{}", finished.stderr);
    let context = finished.context("DOWNLOAD_SOURCE");
    let path = context
        .strip_prefix("YAML_FILE_ERROR: stat /codebuild/output/src")
        .expect(&context);
    assert!(
        path.ends_with("/src/buildspec.yml: no such file or directory"),
        "{context}"
    );
    assert_eq!(
        finished.phases()[3..],
        [
            "DOWNLOAD_SOURCE FAILED",
            "FINALIZING SUCCEEDED",
            "COMPLETED"
        ]
    );
}

#[test]
fn a_buildspec_that_cannot_be_read_is_shown_with_the_place() {
    for (label, buildspec, said) in [
        (
            "not YAML",
            "version: 0.2\nphases:\n\tbuild: {}\n",
            "buildspec.yml:3",
        ),
        ("not a mapping", "- version: 0.2\n", "buildspec.yml:1"),
        ("no version", "phases: {}\n", "version"),
        (
            "an unknown phase",
            "version: 0.2\nphases:\n  biuld:\n    commands: ['true']\n",
            "buildspec.yml:3",
        ),
        (
            "a command that is a mapping",
            "version: 0.2\nphases:\n  build:\n    commands:\n      - echo a: b\n",
            "buildspec.yml:5",
        ),
        (
            "commands that are a number",
            "version: 0.2\nphases:\n  build: 7\n",
            "buildspec.yml:3",
        ),
    ] {
        let finished = Project::new(buildspec).run(&[]);
        assert_eq!(finished.exit_code, Some(2), "{label}: {}", finished.stderr);
        assert!(
            finished
                .context("DOWNLOAD_SOURCE")
                .starts_with("YAML_FILE_ERROR: "),
            "{label}"
        );
        assert!(
            finished.stderr.contains(said),
            "{label}: {}",
            finished.stderr
        );
    }
}

#[test]
fn an_image_that_cannot_be_pulled_is_named() {
    let project = Project::new("{version: 0.2, phases: {build: {commands: ['true']}}}");
    let finished = project.run(&["--image", "buildspec-agent/no-such-image:1"]);
    assert_eq!(finished.exit_code, Some(3), "{}", finished.stderr);
    assert_eq!(finished.build().build_status, "FAILED");
    assert_eq!(finished.phases()[2..], ["PROVISIONING FAILED", "COMPLETED"]);
    let context = finished.context("PROVISIONING");
    assert!(
        context.starts_with(
            "BUILD_CONTAINER_UNABLE_TO_PULL_IMAGE: Unable to pull customer's container image."
        ),
        "{context}"
    );
    assert!(
        finished.stderr.contains("buildspec-agent/no-such-image:1"),
        "{}",
        finished.stderr
    );
}

#[test]
fn an_engine_that_does_not_run_is_a_fault_with_a_remedy() {
    let project = Project::new("{version: 0.2, phases: {build: {commands: ['true']}}}");
    let socket = project.root().join("no.sock");
    let mut command = project.build_command(&[]);
    command.env("DOCKER_HOST", format!("unix://{}", socket.display()));
    let finished = Running::start(command).finish();
    project.assert_clean();
    assert_eq!(finished.exit_code, Some(3), "{}", finished.stderr);
    assert!(
        finished.stderr.contains(&format!(
            "no Docker engine answers at unix://{}",
            socket.display()
        )),
        "{}",
        finished.stderr
    );
    assert!(
        finished.stderr.contains("make setup"),
        "{}",
        finished.stderr
    );
}

#[test]
fn a_source_that_does_not_exist_is_named() {
    let project = Project::empty();
    let finished = Running::start(project.agent(&["run", "no-such-directory"])).finish();
    assert_eq!(finished.exit_code, Some(2), "{}", finished.stderr);
    assert!(
        finished.stderr.contains("no-such-directory"),
        "{}",
        finished.stderr
    );
}

/// A file system of 8 MiB, mounted for as long as this value lives.
struct SmallDisk<'a>(&'a Project);

impl<'a> SmallDisk<'a> {
    fn mount(project: &'a Project) -> Self {
        fs::create_dir(project.data_directory()).expect("a directory can be made in one's own");
        mount(
            Some("tmpfs"),
            &project.data_directory(),
            Some("tmpfs"),
            MsFlags::empty(),
            Some("size=8m"),
        )
        .expect("the test runs as root, to mount a small file system");
        Self(project)
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        // Lazily: a container that a failed test left may still hold it.
        let _ = umount2(&self.0.data_directory(), MntFlags::MNT_DETACH);
    }
}

#[test]
fn a_disk_that_fills_up_during_the_build_is_a_fault_that_says_so() {
    let project =
        Project::new("{version: 0.2, phases: {build: {commands: [head -c 20000000 /dev/zero]}}}");
    let disk = SmallDisk::mount(&project);
    let finished = project.run(&[]);
    drop(disk);
    assert_eq!(finished.exit_code, Some(3), "{}", finished.stderr);
    assert_eq!(finished.build().build_status, "FAULT");
    assert!(
        finished.stderr.to_lowercase().contains("no space left"),
        "{}",
        finished.stderr
    );
}

#[test]
fn a_source_larger_than_the_disk_is_a_fault_that_says_so() {
    let project = Project::new("{version: 0.2, phases: {build: {commands: ['true']}}}")
        .with_file("large", vec![1; 16 * 1024 * 1024]);
    let disk = SmallDisk::mount(&project);
    let finished = project.run(&[]);
    drop(disk);
    assert_eq!(finished.exit_code, Some(3), "{}", finished.stderr);
    assert!(
        finished.stderr.to_lowercase().contains("no space left"),
        "{}",
        finished.stderr
    );
}
