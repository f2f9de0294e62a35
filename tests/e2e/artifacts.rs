//! Which files a build yields, and under which names.

use tests::{Finished, Project};

/// A build that makes a small tree and yields what the YAML below `artifacts` says.
fn yielding(artifacts: &str) -> (Project, Finished) {
    let project = Project::new(&format!(
        "
version: 0.2
phases:
  build:
    commands:
      - mkdir -p out/sub/deep other empty
      - for file in out/a.txt out/b.log out/sub/c.txt out/sub/deep/d.txt other/e.txt 'out/with blank.txt'; do echo $file > \"$file\"; done
      - cd out/sub
artifacts:
{artifacts}"
    ));
    let finished = project.run(&[]);
    (project, finished)
}

#[test]
fn patterns_take_files_and_keep_their_paths() {
    for (label, artifacts, expected) in [
        ("a file", "  files: [out/a.txt]", &["out/a.txt"][..]),
        (
            "one level",
            "  files: [out/*]",
            &["out/a.txt", "out/b.log", "out/with blank.txt"],
        ),
        (
            "all levels",
            "  files: ['out/**/*.txt']",
            &[
                "out/a.txt",
                "out/sub/c.txt",
                "out/sub/deep/d.txt",
                "out/with blank.txt",
            ],
        ),
        (
            "base directory",
            "  base-directory: out/sub\n  files: ['**/*']",
            &["c.txt", "deep/d.txt"],
        ),
        (
            "base directories",
            "  base-directory: o*\n  files: ['*.txt']",
            &["a.txt", "e.txt", "with blank.txt"],
        ),
        (
            "discarded paths",
            "  discard-paths: yes\n  files: ['out/sub/**/*', other/e.txt]",
            &["c.txt", "d.txt", "e.txt"],
        ),
        (
            "a file twice",
            "  files: [out/a.txt, 'out/a.*']",
            &["out/a.txt"],
        ),
        (
            "one that is missing",
            "  files: [missing.txt, out/a.txt]",
            &["out/a.txt"],
        ),
        (
            "excluded paths",
            "  files: ['out/**/*']\n  exclude-paths: ['out/sub/**/*', '**/*.log']",
            &["out/a.txt", "out/with blank.txt"],
        ),
    ] {
        let (project, finished) = yielding(artifacts);
        assert_eq!(
            project.artifact_paths(),
            expected,
            "{label}: {}",
            finished.log()
        );
        assert_eq!(finished.exit_code, Some(0), "{label}");
    }
}

#[test]
fn artifacts_have_the_contents_they_had_in_the_container() {
    let (project, _) = yielding("  files: ['out/with blank.txt']");
    assert_eq!(
        project.artifacts()["out/with blank.txt"],
        b"out/with blank.txt\n"
    );
}

#[test]
fn patterns_that_match_nothing_fail_the_upload() {
    for (label, artifacts) in [
        ("no such file", "  files: [missing.txt]"),
        (
            "no such directory",
            "  base-directory: missing\n  files: ['**/*']",
        ),
        (
            "an empty directory",
            "  base-directory: empty\n  files: ['**/*']",
        ),
    ] {
        let (project, finished) = yielding(artifacts);
        assert_eq!(finished.exit_code, Some(1), "{label}");
        assert_eq!(
            finished.context("UPLOAD_ARTIFACTS"),
            "CLIENT_ERROR: no matching artifact paths found",
            "{label}"
        );
        assert_eq!(project.artifact_paths(), [""; 0], "{label}");
    }
}

#[test]
fn no_link_leads_out_of_the_container() {
    let secret = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    std::fs::write(secret.path(), "the host's own").expect("one's own file can be written");
    let project = Project::new(&format!(
        "
version: 0.2
phases:
  build:
    commands:
      - mkdir out && echo fine > out/fine.txt
      - ln -s {host} out/link && ln -s / out/root && ln -s ../../../../../../../../etc out/up
      - ln -s fine.txt out/inside
artifacts:
  base-directory: out
  files: ['**/*']
",
        host = secret.path().display()
    ));
    let finished = project.run(&[]);
    let artifacts = project.artifacts();
    assert_eq!(
        finished.exit_code,
        Some(0),
        "{}{}",
        finished.log(),
        finished.stderr
    );
    assert_eq!(artifacts["fine.txt"], b"fine\n");
    assert!(
        artifacts
            .values()
            .all(|content| content != b"the host's own")
    );
}

#[test]
fn an_archive_has_the_sums_that_the_build_tells_and_nothing_of_the_host() {
    let secret = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    std::fs::write(secret.path(), "the host's own").expect("one's own file can be written");
    for keeps_links in ["no", "yes"] {
        let project = Project::new(&format!(
            "
version: 0.2
phases:
  build:
    commands:
      - mkdir out && echo fine > out/fine.txt
      - ln -s {host} out/link && ln -s / out/root && ln -s ../../../../../../../../etc/hostname out/up
      - ln -s fine.txt out/inside && mkfifo out/pipe
artifacts:
  base-directory: out
  files: ['**/*']
  enable-symlinks: {keeps_links}
  name: app
",
            host = secret.path().display()
        ));
        let finished = project.run(&["--packaging", "zip"]);
        assert_eq!(finished.exit_code, Some(0), "{}", finished.log());
        let artifacts = project.artifacts();
        let archive = project.artifact_directory().join("app.zip");
        assert_eq!(artifacts.keys().collect::<Vec<_>>(), ["app.zip"]);
        let host_bytes = b"the host's own";
        let mut unpacked = zip::ZipArchive::new(std::io::Cursor::new(&artifacts["app.zip"]))
            .expect("it is an archive");
        for index in 0..unpacked.len() {
            let mut content = Vec::new();
            let mut entry = unpacked.by_index(index).expect("the entry is whole");
            std::io::copy(&mut entry, &mut content).expect("the entry is whole");
            assert_ne!(content, host_bytes);
            assert!(!content.starts_with(b"/"), "no link leads out");
        }
        let artifact = finished.build().artifacts.remove(0);
        for (program, told) in [
            ("sha256sum", artifact.sha256sum),
            ("md5sum", artifact.md5sum),
        ] {
            let output = std::process::Command::new(program).arg(&archive).output();
            let output = output.expect("coreutils are there").stdout;
            let sum = String::from_utf8(output).expect("sums are text");
            assert_eq!(sum.split(' ').next(), told.as_deref(), "{program}");
        }
    }
}

#[test]
fn what_is_no_file_is_left_out_and_nothing_waits_for_it() {
    let project = Project::new(
        "
version: 0.2
phases:
  build:
    commands:
      - mkdir out && cd out && mkfifo pipe && mknod null c 1 3 && ln -s . loop && mkdir empty && echo fine > fine.txt
artifacts:
  base-directory: out
  files: ['**/*']
",
    );
    let finished = project.run(&[]);
    assert_eq!(
        finished.exit_code,
        Some(0),
        "{}{}",
        finished.log(),
        finished.stderr
    );
    assert_eq!(project.artifact_paths(), ["fine.txt"]);
}

#[test]
fn names_from_the_container_cannot_write_to_the_terminal() {
    let project = Project::new(
        r#"
version: 0.2
phases:
  build:
    commands:
      - mkdir out && touch "out/$(printf 'a\033[31mb\nc')"
artifacts:
  files: ['out/*']
"#,
    );
    let place = project.artifact_directory();
    let finished = project.run_as_text(&["--artifacts", place.to_str().unwrap()]);
    assert_eq!(
        project.artifact_paths(),
        ["out/a\u{1b}[31mb\nc"],
        "the file has its name"
    );
    let stderr = finished.stderr;
    assert!(
        stderr
            .lines()
            .all(|line| !line.contains('\u{1b}') && line != "c"),
        "{stderr:?}"
    );
}

#[test]
fn a_build_without_a_place_for_artifacts_collects_none() {
    let project = Project::new(
        "{version: 0.2, phases: {build: {commands: [touch a]}}, artifacts: {files: [a]}}",
    );
    let finished = project.run_as_text(&[]);
    assert_eq!(finished.exit_code, Some(0));
    assert!(
        // The discovery of reports writes two blanks here.
        !finished.text().contains("Expanding base directory path: ."),
        "{}",
        finished.text()
    );
}
