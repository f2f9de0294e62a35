//! Rules about what commands need of, and do to, the world outside.

use super::Rule;
use super::context::Context;
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::model::{OnFailure, PhaseName};

pub(super) const UNCHECKED_PUBLISH: Rule = Rule {
    code: Code::UncheckedPublish,
    rationale: "`post_build` runs even when `build` has failed, so that it can clean up. A command that publishes \
        there publishes the result of a failed build too, unless it looks at `CODEBUILD_BUILD_SUCCEEDING` (1 as long \
        as nothing has failed) or the build phase says `on-failure: ABORT`.",
    bad: "version: 0.2\nphases:\n  build:\n    commands: [make test]\n  post_build:\n    commands:\n      - aws s3 sync out s3://bucket\n",
    good: "version: 0.2\nphases:\n  build:\n    commands: [make test]\n  post_build:\n    commands:\n      - if [ \"$CODEBUILD_BUILD_SUCCEEDING\" = 1 ]; then aws s3 sync out s3://bucket; fi\n",
    check: unchecked_publish,
};

pub(super) const NEEDS_PRIVILEGED_MODE: Rule = Rule {
    code: Code::NeedsPrivilegedMode,
    rationale: "The Docker daemon of a build starts only in a project with privileged mode. The buildspec cannot \
        switch it on; without it the command fails with `Cannot connect to the Docker daemon`.",
    bad: "version: 0.2\nphases:\n  build:\n    commands: [docker build .]\n",
    good: "version: 0.2\nphases:\n  build:\n    commands:\n      # buildspec-agent: disable=needs-privileged-mode\n      - docker build .\n",
    check: needs_privileged_mode,
};

/// Calls that change something outside of the build.
const PUBLISHING: [&[&str]; 40] = [
    &["amplify", "publish"],
    &["aws", "cloudformation", "create-stack"],
    &["aws", "cloudformation", "deploy"],
    &["aws", "cloudformation", "update-stack"],
    &["aws", "cloudfront", "create-invalidation"],
    &["aws", "deploy", "create-deployment"],
    &["aws", "deploy", "push"],
    &["aws", "ecs", "update-service"],
    &["aws", "elasticbeanstalk", "update-environment"],
    &["aws", "lambda", "publish-layer-version"],
    &["aws", "lambda", "update-function-code"],
    &["aws", "s3", "cp"],
    &["aws", "s3", "mv"],
    &["aws", "s3", "sync"],
    &["cargo", "publish"],
    &["cdk", "deploy"],
    &["docker", "push"],
    &["eb", "deploy"],
    &["firebase", "deploy"],
    &["gem", "push"],
    &["gh", "release", "create"],
    &["git", "push"],
    &["gradle", "publish"],
    &["helm", "install"],
    &["helm", "push"],
    &["helm", "upgrade"],
    &["kubectl", "apply"],
    &["kubectl", "rollout"],
    &["kubectl", "set", "image"],
    &["lerna", "publish"],
    &["mvn", "deploy"],
    &["npm", "publish"],
    &["pnpm", "publish"],
    &["poetry", "publish"],
    &["sam", "deploy"],
    &["serverless", "deploy"],
    &["sls", "deploy"],
    &["terraform", "apply"],
    &["twine", "upload"],
    &["yarn", "publish"],
];

fn unchecked_publish(context: &Context<'_>, found: &mut Vec<Diagnostic>) {
    let build = context
        .spec
        .phases
        .build
        .as_ref()
        .filter(|build| !build.commands.is_empty());
    let Some(build) = build else { return };
    let aborts = build
        .on_failure
        .as_ref()
        .is_some_and(|on_failure| on_failure.value == OnFailure::Abort);
    let in_post_build = || {
        context
            .commands
            .iter()
            .filter(|command| command.phase == PhaseName::PostBuild)
    };
    if aborts || in_post_build().any(|command| command.text.contains("CODEBUILD_BUILD_SUCCEEDING"))
    {
        return;
    }
    for command in in_post_build() {
        for simple in command.simples() {
            // Copying from a bucket publishes nothing.
            let fetches = simple.is_call(&["aws", "s3"])
                && !simple
                    .call()
                    .last()
                    .is_some_and(|to| to.trim_matches('"').starts_with(['s', '$']));
            let Some(call) = PUBLISHING
                .iter()
                .find(|call| simple.is_call(call))
                .filter(|_| !fetches)
            else {
                continue;
            };
            let message = format!("`{}` runs even after a failed build", call.join(" "));
            let span = context.spot(command, call[0]);
            let help =
                "test `CODEBUILD_BUILD_SUCCEEDING`, or set `on-failure: ABORT` on the build phase";
            found.push(Diagnostic::new(Code::UncheckedPublish, span, message).help(help));
            return;
        }
    }
}

fn needs_privileged_mode(context: &Context<'_>, found: &mut Vec<Diagnostic>) {
    const CALLS: [&str; 8] = [
        "build", "buildx", "compose", "image", "pull", "push", "run", "tag",
    ];
    for command in &context.commands {
        for simple in command.simples() {
            let docker = CALLS.iter().any(|call| simple.is_call(&["docker", call]));
            if docker || matches!(simple.name(), Some("docker-compose" | "dockerd")) {
                let message = "Docker runs only in projects with privileged mode";
                let span = context.spot(command, simple.name().unwrap_or_default());
                found.push(Diagnostic::new(Code::NeedsPrivilegedMode, span, message));
                return;
            }
        }
    }
}
