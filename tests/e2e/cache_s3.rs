//! The buildspec's `cache` in a bucket.

use std::fs;
use std::process::Command;

use tests::aws::Moto;
use tests::{Finished, Project, Running};

const BUCKET: &str = "caches";

fn buildspec(cache: &str, commands: &[&str]) -> String {
    let commands: Vec<String> = commands
        .iter()
        .map(|command| format!("      - {command}\n"))
        .collect();
    format!(
        "version: 0.2\nphases:\n  build:\n    commands:\n{}cache:\n{cache}",
        commands.concat()
    )
}

/// Runs a build whose cache is in the bucket, as one of a machine that has never seen the project.
fn run(moto: &Moto, cache: &str, arguments: &[&str], buildspec: &str) -> Finished {
    let project = Project::new(buildspec);
    let overrides = project.root().join("overrides.json");
    let text = format!("{{\"cacheOverride\": {{\"type\": \"S3\", {cache}}}}}");
    fs::write(&overrides, text).expect("a file can be written in one's own directory");
    let mut command = project.build_command(arguments);
    command
        .arg("--overrides")
        .arg(overrides)
        .envs(moto.environment());
    let finished = Running::start(command).finish();
    project.assert_clean();
    assert_eq!(
        finished.exit_code,
        Some(0),
        "trouble with a cache fails no build: {}{}",
        finished.log(),
        finished.stderr
    );
    finished
}

#[track_caller]
fn assert_lines(finished: &Finished, lines: &[&str]) {
    let log = finished.log();
    let mut rest = log.as_str();
    for line in lines {
        let place = rest.find(line);
        let place = place.unwrap_or_else(|| panic!("no {line:?} in this order in\n{log}"));
        rest = &rest[place + line.len()..];
    }
}

const LOCATION: &str = "\"location\": \"caches/some/prefix\"";

const DEPS: &str = "  paths: ['deps/**/*', '/root/.deps/**/*']\n";

#[test]
fn what_a_build_leaves_a_build_on_another_machine_finds() {
    let moto = Moto::start();
    moto.create_bucket(BUCKET);
    let spec = buildspec(
        DEPS,
        &[
            "mkdir -p deps/empty /root/.deps && echo one > deps/x && chmod 750 deps/x && touch -d @1000000000 deps/x",
            "ln -s x deps/link && echo two > /root/.deps/y",
        ],
    );
    let first = run(&moto, LOCATION, &["--project", "demo"], &spec);
    assert_lines(
        &first,
        &[
            "Downloading S3 cache...",
            "S3 cache miss",
            "Entering phase POST_BUILD",
            "Uploading S3 cache...",
            "Archived cache: 4 file(s), 8 bytes",
            "Phase complete: POST_BUILD",
            "Uploaded S3 cache",
        ],
    );
    assert!(!first.log().contains("local cache"), "{}", first.log());
    let keys = moto.keys(BUCKET);
    assert_eq!(keys.len(), 1, "{keys:?}");
    assert!(keys[0].starts_with("some/prefix/demo/"), "{keys:?}");
    let look = buildspec(
        DEPS,
        &["stat -c '%a %Y %n' deps/x; cat deps/link /root/.deps/y; ls deps"],
    );
    let second = run(&moto, LOCATION, &["--project", "demo"], &look);
    assert_lines(
        &second,
        &[
            "Downloading S3 cache...",
            "S3 cache hit: 4 file(s), 8 bytes",
            "Unarchiving cache...",
            "Skip saving cache due to: nothing has changed",
        ],
    );
    assert_eq!(
        second.output(),
        ["750 1000000000 deps/x", "one", "two", "empty", "link", "x"]
    );
    let other = buildspec(DEPS, &["ls"]);
    let other = run(&moto, LOCATION, &["--project", "other"], &other);
    assert_lines(&other, &["S3 cache miss"]);
}

#[test]
fn a_cache_with_a_key_is_never_changed_and_found_by_the_beginning_of_its_key() {
    let moto = Moto::start();
    moto.create_bucket(BUCKET);
    let location = "\"location\": \"caches\", \"cacheNamespace\": \"shared\"";
    let keyed = |key: &str, action: &str, commands: &[&str]| {
        let cache =
            format!("  paths: [deps]\n  key: {key}\n  fallback-keys: [none, 'deps/']\n{action}");
        buildspec(&cache, commands)
    };
    let write = |text: &str| format!("mkdir -p deps && echo {text} > deps/x");
    for (project, key) in [("one", "deps/1"), ("two", "deps/2")] {
        let spec = keyed(key, "", &[&write(key)]);
        let saved = run(&moto, location, &["--project", project], &spec);
        assert_lines(&saved, &["Uploaded S3 cache"]);
    }
    assert!(
        moto.keys(BUCKET)
            .iter()
            .all(|key| key.starts_with("shared/"))
    );
    let again = keyed("deps/1", "  action: save\n", &[&write("changed")]);
    let refused = run(&moto, location, &[], &again);
    assert_lines(
        &refused,
        &["Skip saving cache due to: another build has saved"],
    );
    let exact = keyed("deps/1", "", &["cat deps/x"]);
    assert_eq!(run(&moto, location, &[], &exact).output(), ["deps/1"]);
    let fallback = keyed("deps/3", "  action: restore\n", &["cat deps/x"]);
    let found = run(&moto, location, &[], &fallback);
    assert_eq!(found.output(), ["deps/2"]);
    assert_lines(
        &found,
        &["S3 cache hit for key deps/2 by fallback key deps/"],
    );
    assert_eq!(moto.keys(BUCKET).len(), 2);
}

#[test]
fn an_archive_of_somebody_else_reaches_nothing_but_the_cached_paths() {
    let moto = Moto::start();
    moto.create_bucket(BUCKET);
    let spec = buildspec(DEPS, &["mkdir -p deps && echo good > deps/x"]);
    run(&moto, LOCATION, &["--project", "demo"], &spec);
    let key = moto.keys(BUCKET).remove(0);
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let script = "mkdir -p source/deps && echo evil > source/deps/x && echo evil > source/buildspec.yml \
        && echo evil > up && tar -czPf archive.tar.gz --transform 's,^up,source/deps/../../../escaped,' source up";
    let made = Command::new("sh")
        .args(["-c", script])
        .current_dir(directory.path())
        .status();
    assert!(
        made.is_ok_and(|status| status.success()),
        "tar makes an archive"
    );
    let archive = fs::read(directory.path().join("archive.tar.gz")).expect("tar has made it");
    moto.s3("PUT", &format!("/{BUCKET}/{key}"), &archive);
    let look = buildspec(
        DEPS,
        &[
            "cat deps/x; ls -d ../escaped ../../escaped /codebuild/output/escaped 2>/dev/null; grep -c evil buildspec.yml",
        ],
    );
    // A command that finds nothing says so.
    let look = look.replace(
        "grep -c evil buildspec.yml",
        "grep evil buildspec.yml; true",
    );
    let found = run(&moto, LOCATION, &["--project", "demo"], &look);
    assert_lines(
        &found,
        &["Skipping cache entry: path \"source/buildspec.yml\" is not within allowed cache paths"],
    );
    let output = found.output();
    assert_eq!(
        output[0], "evil",
        "what is in its place may come from anybody"
    );
    assert!(
        !output.iter().any(|line| line.ends_with("escaped")),
        "{output:?}"
    );
}

#[test]
fn a_bucket_that_is_not_there_fails_no_build() {
    let moto = Moto::start();
    let spec = buildspec(DEPS, &["mkdir -p deps && echo x > deps/x"]);
    let finished = run(&moto, LOCATION, &[], &spec);
    assert_lines(
        &finished,
        &[
            "Unable to download cache: NoSuchBucket: ",
            "Uploading S3 cache...",
            "Unable to upload cache: NoSuchBucket: ",
        ],
    );
}
