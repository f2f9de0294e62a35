//! What one command leaves to the next.

use executor::protocol::{Event, Phase, ShellKind, StateCarrying, Status, Variable};

use crate::harness::{Root, phase_mut, set};

/// Runs commands in BUILD and gives the output of the last one.
fn last_output(shell: ShellKind, state: StateCarrying, commands: &[&str]) -> String {
    let root = Root::new();
    let mut plan = root.build_plan(commands);
    (plan.shell, plan.state) = (shell, state);
    plan.environment.push(Variable {
        name: "GIVEN".to_owned(),
        value: "it's \"given\"".to_owned(),
    });
    let outcome = root.run(plan);
    let log = outcome.log();
    assert_eq!(outcome.ended().0, Status::Succeeded, "{log}");
    let start = format!("Running command {}\n", commands.last().unwrap());
    let (_, output) = log.split_once(&start).unwrap();
    let (output, _) = output.split_once("\n[Container]").unwrap();
    output.replace(root.source().to_str().unwrap(), "SRC")
}

#[test]
fn variables_and_directory_are_carried_from_command_to_command() {
    for shell in [ShellKind::Sh, ShellKind::Bash] {
        for (label, commands, expected) in [
            ("exported", &["export A=1", "sh -c 'echo $A'"][..], "1\n"),
            ("not exported", &["A=1", "sh -c 'echo $A'"], "1\n"),
            (
                "directory",
                &["mkdir -p \"a b'c\"", "cd \"a b'c\"", "pwd"],
                "SRC/a b'c\n",
            ),
            (
                "lines and quotes",
                &["A=\"x'y\n\\\"z\"", "echo \"$A\""],
                "x'y\n\"z\n",
            ),
            (
                "removed",
                &["export A=1", "unset A", "echo ${A-unset}"],
                "unset\n",
            ),
            ("exit", &["A=1", "A=2; exit 0", "echo $A"], "1\n"),
            ("last status", &["true", "echo $CODEBUILD_LAST_EXIT"], "0\n"),
            (
                "first status",
                &["echo ${CODEBUILD_LAST_EXIT-unset}"],
                "unset\n",
            ),
            (
                "back",
                &["mkdir x && cd x", "cd - > /dev/null; pwd"],
                "SRC\n",
            ),
            ("no clobber", &["set -C; A=1", "echo $A"], "1\n"),
            ("backslash", &["echo a \\", "echo b"], "b\n"),
            (
                "given",
                &["echo $GIVEN $HOME $FROM_IMAGE"],
                "it's \"given\" /root yes\n",
            ),
            (
                "functions",
                &["f() { :; }", "command -v f || echo none"],
                "none\n",
            ),
            ("path", &["echo ${PATH##*:}"], "/codebuild/user/bin\n"),
            ("input", &["cat; test -t 0 || echo none"], "none\n"),
        ] {
            let output = last_output(shell, StateCarrying::Carried, commands);
            assert_eq!(output, expected, "{label} {shell:?}");
        }
    }
}

#[test]
fn in_version_0_1_every_command_starts_fresh() {
    for (label, commands, expected) in [
        (
            "variable",
            &["export A=1", "echo ${A-unset}"][..],
            "unset\n",
        ),
        ("directory", &["cd /", "pwd"], "SRC\n"),
        (
            "given",
            &["GIVEN=changed", "echo $GIVEN"],
            "it's \"given\"\n",
        ),
    ] {
        let output = last_output(ShellKind::Sh, StateCarrying::Fresh, commands);
        assert_eq!(output, expected, "{label}");
    }
}

#[test]
fn a_process_in_the_background_lives_on_and_does_not_hold_its_command() {
    let root = Root::new();
    let outcome = root.run(root.build_plan(&[
        "mkfifo go; (read line < go; echo background $line) &",
        "echo forward > go; while ! test -e done; do test -e go || :; echo > done; done",
        "(while :; do echo flood; done) &",
        "echo last",
    ]));
    let log = outcome.log();
    assert_eq!(outcome.ended().0, Status::Succeeded, "{log}");
    assert!(log.contains("\nbackground forward\n"), "{log}");
}

#[test]
fn exported_variables_are_reported_with_secrets_hidden() {
    let root = Root::new();
    let mut plan = root.plan();
    set(
        &mut plan,
        Phase::PostBuild,
        &["A='1\n2'; B=; C=hunter2; cd /"],
    );
    plan.exported_variables = ["A", "B", "C", "UNSET", "not a name"]
        .map(String::from)
        .into();
    plan.secrets = vec![executor::protocol::Secret::new("hunter2")];
    let outcome = root.run(plan);
    let exported = outcome.events().find_map(|event| match event {
        Event::Exported { variables } => Some(variables.clone()),
        _ => None,
    });
    let expected = [("A", "1\n2"), ("B", ""), ("C", "***")];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(exported.unwrap(), expected);
}

#[test]
fn a_user_who_does_not_exist_fails_the_phase() {
    let root = Root::new();
    std::fs::write(root.path("etc/passwd"), "root:x:0:0::/root:/bin/sh\n").unwrap();
    let mut plan = root.build_plan(&["echo never"]);
    phase_mut(&mut plan, Phase::Build).run_as = Some("ci".to_owned());
    let outcome = root.run(plan);
    let build = outcome
        .phases()
        .into_iter()
        .find(|phase| phase.0 == Phase::Build);
    let message = "Error while executing command: echo never. Reason: user: unknown user ci";
    assert_eq!(
        build.unwrap(),
        (Phase::Build, Status::Failed, message.to_owned())
    );
}

#[test]
fn an_entrypoint_is_run_before_the_first_command_and_its_failure_ends_the_build() {
    for (script, expected) in [
        ("echo daemon started; (sleep 100) &", Status::Succeeded),
        ("echo daemon started; exit 1", Status::Failed),
    ] {
        let root = Root::new();
        let mut plan = root.build_plan(&["echo building"]);
        plan.entrypoint = ["/bin/sh", "-c", script].map(String::from).into();
        let outcome = root.run(plan);
        let log = outcome.log();
        assert_eq!(outcome.ended().0, expected, "{log}");
        let started = format!("> Running entrypoint /bin/sh -c {script}\ndaemon started\n\n");
        assert!(log.contains(&started), "{log}");
        let builds = log.contains("\nbuilding\n");
        assert_eq!(builds, expected == Status::Succeeded, "{log}");
    }
}

#[test]
fn output_that_was_made_non_blocking_is_set_back_for_the_next_command() {
    let root = Root::new();
    let outcome = root.run(root.build_plan(&[
        "perl -MFcntl -e 'fcntl(STDOUT, F_SETFL, O_NONBLOCK | O_WRONLY)'",
        "perl -MFcntl -e 'print fcntl(STDOUT, F_GETFL, 0) & O_NONBLOCK ? \"bad\" : \"good\"'",
    ]));
    assert!(outcome.log().contains("\ngood\n"), "{}", outcome.log());
}

#[test]
fn what_a_build_puts_in_place_of_the_state_fails_its_commands_and_nothing_else() {
    for breaking in [
        "rm $STATE/env.sh; mkfifo $STATE/env.sh; exit 0",
        "rm $STATE/env.sh; ln -s /dev/full $STATE/env.sh; exit 0",
        "rm $STATE/dir.txt; mkdir $STATE/dir.txt; exit 0",
        "rm $STATE/script.sh; mkdir $STATE/script.sh; exit 0",
    ] {
        let root = Root::new();
        let mut plan = root.build_plan(&[breaking, "echo never"]);
        plan.environment.push(Variable {
            name: "STATE".to_owned(),
            value: root
                .path("codebuild/output/tmp")
                .to_str()
                .unwrap()
                .to_owned(),
        });
        let outcome = root.run(plan);
        assert_eq!(outcome.ended(), (Status::Failed, true), "{breaking}");
        assert!(!outcome.log().contains("\nnever\n"), "{breaking}");
    }
}

#[test]
fn a_build_may_remove_the_state() {
    let root = Root::new();
    let state = root.path("codebuild/output/tmp");
    let remove = format!("A=1; rm {}/*; exit 0", state.display());
    let outcome = root.run(root.build_plan(&["B=2", &remove, "echo $B, $FROM_IMAGE"]));
    assert!(outcome.log().contains("\n, yes\n"), "{}", outcome.log());
}
