//! The section `batch` of the schema.

use serde_json::{Value, json};

use super::{by_name, flag, object, text, texts, with_required};
use crate::assumptions::{LONGEST_IDENTIFIER, MOST_BATCH_BUILDS};

pub(super) fn batch() -> Value {
    let tasks = |description: &str, task: Value| json!({ "description": description, "type": "array", "maxItems": MOST_BATCH_BUILDS, "items": task });
    let mut batch = object(
        "What a batch build starts; an ordinary build ignores it.",
        &[
            (
                "fast-fail",
                flag("Whether one failed build stops the others."),
            ),
            (
                "build-list",
                tasks("Builds that run at the same time.", task(false)),
            ),
            (
                "build-graph",
                tasks("Builds that wait for others.", task(true)),
            ),
            ("build-matrix", matrix()),
            (
                "build-fanout",
                with_required(
                    object(
                        "One build in several shards.",
                        &[
                            (
                                "parallelism",
                                json!({ "description": "Number of shards.", "type": "integer", "minimum": 1, "maximum": MOST_BATCH_BUILDS }),
                            ),
                            (
                                "ignore-failure",
                                flag("Whether a failed shard leaves the batch successful."),
                            ),
                        ],
                    ),
                    &["parallelism"],
                ),
            ),
        ],
    );
    let kinds = ["build-list", "build-graph", "build-matrix", "build-fanout"];
    batch["oneOf"] = kinds
        .iter()
        .map(|kind| json!({ "type": "object", "required": [kind] }))
        .chain([json!({ "type": "null" })])
        .collect();
    batch
}

fn task(graph: bool) -> Value {
    let mut properties = vec![
        (
            "identifier",
            json!({
                "description": "Name of the task, unique in the batch.",
                "type": "string",
                "pattern": "^[A-Za-z0-9_]+$",
                "maxLength": LONGEST_IDENTIFIER,
            }),
        ),
        ("buildspec", text("Path of another buildspec.")),
        ("debug-session", flag("Whether session debugging is on.")),
        ("env", task_env()),
        (
            "ignore-failure",
            flag("Whether a failure leaves the batch successful."),
        ),
    ];
    if graph {
        properties.push((
            "depend-on",
            texts("Identifiers of the tasks that must have ended."),
        ));
    }
    with_required(object("A task.", &properties), &["identifier"])
}

fn task_env() -> Value {
    let scalar = json!({ "$ref": "#/definitions/scalar" });
    object(
        "What the build changes of the project's environment.",
        &[
            (
                "compute-type",
                text("Compute type, for example BUILD_GENERAL1_LARGE."),
            ),
            ("fleet", text("Fleet; not together with compute-type.")),
            ("image", text("Image.")),
            ("privileged-mode", flag("Privileged mode.")),
            (
                "type",
                text("Environment type, for example LINUX_CONTAINER."),
            ),
            ("variables", by_name("Variables.", &scalar)),
        ],
    )
}

fn matrix() -> Value {
    let lists = json!({ "$ref": "#/definitions/texts" });
    object(
        "Every combination of the dynamic values.",
        &[
            (
                "static",
                object(
                    "What is the same in every build.",
                    &[
                        (
                            "ignore-failure",
                            flag("Whether a failed build leaves the batch successful."),
                        ),
                        ("env", task_env()),
                    ],
                ),
            ),
            (
                "dynamic",
                object(
                    "One build for each combination.",
                    &[
                        ("buildspec", texts("Paths of buildspecs.")),
                        (
                            "env",
                            object(
                                "Values of the environment.",
                                &[
                                    ("compute-type", texts("Compute types.")),
                                    ("image", texts("Images.")),
                                    (
                                        "variables",
                                        by_name("Variables, each with a list of values.", &lists),
                                    ),
                                ],
                            ),
                        ),
                    ],
                ),
            ),
        ],
    )
}
