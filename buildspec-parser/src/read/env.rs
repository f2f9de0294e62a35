//! `env`, `environment_variables` (0.1) and `proxy`.

use super::Reader;
use super::value::name;
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::model::{Env, Map, Proxy, SecretReference, Shell};
use crate::span::Spanned;
use crate::yaml::{Entry, Kind, Node};

const KEYS: [&str; 6] = [
    "shell",
    "variables",
    "parameter-store",
    "secrets-manager",
    "exported-variables",
    "git-credential-helper",
];

/// Reads `env`, or its older name, into `env`. Each version's names are accepted in the other, since
/// nothing says that they are refused; the older ones get a warning in 0.2.
pub(super) fn read(reader: &mut Reader<'_>, env: &mut Env, section: &Entry<'_>, old: bool) {
    if section.key == "environment_variables" && !old {
        let message = "`environment_variables` is called `env` since version 0.2";
        reader.note(
            Diagnostic::new(Code::MisplacedKey, section.key_span, message)
                .fix(section.key_span, "env"),
        );
    }
    for entry in reader.mapping(&section.value, "`env`") {
        let value = &entry.value;
        match entry.key.as_ref() {
            "shell" => env.shell = shell(reader, value),
            "variables" => env.variables = variables(reader, value, "`variables`"),
            "plaintext" => {
                if !old {
                    let message = "`plaintext` is called `variables` since version 0.2";
                    let problem = Diagnostic::new(Code::MisplacedKey, entry.key_span, message);
                    reader.note(problem.fix(entry.key_span, "variables"));
                }
                env.variables = variables(reader, value, "`plaintext`");
            }
            "parameter-store" => {
                env.parameter_store = variables(reader, value, "`parameter-store`");
            }
            "secrets-manager" => env.secrets_manager = secrets(reader, value),
            "exported-variables" => {
                env.exported_variables = reader.texts(value, "`exported-variables`");
            }
            "git-credential-helper" => {
                env.git_credential_helper = reader.flag(value, "`git-credential-helper`");
            }
            _ => unknown(reader, entry),
        }
    }
}

/// An unknown key of `env`; most often a variable that should stand in `variables`.
fn unknown(reader: &mut Reader<'_>, entry: &Entry<'_>) {
    let variable = entry
        .key
        .chars()
        .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    if variable && matches!(entry.value.kind, Kind::Scalar { .. }) {
        let message = format!(
            "`{}` is ignored here: variables belong under `env/variables`",
            entry.key
        );
        let problem = Diagnostic::new(Code::MisplacedKey, entry.key_span, message);
        reader.note(problem.help("put it under `variables:`"));
    } else {
        reader.unknown_key(entry, &KEYS, "`env`");
    }
}

/// `shell` (buildspec reference, env/shell). Other spellings of the same shells are accepted: the
/// service's answer to them is not documented.
fn shell(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Spanned<Shell>> {
    let text = reader.some_text(node, "`shell`")?;
    if let Some(shell) = Shell::ALL
        .into_iter()
        .find(|shell| shell.as_str() == text.value)
    {
        return Some(Spanned::new(shell, node.span));
    }
    let shell = match text.value.to_ascii_lowercase().as_str() {
        "bash" | "/bin/bash" | "/usr/bin/bash" => Shell::Bash,
        "sh" | "/bin/sh" | "/usr/bin/sh" => Shell::Sh,
        "powershell" | "powershell.exe" => Shell::PowerShell,
        "cmd" | "cmd.exe" => Shell::Cmd,
        _ => {
            let message = format!("CodeBuild starts no shell called `{}`", text.value);
            let help = "use `bash` or `/bin/sh`, on Windows `powershell.exe` or `cmd.exe`";
            reader.note(Diagnostic::new(Code::InvalidShell, node.span, message).help(help));
            return None;
        }
    };
    let message = format!("the reference spells this shell `{}`", shell.as_str());
    reader.note(
        Diagnostic::new(Code::UndocumentedShell, node.span, message).fix(node.span, shell.as_str()),
    );
    Some(Spanned::new(shell, node.span))
}

/// Names and texts; a name that no shell can read is noted.
fn variables(reader: &mut Reader<'_>, node: &Node<'_>, what: &str) -> Map<Spanned<String>> {
    let variables = reader.texts_by_name(node, what);
    for (name, _) in &variables {
        check_name(reader, name);
    }
    variables
}

fn check_name(reader: &mut Reader<'_>, name: &Spanned<String>) {
    let bytes = name.value.as_bytes();
    let word = bytes
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    if !word || bytes.first().is_none_or(u8::is_ascii_digit) {
        let message = format!(
            "no shell command can read a variable called `{}`",
            name.value
        );
        let help = "use letters, digits and underscores, and begin with no digit";
        reader.note(Diagnostic::new(Code::InvalidVariableName, name.span, message).help(help));
    }
}

/// `secrets-manager`; a reference that cannot be resolved fails the build later, so it is kept as far
/// as it goes.
fn secrets(reader: &mut Reader<'_>, node: &Node<'_>) -> Map<Spanned<SecretReference>> {
    let mut secrets = Vec::new();
    for entry in reader.mapping(node, "`secrets-manager`") {
        let Some(text) = reader.text(&entry.value, "a value of `secrets-manager`") else {
            continue;
        };
        let name = name(entry);
        check_name(reader, &name);
        let reference = text
            .value
            .parse::<SecretReference>()
            .unwrap_or_else(|error| {
                reader.note(Diagnostic::new(
                    Code::InvalidSecretReference,
                    text.span,
                    error.to_string(),
                ));
                SecretReference {
                    id: text.value.clone(),
                    ..SecretReference::default()
                }
            });
        if reference.version_stage.is_some() && reference.version_id.is_some() {
            let message = "a version stage and a version id exclude each other";
            reader.note(
                Diagnostic::new(Code::InvalidSecretReference, text.span, message)
                    .help("keep one of them"),
            );
        }
        secrets.push((name, Spanned::new(reference, text.span)));
    }
    secrets.into_iter().collect()
}

/// `proxy`.
pub(super) fn proxy(reader: &mut Reader<'_>, node: &Node<'_>) -> Proxy {
    let mut proxy = Proxy::default();
    for entry in reader.mapping(node, "`proxy`") {
        match entry.key.as_ref() {
            "upload-artifacts" => {
                proxy.upload_artifacts = reader.flag(&entry.value, "`upload-artifacts`");
            }
            "logs" => proxy.logs = reader.flag(&entry.value, "`logs`"),
            _ => reader.unknown_key(entry, &["upload-artifacts", "logs"], "`proxy`"),
        }
    }
    proxy
}
