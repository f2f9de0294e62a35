//! Rules about `env`.

use std::collections::BTreeSet;

use super::Rule;
use super::context::Context;
use crate::code::Code;
use crate::diagnostic::{Diagnostic, Level};

pub(super) const RESERVED_VARIABLE: Rule = Rule {
    code: Code::ReservedVariable,
    rationale: "Names that begin with `CODEBUILD_` are reserved: the service sets them, and what the buildspec says \
        is lost or breaks the build. The credential variables of the AWS tools take precedence over the role of the \
        project, so that every call is made with other rights than the project shows.",
    bad: "version: 0.2\nenv:\n  variables:\n    CODEBUILD_SRC_DIR: /src\nphases:\n  build:\n    commands: [make]\n",
    good: "version: 0.2\nenv:\n  variables:\n    SOURCES: /src\nphases:\n  build:\n    commands: [make]\n",
    check: reserved_variable,
};

pub(super) const UNEXPANDED_VARIABLE: Rule = Rule {
    code: Code::UnexpandedVariable,
    rationale: "Values in `env/variables` are literal: `$PATH:/tools` is the text with the dollar sign. To build a \
        value from others, export it in a command; from there it holds for all later commands.",
    bad: "version: 0.2\nenv:\n  variables:\n    TOOLS: $HOME/tools\nphases:\n  build:\n    commands: [make]\n",
    good: "version: 0.2\nphases:\n  install:\n    commands:\n      - export TOOLS=$HOME/tools\n  build:\n    commands: [make]\n",
    check: unexpanded_variable,
};

pub(super) const PLAINTEXT_SECRET: Rule = Rule {
    code: Code::PlaintextSecret,
    rationale: "The buildspec is in the repository, and plain variables are shown in the console and in every answer \
        of the API. A secret belongs in Secrets Manager or Parameter Store, and the buildspec names only its place.",
    bad: "version: 0.2\nenv:\n  variables:\n    DB_PASSWORD: x7Hq29Lmz4\nphases:\n  build:\n    commands: [make]\n",
    good: "version: 0.2\nenv:\n  secrets-manager:\n    DB_PASSWORD: db:password\nphases:\n  build:\n    commands: [make]\n",
    check: plaintext_secret,
};

pub(super) const EXPORTED_NEVER_SET: Rule = Rule {
    code: Code::ExportedNeverSet,
    rationale: "After `post_build` the values of the exported variables are reported to the pipeline. One that \
        neither `env` nor any command sets has no value then, and the stage that uses it fails far away from here.",
    bad: "version: 0.2\nenv:\n  exported-variables: [TAG]\nphases:\n  build:\n    commands: [make]\n",
    good: "version: 0.2\nenv:\n  exported-variables: [TAG]\nphases:\n  build:\n    commands:\n      - export TAG=$(git describe)\n      - make\n",
    check: exported_never_set,
};

pub(super) const UNEXPORTABLE_VARIABLE: Rule = Rule {
    code: Code::UnexportableVariable,
    rationale: "CodeBuild exports no variable whose name begins with `AWS_`, to keep credentials inside the build.",
    bad: "version: 0.2\nenv:\n  exported-variables: [AWS_STAGE]\nphases:\n  build:\n    commands: [export AWS_STAGE=prod]\n",
    good: "version: 0.2\nenv:\n  exported-variables: [STAGE]\nphases:\n  build:\n    commands: [export STAGE=prod]\n",
    check: unexportable_variable,
};

/// Variables of CodeBuild that are meant to be set by the author.
const SETTABLE: [&str; 2] = [
    "CODEBUILD_CONFIG_AUTO_DISCOVER",
    "CODEBUILD_CONFIG_AUTO_DISCOVER_DIR",
];
const CREDENTIALS: [&str; 4] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
];

fn reserved_variable(context: &Context<'_>, found: &mut Vec<Diagnostic>) {
    let env = &context.spec.env;
    let plain = env.variables.iter().map(|(name, _)| name);
    let parameters = env.parameter_store.iter().map(|(name, _)| name);
    let secrets = env.secrets_manager.iter().map(|(name, _)| name);
    for name in plain.chain(parameters).chain(secrets) {
        let text = name.value.as_str();
        let finding = if text.starts_with("CODEBUILD_") && !SETTABLE.contains(&text) {
            let message = format!("`{text}` is reserved for CodeBuild");
            Diagnostic::new(Code::ReservedVariable, name.span, message).help("use another name")
        } else if CREDENTIALS.contains(&text) {
            let message = format!("`{text}` hides the credentials of the project's role");
            Diagnostic::new(Code::ReservedVariable, name.span, message)
                .help("give the role the rights, or set it for the one command that needs it")
        } else if matches!(text, "AWS_REGION" | "AWS_DEFAULT_REGION") {
            let message = format!("CodeBuild sets `{text}` itself, to the region of the build");
            let mut finding = Diagnostic::new(Code::ReservedVariable, name.span, message);
            finding.level = Level::Info;
            finding
        } else {
            continue;
        };
        found.push(finding);
    }
}

fn unexpanded_variable(context: &Context<'_>, found: &mut Vec<Diagnostic>) {
    for (name, value) in &context.spec.env.variables {
        let Some(part) = expansion(&value.value) else {
            continue;
        };
        let message = format!(
            "`{part}` is not expanded: `{}` holds it as it is",
            name.value
        );
        let help = "export the variable in a command";
        found.push(Diagnostic::new(Code::UnexpandedVariable, value.span, message).help(help));
    }
}

/// The first thing in a text that a shell would expand.
fn expansion(text: &str) -> Option<&str> {
    let (at, _) = text.match_indices('$').find(|(at, _)| {
        let rest = &text[at + 1..];
        let name = rest.strip_prefix('{').unwrap_or(rest);
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') || rest.starts_with('(')
    })?;
    let rest = &text[at..];
    let end = match rest[1..].chars().next()? {
        '{' => rest.find('}').map(|end| end + 1),
        '(' => rest.find(')').map(|end| end + 1),
        _ => rest[1..]
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .map(|end| end + 1),
    };
    Some(&rest[..end.unwrap_or(rest.len())])
}

fn plaintext_secret(context: &Context<'_>, found: &mut Vec<Diagnostic>) {
    for (name, value) in &context.spec.env.variables {
        let text = value.value.trim();
        let known = is_known_secret(text);
        let named = is_secret_name(&name.value) && looks_random(text);
        if known || named {
            let message = format!(
                "the value of `{}` looks like a secret, and everybody can read it here",
                name.value
            );
            let help =
                "put it into Secrets Manager or Parameter Store, and name its place under `env`";
            found.push(Diagnostic::new(Code::PlaintextSecret, value.span, message).help(help));
        }
    }
}

/// Texts whose form says that they are secrets.
fn is_known_secret(text: &str) -> bool {
    let key_id = text.len() == 20
        && (text.starts_with("AKIA") || text.starts_with("ASIA"))
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
        // The key of the documentation's examples.
        && !text.ends_with("EXAMPLE");
    let prefixes = [
        "ghp_",
        "gho_",
        "ghs_",
        "github_pat_",
        "glpat-",
        "xoxb-",
        "xoxp-",
        "sk_live_",
        "npm_",
    ];
    let token = prefixes.iter().any(|prefix| text.starts_with(prefix)) && text.len() > 20;
    key_id || token || (text.starts_with("-----BEGIN ") && text.contains("PRIVATE KEY-----"))
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let endings = [
        "PASSWORD",
        "PASSWD",
        "SECRET",
        "TOKEN",
        "API_KEY",
        "APIKEY",
        "PRIVATE_KEY",
        "SECRET_KEY",
        "ACCESS_KEY",
    ];
    endings.iter().any(|ending| name.ends_with(ending))
}

/// Long enough, of letters and digits, and neither a reference nor a placeholder.
fn looks_random(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let placeholders = [
        "example",
        "changeme",
        "change-me",
        "placeholder",
        "dummy",
        "your",
        "test",
        "xxx",
        "secret",
        "password",
    ];
    text.len() >= 8
        && text.bytes().any(|byte| byte.is_ascii_digit())
        && text.bytes().any(|byte| byte.is_ascii_alphabetic())
        && !text.contains(|c: char| c.is_whitespace() || matches!(c, '$' | '{' | '<' | '/' | ':'))
        && !placeholders
            .iter()
            .any(|placeholder| lower.contains(placeholder))
}

fn exported_never_set(context: &Context<'_>, found: &mut Vec<Diagnostic>) {
    let spec = context.spec;
    let commands = || {
        spec.phases
            .iter()
            .flat_map(|(_, phase)| phase.commands.iter().chain(&phase.finally))
    };
    // What a sourced file or an evaluated text sets cannot be seen from here.
    let sourced = |simple: &super::shell::Simple<'_>| {
        matches!(simple.name(), Some("." | "source" | "eval"))
            || simple.words.iter().any(|word| word.contains("env"))
    };
    let understood = context
        .commands
        .iter()
        .all(|command| command.script.is_some());
    if context.commands.is_empty()
        || !understood
        || context
            .commands
            .iter()
            .flat_map(super::context::Command::simples)
            .any(sourced)
    {
        return;
    }
    let env = &spec.env;
    let given: BTreeSet<&str> = (env.variables.iter().map(|(name, _)| name))
        .chain(env.parameter_store.iter().map(|(name, _)| name))
        .chain(env.secrets_manager.iter().map(|(name, _)| name))
        .map(|name| name.value.as_str())
        .collect();
    let words: BTreeSet<&str> = commands()
        .flat_map(|command| words(&command.value))
        .collect();
    for name in &env.exported_variables {
        let text = name.value.as_str();
        // A longer word that begins with it counts too: silence is better than a false alarm.
        let begins = words
            .range(text..)
            .next()
            .is_some_and(|word| word.starts_with(text));
        let built_in = text.starts_with("CODEBUILD_") || text.starts_with("AWS_");
        if !given.contains(text) && !built_in && !begins {
            let message = format!("`{text}` is exported, and neither `env` nor a command sets it");
            found.push(Diagnostic::new(Code::ExportedNeverSet, name.span, message));
        }
    }
}

/// Everything in a command that could be the name of a variable, other than after a dollar sign.
fn words(command: &str) -> impl Iterator<Item = &str> {
    let pieces = command.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let mut at = 0;
    pieces.filter(move |piece| {
        let before = &command[..at];
        // What separates two pieces is one character.
        let separator = command[at + piece.len()..].chars().next();
        at += piece.len() + separator.map_or(0, char::len_utf8);
        !piece.is_empty() && !before.ends_with('$') && !before.ends_with("${")
    })
}

fn unexportable_variable(context: &Context<'_>, found: &mut Vec<Diagnostic>) {
    let exported = &context.spec.env.exported_variables;
    for name in exported
        .iter()
        .filter(|name| name.value.starts_with("AWS_"))
    {
        let message = format!(
            "`{}` cannot be exported: its name begins with `AWS_`",
            name.value
        );
        found.push(
            Diagnostic::new(Code::UnexportableVariable, name.span, message)
                .help("use another name"),
        );
    }
}
