//! The JSON Schema of the buildspec, for editors.
//!
//! It describes what the parser accepts without a warning; allowed values come from the model's own
//! lists, so that a new format or shell is in the schema by being in the model.

mod batch;

use serde_json::{Map, Value, json};

use crate::assumptions::MOST_FALLBACK_KEYS;
use crate::model::{PhaseName, ReportFormat, Shell};

/// The schema (JSON Schema draft 7, the one editors know best), pretty-printed, ending with a line break.
pub fn schema() -> String {
    let flags = format!(
        "^({})$",
        ["YES", "NO", "TRUE", "FALSE"].map(any_case).join("|")
    );
    let schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": "https://github.com/buildspec-agent/buildspec-agent/blob/main/buildspec-parser/buildspec.schema.json",
        "title": "AWS CodeBuild buildspec",
        "type": "object",
        "required": ["version"],
        "properties": {
            "version": { "description": "Version of the buildspec language; 0.2 carries directory and variables from command to command.", "enum": [0.1, 0.2, "0.1", "0.2"] },
            "run-as": text("Linux user who runs the commands of every phase."),
            "env": env(),
            "environment_variables": object("Variables of version 0.1.", &[
                ("plaintext", by_name("Variables with literal values.", &json!({ "$ref": "#/definitions/scalar" }))),
            ]),
            "proxy": object("What goes through an explicit proxy server.", &[
                ("upload-artifacts", flag("Whether artifacts are uploaded through the proxy.")),
                ("logs", flag("Whether logs are sent through the proxy.")),
            ]),
            "batch": batch::batch(),
            "phases": phases(),
            "reports": by_name("Report groups by name or ARN.", &report()),
            "artifacts": artifacts(true),
            "cache": cache(),
        },
        "patternProperties": { "^(x-|\\.)": true },
        "additionalProperties": false,
        "definitions": {
            "flag": { "type": ["boolean", "string"], "pattern": flags },
            "scalar": { "type": ["string", "number", "boolean", "null"] },
            "texts": { "type": ["array", "string", "null"], "items": { "type": ["string", "number", "boolean", "null"] } },
        },
    });
    // A value made of texts and numbers is always representable.
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

fn described(reference: &str, description: &str) -> Value {
    json!({ "description": description, "allOf": [{ "$ref": format!("#/definitions/{reference}") }] })
}

fn text(description: &str) -> Value {
    described("scalar", description)
}

fn texts(description: &str) -> Value {
    described("texts", description)
}

fn flag(description: &str) -> Value {
    described("flag", description)
}

fn object(description: &str, properties: &[(&str, Value)]) -> Value {
    let properties: Map<String, Value> = properties
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    json!({
        "description": description,
        "type": ["object", "null"],
        "properties": properties,
        "additionalProperties": false,
    })
}

fn by_name(description: &str, value: &Value) -> Value {
    json!({ "description": description, "type": ["object", "null"], "additionalProperties": value })
}

fn with_required(mut object: Value, required: &[&str]) -> Value {
    object["type"] = json!("object");
    object["required"] = json!(required);
    object
}

fn env() -> Value {
    let shells = Shell::ALL.iter().map(|shell| Some(shell.as_str()));
    let shells: Vec<Option<&str>> = shells.chain([None]).collect();
    let scalar = json!({ "$ref": "#/definitions/scalar" });
    object(
        "Shell and variables.",
        &[
            (
                "shell",
                json!({ "description": "Shell that reads the commands; sh on Linux.", "enum": shells }),
            ),
            (
                "variables",
                by_name(
                    "Variables with literal values; nothing is expanded.",
                    &scalar,
                ),
            ),
            (
                "parameter-store",
                by_name(
                    "Variables with values from Systems Manager Parameter Store.",
                    &scalar,
                ),
            ),
            (
                "secrets-manager",
                by_name(
                    "Variables with values from Secrets Manager: secret-id:json-key:version-stage:version-id.",
                    &scalar,
                ),
            ),
            (
                "exported-variables",
                texts("Variables whose values are reported after post_build."),
            ),
            (
                "git-credential-helper",
                flag("Whether git is given the credentials of the source."),
            ),
        ],
    )
}

fn phases() -> Value {
    let phase = |name: PhaseName| {
        let mut properties = vec![
            (
                "run-as",
                text("Linux user who runs the commands of this phase."),
            ),
            (
                "on-failure",
                json!({
                    "description": "What a failing command leads to.",
                    "type": "string",
                    "pattern": "^([Aa][Bb][Oo][Rr][Tt]|[Cc][Oo][Nn][Tt][Ii][Nn][Uu][Ee]|[Rr][Ee][Tt][Rr][Yy](-.+)?)$",
                }),
            ),
            (
                "commands",
                commands("Commands, run one after the other until one fails."),
            ),
            (
                "finally",
                commands("Commands that run after the others, failed or not."),
            ),
        ];
        if name == PhaseName::Install {
            let scalar = json!({ "$ref": "#/definitions/scalar" });
            properties.push((
                "runtime-versions",
                by_name("Runtimes of the image to use.", &scalar),
            ));
        }
        (
            name.as_str(),
            object(&format!("The {name} phase."), &properties),
        )
    };
    object(
        "Commands, in four phases that always run in this order.",
        &PhaseName::ALL.map(phase),
    )
}

fn commands(description: &str) -> Value {
    json!({
        "description": description,
        "type": ["array", "string", "null"],
        "items": { "$ref": "#/definitions/scalar" },
    })
}

fn report() -> Value {
    // Upper and lower case are the same: the pattern spells both.
    let formats: Vec<String> = ReportFormat::ALL
        .iter()
        .map(|format| any_case(format.as_str()))
        .collect();
    let pattern = format!("^({})$", formats.join("|"));
    let report = object(
        "A report group.",
        &[
            ("files", texts("Report files: paths and globs.")),
            (
                "file-format",
                json!({ "description": "Format of the files; JUNITXML by default.", "type": "string", "pattern": pattern }),
            ),
            (
                "base-directory",
                text("Directory the files are relative to."),
            ),
            ("discard-paths", flag("Whether only base names are kept.")),
        ],
    );
    with_required(report, &["files"])
}

fn any_case(word: &str) -> String {
    let letter = |c: char| {
        if c.is_ascii_alphabetic() {
            format!("[{c}{}]", c.to_ascii_lowercase())
        } else {
            c.to_string()
        }
    };
    word.chars().map(letter).collect()
}

fn artifacts(primary: bool) -> Value {
    let mut properties = vec![
        ("files", texts("Artifact files: paths and globs.")),
        (
            "name",
            text("Name of the artifact, evaluated by the shell."),
        ),
        ("discard-paths", flag("Whether only base names are kept.")),
        (
            "base-directory",
            text("Directory the files are relative to, or a glob of top-level directories."),
        ),
        (
            "exclude-paths",
            json!({
                "description": "Files to leave out, relative to base-directory.",
                "type": ["array", "string", "null"],
                "items": { "$ref": "#/definitions/scalar" },
            }),
        ),
        (
            "enable-symlinks",
            flag("Whether symbolic links are kept in a ZIP archive."),
        ),
        (
            "s3-prefix",
            text("Prefix of the key in the bucket, with namespace type BUILD_ID."),
        ),
        (
            "type",
            json!({ "description": "Left over from version 0.1, without effect." }),
        ),
    ];
    if primary {
        properties.push((
            "secondary-artifacts",
            by_name("Further artifacts by identifier.", &artifacts(false)),
        ));
        return object("What the build uploads.", &properties);
    }
    with_required(object("A further artifact.", &properties), &["files"])
}

fn cache() -> Value {
    let cache = object(
        "What is kept for the next build.",
        &[
            ("key", text("Key of the cache, evaluated by the shell.")),
            (
                "fallback-keys",
                json!({
                    "description": "Prefixes of keys that are tried when there is no cache for the key.",
                    "type": ["array", "null"],
                    "maxItems": MOST_FALLBACK_KEYS,
                    "items": { "$ref": "#/definitions/scalar" },
                }),
            ),
            (
                "action",
                json!({ "description": "Only one half of the caching.", "enum": ["restore", "save"] }),
            ),
            ("paths", texts("Files and directories to cache.")),
        ],
    );
    with_required(cache, &["paths"])
}
