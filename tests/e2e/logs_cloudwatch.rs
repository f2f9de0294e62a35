//! A build's log in CloudWatch Logs: every line, in order, once, whatever happens.

use std::env;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use tests::cloudwatch::{CloudWatch, Faults};
use tests::{Finished, Project, Running, aws};

const TO_CLOUD_WATCH: &str =
    r#"{"logsConfigOverride": {"cloudWatchLogs": {"status": "ENABLED", "streamName": "s"}}}"#;

/// A project whose builds log to CloudWatch Logs.
fn project(buildspec: &str) -> Project {
    Project::new(buildspec).with_file("overrides.json", TO_CLOUD_WATCH)
}

fn command(project: &Project, endpoint: &CloudWatch) -> Command {
    let overrides = project.source().join("overrides.json");
    let mut command = project.build_command(&["--project", "demo", "--overrides"]);
    command
        .arg(overrides)
        .envs(aws::environment(&endpoint.url()));
    command
}

fn recover(project: &Project, endpoint: &CloudWatch) -> Running {
    let mut command = project.agent(&["recover", &project.build_uuid(), "--json"]);
    command.envs(aws::environment(&endpoint.url()));
    Running::start(command)
}

fn delivery(finished: &Finished) -> String {
    let logs = finished.build().logs.expect("the log goes somewhere");
    logs.delivery
        .expect("a build that is over says how far it is")
}

/// The messages of the only stream there is.
fn messages(endpoint: &CloudWatch, build: &str) -> Vec<String> {
    let stream = format!("s/{build}");
    assert_eq!(
        endpoint.streams(),
        [format!("/aws/codebuild/demo/{stream}")]
    );
    assert_eq!(endpoint.violations(), [""; 0]);
    let events = endpoint.events("/aws/codebuild/demo", &stream);
    events.into_iter().map(|(_, message)| message).collect()
}

#[test]
fn every_line_is_an_event() {
    let endpoint = CloudWatch::start(Faults::default());
    let project = project(
        "version: 0.2\nphases: {build: {commands: [\"printf 'one\\\\n\\\\nthree\\\\377\\\\n'\"]}}\n",
    );
    let finished = Running::start(command(&project, &endpoint)).finish();
    project.assert_clean();
    assert_eq!(finished.exit_code, Some(0), "{}", finished.stderr);
    assert_eq!(delivery(&finished), "COMPLETE");
    let build = finished.build();
    let logs = build.logs.unwrap();
    let uuid = build.id.rsplit(':').next().unwrap();
    assert_eq!(logs.group_name.as_deref(), Some("/aws/codebuild/demo"));
    assert_eq!(logs.stream_name, Some(format!("s/{uuid}")));
    let messages = messages(&endpoint, uuid);
    assert_eq!(messages.concat(), finished.log());
    let at = messages.iter().position(|message| message == "one\n");
    let at = at.expect("the command's first line is there");
    assert_eq!(messages[at..at + 3], ["one\n", "\n", "three\u{fffd}\n"]);
}

#[test]
fn a_build_does_not_fail_because_its_log_is_refused_and_the_log_follows() {
    let endpoint = CloudWatch::start(Faults {
        denies: true,
        ..Faults::default()
    });
    let project = project("version: 0.2\nphases: {build: {commands: [echo one]}}\n");
    let finished = Running::start(command(&project, &endpoint)).finish();
    assert_eq!(finished.exit_code, Some(0), "{}", finished.stderr);
    assert_eq!(delivery(&finished), "PENDING");
    assert!(
        finished.stderr.contains("AccessDeniedException"),
        "{}",
        finished.stderr
    );
    assert_eq!(project.containers(), [""; 0]);
    let uuid = project.build_uuid();
    endpoint.set_faults(Faults::default());
    let recovered = recover(&project, &endpoint).finish();
    assert_eq!(recovered.exit_code, Some(0), "{}", recovered.stderr);
    assert_eq!(delivery(&recovered), "COMPLETE");
    assert_eq!(recovered.build().build_status, "SUCCEEDED");
    assert_eq!(messages(&endpoint, &uuid).concat(), finished.log());
    project.assert_clean();
}

#[test]
fn lines_whose_arrival_may_not_be_looked_at_are_rather_there_twice_than_missing() {
    let endpoint = CloudWatch::start(Faults {
        unanswered_every: 2,
        denies_reading: true,
        ..Faults::default()
    });
    let project =
        project("version: 0.2\nphases: {build: {commands: [\"seq -f 'line %.0f' 30000\"]}}\n");
    let finished = Running::start(command(&project, &endpoint)).finish();
    project.assert_clean();
    assert_eq!(finished.exit_code, Some(0), "{}", finished.stderr);
    assert_eq!(delivery(&finished), "COMPLETE");
    let uuid = finished.build().id;
    let uuid = uuid.rsplit(':').next().unwrap();
    let messages = messages(&endpoint, uuid);
    let numbered = messages.iter().filter_map(|message| {
        let number = message.strip_prefix("line ")?;
        number.trim_end().parse::<u32>().ok()
    });
    let mut seen = std::collections::BTreeMap::new();
    for number in numbered {
        *seen.entry(number).or_insert(0_u32) += 1;
    }
    assert!(seen.keys().copied().eq(1..=30_000));
    assert!(
        finished.stderr.contains("logs:GetLogEvents"),
        "{}",
        finished.stderr
    );
}

/// A size that the environment may make larger, for the long form of a test.
fn size(variable: &str, default: u64) -> u64 {
    let text = env::var_os(variable).map(|value| value.to_string_lossy().into_owned());
    text.map_or(default, |text| text.parse().expect("it is a number"))
}

/// The long form, for which CI has no time, is `make outage`.
#[test]
fn every_line_arrives_in_order_and_once_through_outages_and_kills() {
    let lines = size("BUILDSPEC_AGENT_TEST_LINES", 300_000);
    let lines = usize::try_from(lines).unwrap();
    let outage = Duration::from_secs(size("BUILDSPEC_AGENT_TEST_OUTAGE_SECS", 3));
    let endpoint = CloudWatch::start(Faults {
        throttled_every: 7,
        unanswered_every: 11,
        cut_every: 13,
        outage: Some((lines / 2, outage)),
        ..Faults::default()
    });
    let project = project(&format!(
        "version: 0.2\nphases:\n  build:\n    commands:\n      - seq -f 'line %.0f' {lines}\n"
    ));
    let started = Running::start(command(&project, &endpoint));
    endpoint.wait_for_events(lines / 8);
    started.signal(Signal::SIGKILL);
    let uuid = project.build_uuid();
    started.finish();
    let second = recover(&project, &endpoint);
    endpoint.wait_for_events(lines / 4);
    second.signal(Signal::SIGKILL);
    second.finish();
    let mut finished = recover(&project, &endpoint).finish();
    assert_eq!(finished.exit_code, Some(0), "{}", finished.stderr);
    // An outage may outlast the build; its log is delivered later.
    if delivery(&finished) == "PENDING" {
        finished = recover(&project, &endpoint).finish();
        assert_eq!(finished.exit_code, Some(0), "{}", finished.stderr);
    }
    assert_eq!(endpoint.outages(), 1);
    let messages = messages(&endpoint, &uuid);
    let numbered: Vec<&String> = messages
        .iter()
        .filter(|message| message.starts_with("line "))
        .collect();
    let wrong = numbered
        .iter()
        .enumerate()
        .find(|(index, message)| ***message != format!("line {}\n", index + 1));
    assert_eq!(wrong, None, "the first line that is missing or doubled");
    assert_eq!(numbered.len(), lines);
    assert_eq!(delivery(&finished), "COMPLETE");
    project.assert_clean();
}
