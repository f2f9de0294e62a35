//! The buildspec's `cache` on this machine: what one build leaves the next one finds, whatever the builds
//! between them did to it.

use std::fs;
use std::path::PathBuf;

use tests::{Finished, Project, Running};

/// A build that shows what it finds and leaves something else.
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

fn run(project: &Project, buildspec: &str) -> Finished {
    let finished = project.run(&["--buildspec", buildspec]);
    assert_eq!(
        finished.exit_code,
        Some(0),
        "{}{}",
        finished.log(),
        finished.stderr
    );
    finished
}

fn has_line(finished: &Finished, words: &str) -> bool {
    finished.log().lines().any(|line| line.contains(words))
}

#[track_caller]
fn assert_line(finished: &Finished, words: &str) {
    assert!(
        has_line(finished, words),
        "no {words:?} in\n{}",
        finished.log()
    );
}

const MODULES: &str = "  paths: ['node_modules/**/*']\n";

#[test]
fn what_a_build_leaves_the_next_one_finds_with_modes_times_and_links() {
    let project = Project::new(&buildspec(
        MODULES,
        &[
            "mkdir -p node_modules/a/.hidden node_modules/empty && echo one > node_modules/a/x",
            "chmod 750 node_modules/a/x && touch -d @1000000000 node_modules/a/x && ln -s a/x node_modules/link",
        ],
    ));
    let first = project.run(&[]);
    assert_line(&first, "Local cache miss");
    assert_line(&first, "Saved local cache: 5 file(s), 4 bytes");
    let second = run(
        &project,
        &buildspec(
            MODULES,
            &[
                "stat -c '%a %Y %n' node_modules/a/x",
                "cat node_modules/link",
                "ls -A node_modules node_modules/a",
            ],
        ),
    );
    assert_line(&second, "Local cache hit: 5 file(s), 4 bytes");
    assert_line(
        &second,
        "Restored local cache: 1 directory mounted, 0 file(s) copied",
    );
    assert_line(&second, "Skip saving cache due to: nothing has changed");
    let output = second.output();
    for line in ["750 1000000000 node_modules/a/x", "one", ".hidden", "empty"] {
        assert!(output.iter().any(|said| said == line), "{line}: {output:?}");
    }
}

#[test]
fn a_build_changes_its_own_view_of_the_cache_and_no_other() {
    let project = Project::new(&buildspec(
        "  paths: ['node_modules/**/*', '/root/.m2/**/*']\n  key: fixed\n",
        &[
            "mkdir -p node_modules/a /root/.m2 && echo one > node_modules/a/x && echo m > /root/.m2/settings",
        ],
    ));
    project.run(&[]);
    let wild = "  paths: ['node_modules/**/*', '/root/.m2/**/*']\n  key: fixed\n";
    let changed = run(
        &project,
        &buildspec(
            wild,
            &[
                "echo two > node_modules/a/x && chmod -R 777 node_modules && chown -R 1 node_modules",
                "mv node_modules old && rm -rf old && mkdir node_modules && echo new > node_modules/n",
                "rm -rf /root/.m2/* && echo bad > /root/.m2/settings",
            ],
        ),
    );
    assert_line(&changed, "a cache of this key exists, and is never changed");
    let after = run(
        &project,
        &buildspec(
            wild,
            &[
                "cat node_modules/a/x /root/.m2/settings; ls node_modules; stat -c %u node_modules/a/x",
            ],
        ),
    );
    assert_eq!(after.output(), ["one", "m", "a", "0"]);
}

#[test]
fn files_of_the_source_are_never_replaced() {
    let project = Project::new(&buildspec(
        "  paths: ['vendor/**/*']\n",
        &["mkdir -p vendor && echo built > vendor/own && echo built > vendor/made"],
    ));
    project.run(&[]);
    let project = project.with_file("vendor/own", "mine\n");
    let second = run(
        &project,
        &buildspec(
            "  paths: ['vendor/**/*']\n",
            &["cat vendor/own vendor/made"],
        ),
    );
    assert_eq!(second.output(), ["mine", "built"]);
    let source = fs::read_to_string(project.source().join("vendor/own")).unwrap();
    assert_eq!(source, "mine\n");
    assert!(!project.source().join("vendor/made").exists());
}

#[test]
fn a_key_is_evaluated_before_the_build_and_fallback_keys_are_beginnings() {
    let cache = "  paths: [deps]\n  key: 'deps-$(codebuild-hash-files lock)-$KIND'\n  fallback-keys: ['none-', 'deps-']\n";
    let spec = |commands: &[&str]| {
        format!(
            "{}env:\n  variables: {{KIND: x}}\n",
            buildspec(cache, commands)
        )
    };
    let project = Project::new(&spec(&[
        "mkdir deps && cp lock deps/from && echo changed >> lock",
    ]))
    .with_file("lock", "1");
    let first = project.run(&[]);
    assert_line(&first, "Local cache miss for key deps-");
    assert_line(&first, "Saved local cache for key deps-");
    let same = run(&project, &spec(&["cat deps/from"]));
    assert_eq!(same.output(), ["1"]);
    let project = project.with_file("lock", "2");
    let other = run(&project, &spec(&["cat deps/from && cp lock deps/from"]));
    assert_eq!(other.output(), ["1"]);
    assert_line(&other, "by fallback key deps-");
    assert_line(&other, "Saved local cache for key deps-");
    assert_eq!(run(&project, &spec(&["cat deps/from"])).output(), ["2"]);
}

#[test]
fn other_paths_are_another_cache_even_with_the_same_key() {
    let project = Project::new(&buildspec(
        "  paths: [a]\n  key: k\n",
        &["mkdir a && echo x > a/x"],
    ));
    project.run(&[]);
    let other = run(
        &project,
        &buildspec("  paths: [a, b]\n  key: k\n  action: restore\n", &["ls"]),
    );
    assert_line(&other, "Local cache miss for key k");
    assert!(!has_line(&other, "Saved local cache"), "it only restores");
}

#[test]
fn action_save_restores_nothing() {
    let spec = buildspec(
        "  paths: [a]\n  action: save\n",
        &["ls a; mkdir a; date +%N > a/x"],
    );
    let project = Project::new(&spec);
    project.run(&[]);
    let second = project.run(&[]);
    assert!(!has_line(&second, "Local cache hit"));
    assert_line(&second, "Saved local cache");
}

#[test]
fn a_failed_build_keeps_nothing() {
    let project = Project::new(&buildspec(
        "  paths: [a]\n",
        &["mkdir a && touch a/x", "false"],
    ));
    assert_eq!(project.run(&[]).exit_code, Some(1));
    let next = run(&project, &buildspec("  paths: [a]\n", &["ls"]));
    assert_line(&next, "Local cache miss");
}

#[test]
fn files_and_patterns_are_cached_as_well_as_directories() {
    let cache = "  paths: ['**/dep/*.o', 'one.txt', '/opt/x/*.bin']\n";
    let project = Project::new(&buildspec(
        cache,
        &[
            "mkdir -p a/dep /opt/x && touch a/dep/1.o a/dep/1.c one.txt two.txt /opt/x/1.bin /opt/x/2.txt",
        ],
    ));
    project.run(&[]);
    let second = run(
        &project,
        &buildspec(cache, &["find a /opt/x *.txt -type f | sort"]),
    );
    assert_eq!(second.output(), ["/opt/x/1.bin", "a/dep/1.o", "one.txt"]);
    assert_line(&second, "1 file(s) copied");
}

#[test]
fn what_is_no_file_or_too_large_is_left_out() {
    let project = Project::new(&buildspec(
        "  paths: [a]\n",
        &[
            "mkdir a && mkfifo a/pipe && mknod a/device c 1 3 && ln -s /etc/shadow a/link && ln -s ../../../.. a/up",
        ],
    ));
    let first = project.run(&[]);
    assert_line(
        &first,
        "Leaving 2 socket(s), pipe(s) and device(s) out of the cache",
    );
    let second = run(
        &project,
        &buildspec(
            "  paths: [a]\n",
            &["ls a && readlink a/link", "truncate -s 900G a/huge"],
        ),
    );
    assert_eq!(second.output(), ["link", "up", "/etc/shadow"]);
    assert_line(&second, "are more than the limit of");
}

#[test]
fn paths_that_are_not_the_builds_are_skipped() {
    let project = Project::new(&buildspec(
        "  paths: ['/**/*', '/codebuild/readonly', '../../x', '/proc/*', a]\n",
        &["mkdir a && touch a/x"],
    ));
    let first = project.run(&[]);
    for path in ["/**/*", "/codebuild/readonly", "../../x", "/proc/*"] {
        assert_line(&first, &format!("Skipping cache path {path}: "));
    }
    assert_line(&first, "Saved local cache: 2 file(s), 0 bytes");
}

#[test]
fn the_store_cannot_be_reached_by_a_command() {
    let spec = buildspec(
        "  paths: [a]\n  key: \"$(touch /codebuild/local-cache/x 2>&1; echo k)\"\n",
        &["ls -A /codebuild/local-cache; grep CapEff /proc/self/status; mkdir -p a && touch a/x"],
    );
    let project = Project::new(&spec);
    project.run(&[]);
    let second = project.run(&[]);
    let output = second.output();
    assert!(
        output
            .iter()
            .any(|line| line == "CapEff:\t00000000a80425fb"),
        "the engine's default capabilities: {output:?}"
    );
    assert_eq!(output.len(), 1, "{output:?}");
}

#[test]
fn two_builds_at_once_leave_one_whole_cache() {
    let spec = |mark: &str| {
        buildspec(
            "  paths: [a]\n",
            &[&format!(
                "rm -rf a; mkdir a; for i in $(seq 300); do echo {mark} > a/$i; done; echo ready; sleep 1"
            )],
        )
    };
    let project = Project::new(&spec("0"));
    project.run(&[]);
    let running: Vec<Running> = ["1", "2"]
        .iter()
        .map(|mark| project.start(&["--buildspec", &spec(mark)]))
        .collect();
    for running in running {
        assert_eq!(running.finish().exit_code, Some(0));
    }
    let after = run(
        &project,
        &buildspec("  paths: [a]\n", &["cat a/* | sort | uniq -c | tr -s ' '"]),
    );
    let output = after.output();
    assert!(
        output == [" 300 1"] || output == [" 300 2"],
        "the cache of one of them: {output:?}"
    );
    project.assert_clean();
}

#[test]
fn caches_beyond_the_limit_go_and_gc_knows_them() {
    let project = Project::new(&buildspec(
        "  paths: [a]\n  key: $KEY\n",
        &["mkdir -p a && head -c 700000 /dev/zero > a/x"],
    ));
    let config = |limit: u32| {
        let path = project.root().join("config.toml");
        fs::write(&path, format!("[cache]\nlimit_mib = {limit}\n")).unwrap();
        path.display().to_string()
    };
    let entries = || -> Vec<PathBuf> {
        let scopes = fs::read_dir(project.data_directory().join("cache")).unwrap();
        let entries = scopes.flatten().map(|scope| scope.path().join("entries"));
        entries
            .filter_map(|entries| fs::read_dir(entries).ok())
            .flat_map(|entries| entries.flatten().map(|entry| entry.path()))
            .collect()
    };
    let limit = config(1);
    for key in ["KEY=1", "KEY=2"] {
        project.run(&["--config", &limit, "-e", key]);
        assert_eq!(entries().len(), 1, "there is room for one");
    }
    let hit = project.run(&["--config", &limit, "-e", "KEY=2"]);
    assert_line(&hit, "Local cache hit for key 2");
    let gc = |arguments: &[&str]| {
        let limit = config(0);
        let arguments = [&["gc", "--config", &limit], arguments].concat();
        Running::start(project.agent(&arguments)).finish()
    };
    let told = gc(&["--dry-run"]);
    assert!(
        told.text().contains("would remove cache"),
        "{}",
        told.text()
    );
    assert_eq!(entries().len(), 1);
    let removed = gc(&[]);
    assert!(
        removed.text().contains("removed cache"),
        "{}",
        removed.text()
    );
    assert!(entries().is_empty());
}

#[test]
fn a_cache_can_be_switched_off() {
    let spec = buildspec("  paths: [a]\n", &["mkdir -p a && touch a/x"]);
    let project = Project::new(&spec);
    let finished = project.run(&["--no-cache"]);
    assert_line(
        &finished,
        "Skip cache due to: the cache type of the build is NO_CACHE",
    );
    assert!(!has_line(&project.run(&[]), "Local cache hit"));
}

#[test]
fn a_build_in_the_source_itself_caches_only_what_lies_outside() {
    let project = Project::new(&buildspec(
        "  paths: [a, /opt/b]\n",
        &["mkdir -p a /opt/b && touch a/x /opt/b/x"],
    ));
    let first = project.run(&["--mount"]);
    assert_line(&first, "Skipping cache path a: the source is not a copy");
    assert_line(&first, "Saved local cache: 2 file(s)");
    assert_line(&project.run(&["--mount"]), "Local cache hit: 2 file(s)");
}
