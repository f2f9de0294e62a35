//! Which artifacts are collected, and what the log says about it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use executor::protocol::{ArtifactPlan, Event, Packaging, Status};
use walkdir::WalkDir;

use crate::harness::{Outcome, Root};

fn artifact(files: &[&str]) -> ArtifactPlan {
    ArtifactPlan {
        identifier: None,
        files: files.iter().map(ToString::to_string).collect(),
        exclude_paths: Vec::new(),
        base_directory: None,
        discard_paths: false,
        name: None,
        packaging: Packaging::None,
    }
}

/// Paths and contents of what was collected for one artifact.
fn collected(root: &Root, index: usize) -> BTreeMap<String, String> {
    let directory = root.channel().join(format!("artifacts/{index}"));
    WalkDir::new(&directory)
        .into_iter()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| {
            let path = entry.path().strip_prefix(&directory).unwrap();
            let text = fs::read_to_string(entry.path()).unwrap();
            (path.to_str().unwrap().to_owned(), text)
        })
        .collect()
}

fn failure(outcome: &Outcome) -> Option<String> {
    outcome.events().find_map(|event| match event {
        Event::ArtifactFailed { context, .. } => {
            Some(format!("{}: {}", context.status_code, context.message))
        }
        _ => None,
    })
}

#[test]
fn files_are_collected_by_literal_and_pattern() {
    let root = Root::new();
    for path in ["a.txt", "d/b.txt", "d/.env", "d/e/c.txt", "d/e/skip.log"] {
        root.write(path, path);
    }
    let mut plan = root.build_plan(&["echo made > made.bin; chmod 750 made.bin; V=d"]);
    plan.artifacts.push(ArtifactPlan {
        exclude_paths: vec!["**/*.log".to_owned()],
        name: Some("out-$V-$(echo \"x y\")".to_owned()),
        ..artifact(&[
            "made.bin",
            "$V/**/*",
            "missing.txt",
            "../x",
            "/etc/passwd",
            "d",
            "*.none",
        ])
    });
    let source = plan.source_directory.clone();
    let outcome = root.run(plan);
    assert_eq!(outcome.ended(), (Status::Succeeded, true));
    let paths: Vec<String> = collected(&root, 0).into_keys().collect();
    assert_eq!(
        paths,
        ["d/.env", "d/b.txt", "d/e/c.txt", "made.bin"],
        "{source}"
    );
    let mode = fs::metadata(root.channel().join("artifacts/0/made.bin"));
    assert_eq!(mode.unwrap().permissions().mode() & 0o777, 0o750);
    let expected = "\
[Container] <ts> Expanding base directory path: .
[Container] <ts> Assembling file list
[Container] <ts> Expanding .
[Container] <ts> Expanding file paths for base directory .
[Container] <ts> Assembling file list
[Container] <ts> Expanding made.bin
[Container] <ts> Expanding d/**/*
[Container] <ts> Expanding missing.txt
[Container] <ts> Skipping invalid file path missing.txt
[Container] <ts> Expanding ../x
[Container] <ts> Skipping invalid file path ../x
[Container] <ts> Expanding /etc/passwd
[Container] <ts> Skipping invalid file path /etc/passwd
[Container] <ts> Expanding d
[Container] <ts> Skipping invalid file path d
[Container] <ts> Expanding *.none
[Container] <ts> Found 4 file(s)
";
    let log = outcome.log();
    assert!(log.ends_with(expected), "{log}");
    let bytes = ("made\n".len() + "d/.envd/b.txtd/e/c.txt".len()) as u64;
    assert!(outcome.events().any(|event| *event
        == Event::ArtifactCollected {
            index: 0,
            name: Some("out-d-x y".to_owned()),
            files: 4,
            bytes,
            archive: None,
        }));
}

#[test]
fn base_directories_are_cut_off_and_paths_discarded() {
    for (base, discard, files, expected) in [
        ("b2", false, "*/f3.txt", &["sub/f3.txt"][..]),
        ("b*", true, "**/*", &["f1.txt", "f2.txt", "f3.txt"]),
        ("b*", false, "**/*", &["f1.txt", "f2.txt", "sub/f3.txt"]),
        ("$DIRECTORY", false, "f2.txt", &["f2.txt"]),
        ("link", false, "**/*", &["f2.txt", "sub/f3.txt"]),
    ] {
        let root = Root::new();
        for path in ["b1/f1.txt", "b2/f2.txt", "b2/sub/f3.txt", "c/no.txt"] {
            root.write(path, path);
        }
        symlink("b2", root.source().join("link")).unwrap();
        let mut plan = root.build_plan(&["DIRECTORY=$PWD/b2"]);
        plan.artifacts.push(ArtifactPlan {
            base_directory: Some(base.to_owned()),
            discard_paths: discard,
            ..artifact(&[files])
        });
        let outcome = root.run(plan);
        let paths: Vec<String> = collected(&root, 0).into_keys().collect();
        assert_eq!(paths, expected, "{base} {files} {}", outcome.log());
    }
}

#[test]
fn links_to_files_are_followed_and_others_are_left() {
    let root = Root::new();
    root.write("real.txt", "content");
    root.write("d/x.txt", "x");
    for (target, link) in [
        ("real.txt", "link.txt"),
        ("nowhere", "dangling"),
        (".", "d/loop"),
    ] {
        symlink(target, root.source().join(link)).unwrap();
    }
    let mut plan = root.build_plan(&["mkfifo d/pipe"]);
    plan.artifacts.push(artifact(&["**/*"]));
    let outcome = root.run(plan);
    let files = collected(&root, 0);
    let paths: Vec<&String> = files.keys().collect();
    assert_eq!(
        paths,
        ["d/x.txt", "link.txt", "real.txt"],
        "{}",
        outcome.log()
    );
    assert_eq!(files["link.txt"], "content");
}

#[test]
fn an_artifact_without_files_or_name_fails() {
    for (files, name, expected) in [
        (
            "missing",
            None,
            "CLIENT_ERROR: no matching artifact paths found",
        ),
        (
            "*.none",
            None,
            "CLIENT_ERROR: no matching artifact paths found",
        ),
        (
            "a",
            Some("$UNSET"),
            "CLIENT_ERROR: the name of the artifact cannot be evaluated or is empty",
        ),
    ] {
        let root = Root::new();
        root.write("a", "a");
        let mut plan = root.build_plan(&[]);
        plan.artifacts.push(ArtifactPlan {
            name: name.map(str::to_owned),
            ..artifact(&[files])
        });
        let outcome = root.run(plan);
        assert_eq!(failure(&outcome).as_deref(), Some(expected), "{files}");
        assert_eq!(outcome.ended(), (Status::Succeeded, true), "{files}");
    }
}

#[test]
fn secondary_artifacts_are_announced() {
    let root = Root::new();
    root.write("a", "a");
    let mut plan = root.build_plan(&[]);
    plan.artifacts = vec![
        artifact(&["a"]),
        ArtifactPlan {
            identifier: Some("second".to_owned()),
            ..artifact(&["*"])
        },
    ];
    let outcome = root.run(plan);
    assert_eq!(collected(&root, 1).into_keys().collect::<Vec<_>>(), ["a"]);
    assert!(
        outcome
            .log()
            .contains("> Preparing to copy secondary artifacts second\n")
    );
}
