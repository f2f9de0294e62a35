//! An agent that was killed leaves a container; `gc` and workers find it and nothing else.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::sys::signal::Signal;
use tests::{Finished, Project, Running, engine, until};

const ENDLESS: &str =
    "{version: 0.2, phases: {build: {commands: [touch made, echo started; sleep 100000]}}}";

fn gc(project: &Project, arguments: &[&str]) -> Finished {
    Running::start(project.agent(&[&["gc"], arguments].concat())).finish()
}

#[test]
fn what_a_killed_agent_left_is_removed_by_gc() {
    let project = Project::new(ENDLESS);
    let mut running = project.start(&[]);
    running.wait_for("\"started\\n\"");
    running.signal(Signal::SIGKILL);
    running.finish();
    let left = project.containers();
    assert_eq!(left.len(), 1, "the container outlives its agent");

    let told = gc(&project, &["--all", "--dry-run"]);
    assert_eq!(told.exit_code, Some(0), "{}", told.stderr);
    assert_eq!(project.containers(), left, "a dry run removes nothing");

    let removed = gc(&project, &["--all"]);
    assert_eq!(removed.exit_code, Some(0), "{}", removed.stderr);
    project.assert_clean();
    assert_eq!(
        gc(&project, &[]).exit_code,
        Some(0),
        "there may be nothing to do"
    );
}

#[test]
fn gc_leaves_the_build_of_a_living_agent_alone() {
    let project = Project::new(ENDLESS);
    let mut running = project.start(&[]);
    running.wait_for("\"started\\n\"");
    let before = project.containers();
    assert_eq!(gc(&project, &["--all"]).exit_code, Some(0));
    assert_eq!(project.containers(), before);
    running.signal(Signal::SIGTERM);
    assert_eq!(running.finish().exit_code, Some(5));
    project.assert_clean();
}

/// Leaves the build of an agent that was killed so long ago that nobody takes it up any more.
fn leave_an_old_build(project: &Project) {
    let mut running = project.start(&[]);
    running.wait_for("\"started\\n\"");
    running.signal(Signal::SIGKILL);
    running.finish();
    for directory in build_directories(project) {
        for entry in fs::read_dir(directory).expect("it is left") {
            set_age(&entry.expect("it is ours").path(), Duration::from_hours(25));
        }
    }
}

/// What lies among the directories of builds.
fn build_directories(project: &Project) -> Vec<PathBuf> {
    let entries = fs::read_dir(project.data_directory().join("builds"));
    let entries = entries.expect("the agent has made it").flatten();
    entries.map(|entry| entry.path()).collect()
}

fn set_age(path: &Path, age: Duration) {
    let file = File::open(path);
    // Sockets cannot be opened, and have no say.
    if let Ok(file) = file {
        file.set_modified(SystemTime::now() - age)
            .expect("it is ours");
    }
}

/// Containers that are nobody's or another agent's, and go with this value.
struct Foreign(Vec<String>);

impl Foreign {
    fn new() -> Self {
        let build = "buildspec-agent.build=3f7c1a52-7d0e-4a0b-9a53-51b7a4a0c0de";
        let labels = [
            &[][..],
            &["--label", build],
            &[
                "--label",
                build,
                "--label",
                "buildspec-agent.data-directory=/elsewhere",
            ],
        ];
        let image = engine::test_image();
        let made = labels.map(|labels| {
            let id = engine::docker(&[&["create"], labels, &[image.as_str(), "true"]].concat());
            id.trim().to_owned()
        });
        Self(made.to_vec())
    }

    fn assert_untouched(&self) {
        for container in &self.0 {
            engine::docker(&["inspect", container]);
        }
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        engine::remove(&self.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_reaps_at_its_start_and_from_time_to_time_and_touches_nothing_of_others() {
    let project = Project::new(ENDLESS);
    let foreign = Foreign::new();
    let config = project.root().join("config.toml");
    fs::write(&config, "[worker]\nhousekeeping_secs = 1\nlease_secs = 3\n").unwrap();
    leave_an_old_build(&project);
    let notes = project.data_directory().join("builds/notes");
    fs::create_dir(&notes).unwrap();
    let group = project.data_directory().join("logs/demo");
    fs::create_dir_all(&group).unwrap();
    for (stream, days) in [("old", 31), ("young", 29)] {
        fs::write(group.join(stream), "1 line\n").unwrap();
        set_age(&group.join(stream), Duration::from_hours(24 * days));
    }
    let told = gc(&project, &["--dry-run"]);
    for line in ["would remove build", "would remove 1 log(s): 7 bytes"] {
        assert!(told.text().contains(line), "{line}: {}", told.text());
    }
    assert!(group.join("old").exists(), "a dry run removes nothing");

    let mut command = project.agent(&["worker", "--config"]);
    command.arg(&config);
    let worker = Running::start(command);
    let is_reaped = async || {
        project.containers().is_empty() && build_directories(&project) == [notes.as_path()]
    };
    until("the first build is reaped", is_reaped).await;
    leave_an_old_build(&project);
    until("the second build is reaped", is_reaped).await;
    until("the old log is gone", async || !group.join("old").exists()).await;
    worker.signal(Signal::SIGTERM);
    worker.finish();
    assert!(group.join("young").exists());
    assert!(notes.exists());
    fs::remove_dir(&notes).unwrap();
    foreign.assert_untouched();
    assert_eq!(gc(&project, &["--all"]).exit_code, Some(0));
    foreign.assert_untouched();
    project.assert_clean();
}

/// Volumes of an agent's that go with this value.
struct Volumes(Vec<String>);

impl Volumes {
    fn make(&mut self, project: &Project, name: &str) -> String {
        let data = fs::canonicalize(project.data_directory()).expect("the agent has made it");
        let label = format!("buildspec-agent.data-directory={}", data.display());
        let unique = data.parent().and_then(Path::file_name).unwrap_or_default();
        let name = format!("{}-{name}", unique.display());
        engine::docker(&["volume", "create", "--label", &label, &name]);
        self.0.push(name.clone());
        name
    }
}

impl Drop for Volumes {
    fn drop(&mut self) {
        engine::remove_volumes(&self.0);
    }
}

#[test]
fn layers_of_images_go_when_no_build_has_used_them_for_long() {
    let project = Project::new(ENDLESS);
    assert_eq!(
        gc(&project, &[]).exit_code,
        Some(0),
        "it makes its directory"
    );
    let mut volumes = Volumes(Vec::new());
    let data = project.data_directory();
    fs::create_dir(data.join("docker-layers")).unwrap();
    let mut locked = |name: &str, days: u64| {
        let name = volumes.make(&project, name);
        let is_servers = name.ends_with("server");
        let lock = if is_servers {
            fs::create_dir_all(data.join("docker-servers").join(&name)).unwrap();
            data.join("docker-servers").join(&name).join("users")
        } else {
            data.join("docker-layers").join(&name)
        };
        File::create(&lock).unwrap();
        set_age(&lock, Duration::from_hours(24 * days));
        name
    };
    let old = [locked("old", 31), locked("old-server", 31)];
    let young = locked("young", 29);
    let unknown = volumes.make(&project, "unknown");
    let told = gc(&project, &["--dry-run"]);
    for name in &old {
        let line = format!("would remove the layers in volume {name}\n");
        assert!(told.text().contains(&line), "{}", told.text());
    }
    let there = || engine::volumes_of(&fs::canonicalize(&data).unwrap());
    assert_eq!(there().len(), 4, "a dry run removes nothing");
    assert_eq!(gc(&project, &[]).exit_code, Some(0));
    let mut left = there();
    left.sort();
    assert_eq!(left, [unknown, young]);
}
