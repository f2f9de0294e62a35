//! The words of the log.

use executor::protocol::spool::Body;
use executor::protocol::{Phase, Secret, Status};

use crate::harness::{Root, set};

#[test]
fn a_good_build_reads_as_in_codebuild() {
    let root = Root::new();
    let mut plan = root.plan();
    set(&mut plan, Phase::PreBuild, &["echo hello"]);
    set(
        &mut plan,
        Phase::Build,
        &["printf 'no newline'", "echo a\necho b\n"],
    );
    let source = plan.source_directory.clone();
    let outcome = root.run(plan);
    assert!(outcome.status.success());
    assert_eq!(outcome.ended(), (Status::Succeeded, true));
    let expected = format!(
        "\
[Container] <ts> No runtime version selected in buildspec.
[Container] <ts> Moving to directory {source}
[Container] <ts> Cache is not defined in the buildspec
[Container] <ts> Skip cache due to: no paths specified to be cached
[Container] <ts> Registering with agent
[Container] <ts> Phases found in YAML: 2
[Container] <ts>  PRE_BUILD: 1 commands
[Container] <ts>  BUILD: 2 commands
[Container] <ts> Phase complete: DOWNLOAD_SOURCE State: SUCCEEDED
[Container] <ts> Phase context status code:  Message: 
[Container] <ts> Entering phase INSTALL
[Container] <ts> Phase complete: INSTALL State: SUCCEEDED
[Container] <ts> Phase context status code:  Message: 
[Container] <ts> Entering phase PRE_BUILD
[Container] <ts> Running command echo hello
hello

[Container] <ts> Phase complete: PRE_BUILD State: SUCCEEDED
[Container] <ts> Phase context status code:  Message: 
[Container] <ts> Entering phase BUILD
[Container] <ts> Running command printf 'no newline'
no newline

[Container] <ts> Running command echo a
echo b

a
b

[Container] <ts> Phase complete: BUILD State: SUCCEEDED
[Container] <ts> Phase context status code:  Message: 
[Container] <ts> Entering phase POST_BUILD
[Container] <ts> Phase complete: POST_BUILD State: SUCCEEDED
[Container] <ts> Phase context status code:  Message: 
"
    );
    assert_eq!(outcome.log(), expected);
}

#[test]
fn a_failing_command_reads_as_in_codebuild() {
    let root = Root::new();
    let outcome = root.run(root.build_plan(&["echo out; echo err >&2; exit 3", "echo never"]));
    let log = outcome.log();
    let expected = "\
[Container] <ts> Running command echo out; echo err >&2; exit 3
out
err

[Container] <ts> Command did not exit successfully echo out; echo err >&2; exit 3 exit status 3
[Container] <ts> Phase complete: BUILD State: FAILED
[Container] <ts> Phase context status code: COMMAND_EXECUTION_ERROR Message: Error while executing command: echo out; echo err >&2; exit 3. Reason: exit status 3
[Container] <ts> Entering phase POST_BUILD
";
    assert!(log.contains(expected), "{log}");
    assert!(!log.contains("never"), "{log}");
}

#[test]
fn secrets_are_hidden_in_commands_output_and_contexts_and_not_in_our_own_words() {
    let root = Root::new();
    let mut plan = root.build_plan(&["echo hunter2 BUILD; printf hun; printf ter2; exit 1"]);
    plan.secrets = ["hunter2", "BUILD", "abc"].map(Secret::new).into();
    let outcome = root.run(plan);
    let log = outcome.log();
    for expected in [
        "> 1 secret value is too short to be masked in this log\n",
        "> Entering phase BUILD\n",
        "> Running command echo *** ***; printf hun; printf ter2; exit 1\n*** ***\n***\n\n",
        "Message: Error while executing command: echo *** ***; printf hun;",
    ] {
        assert!(log.contains(expected), "{expected} in {log}");
    }
    assert!(!log.contains("hunter2"), "{log}");
    assert!(!format!("{:?}", outcome.phases()).contains("hunter2"));
}

#[test]
fn a_program_that_is_not_there_reads_as_in_codebuild() {
    let root = Root::new();
    let outcome = root.run(root.build_plan(&["no-such-program"]));
    let script = root.path("codebuild/output/tmp/script.sh");
    let log = outcome.log();
    let (dash, bash) = (
        format!("{}: 4: no-such-program: not found\n", script.display()),
        format!("{}: line 4: no-such-program: ", script.display()),
    );
    assert!(log.contains(&dash) || log.contains(&bash), "{log}");
    assert!(log.contains("Reason: exit status 127\n"), "{log}");
}

#[test]
fn output_arrives_byte_for_byte() {
    let root = Root::new();
    let outcome =
        root.run(root.build_plan(&[
            "printf '\\377\\000\\r\\033[1m'; head -c 10000000 /dev/zero | tr '\\0' x",
        ]));
    let bytes: Vec<u8> = outcome
        .records
        .into_iter()
        .filter_map(|record| match record.body {
            Body::Log(bytes) => Some(bytes),
            Body::Event(_) => None,
        })
        .flatten()
        .collect();
    let start = b"\xff\0\r\x1b[1mxxxx";
    let place = bytes
        .windows(start.len())
        .position(|window| window == start);
    let line = &bytes[place.unwrap()..];
    let length = line.iter().position(|byte| *byte == b'\n').unwrap();
    assert_eq!(length, start.len() - 4 + 10_000_000);
    assert!(line[length..].starts_with(b"\n\n[Container] "));
}

#[test]
fn a_build_that_calls_docker_without_having_it_is_told_once_what_it_lacks() {
    let call = "echo 'Cannot connect to the Docker daemon at unix:///var/run/docker.sock.' >&2";
    let root = Root::new();
    let mut plan = root.build_plan(&[call, &format!("{call}; exit 1")]);
    plan.docker_hint = Some("Docker is not available in this build: ask for it".to_owned());
    let log = root.run(plan).log();
    let told: Vec<_> = log.match_indices("> Docker is not available").collect();
    assert_eq!(told.len(), 1, "{log}");
    let root = Root::new();
    let log = root.run(root.build_plan(&[call])).log();
    assert!(!log.contains("not available"), "{log}");
}
