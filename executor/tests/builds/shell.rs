//! What one command leaves to the next.

use executor::protocol::{Event, Phase, ShellKind, StateCarrying, Status, Variable};

use crate::harness::{Root, set};

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
